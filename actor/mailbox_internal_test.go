package actor

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestQueue_countsWhatTheLimitCounts(t *testing.T) {
	var q queue
	for i, kind := range []itemKind{kindUser, kindDown, kindCall, kindTimer, kindFrame} {
		q.push(item{kind: kind, msg: i})
	}
	for _, want := range []int32{1, 1, 0, 0, 0} { // left after each
		if _, ok := q.pop(); !ok || q.counted != want {
			t.Errorf("pop: %t, %d are counted, want %d", ok, q.counted, want)
		}
	}
	if _, ok := q.pop(); ok || q.len() != 0 || q.counted != 0 {
		t.Errorf("an empty queue gave something, or holds %+v", q)
	}
}

func TestMailbox_givesMemoryBackAfterABurst(t *testing.T) {
	s := quietSystem(t, Config{})
	pid, err := s.Spawn(context.Background(), gate{}, SpawnOptions{MailboxLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	p, open := pid.find(), make(chan struct{})
	pid.Send(open)
	for p.Len() > 0 { // until it is being handled, and the burst waits
		runtime.Gosched()
	}
	before := heap()
	const burst = 100_000
	for range burst {
		pid.Send("hello")
	}
	during := heap()
	if grown := during - before; grown < burst*uint64(24) {
		t.Fatalf("the burst took %d bytes, which shows that it was not measured", grown)
	}
	close(open)
	for p.Len() > 0 {
		runtime.Gosched()
	}
	after := heap()
	if after > before+256<<10 {
		t.Errorf("the heap was %d bytes before a burst of %d messages, %d with it and %d after it", before, burst, during, after)
	}
}

// gate waits for the channels that it gets.
type gate struct{}

func (gate) Receive(_ context.Context, msg any) error {
	if c, ok := msg.(chan struct{}); ok {
		<-c
	}
	return nil
}

type counting struct{ n atomic.Int64 }

func (c *counting) Receive(context.Context, any) error { c.n.Add(1); return nil }

// TestPost_toAProcessAtRest: what a worker was hired for waits like all else until the worker comes, and is handled, or
// dropped and counted, like all else.
func TestPost_toAProcessAtRest(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that the worker comes when this goroutine lets it
	s := quietSystem(t, Config{})
	for name, end := range map[string]func(p *process){
		"nothing":       func(*process) {},
		"kill":          func(p *process) { p.kill(ErrKilled) },
		"overtaken":     func(p *process) { p.Fail(errors.New("peer lost")) },
		"an Exit after": func(p *process) { p.exit(ErrNormal) },
		"over the limit": func(p *process) {
			switch got := p.post(item{kind: kindUser}); got {
			case postFull:
			case posted: // this goroutine was preempted, and the worker has made room
				p.kill(ErrKilled) // or the test would wait for the end
			default:
				t.Errorf("post beyond the limit: %d, want %d", got, postFull)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			waited := 0
			for range 100 {
				a := &counting{}
				p := s.newProcess(a, &SpawnOptions{MailboxLimit: 3, Overflow: OverflowExit}, nil)
				if err := s.add(p); err != nil {
					t.Fatal(err)
				}
				if _, err := p.launch(context.Background()); err != nil {
					t.Fatal(err)
				}
				rest := func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return p.holder == atRest
				}
				for !rest() {
					runtime.Gosched()
				}
				for range 3 {
					if got := p.post(item{kind: kindUser}); got != posted {
						t.Fatalf("post: %d, want %d", got, posted)
					}
				}
				if info, ok := p.info(); !ok || info.Mailbox == 3 && info.Handling == "" && info.For == 0 && p.Len() == 3 {
					waited++
				}
				end(p)
				for p.alive() && (name != "nothing" || !rest()) {
					runtime.Gosched()
				}
				want := uint64(3)
				if name == "over the limit" {
					want++
				}
				sum := func() uint64 { return uint64(a.n.Load()) + p.dropped.Load() }
				for tries := 0; sum() != want && tries < 1_000_000; tries++ { // a worker may have been preempted in its callback
					runtime.Gosched()
				}
				if handled, dropped := uint64(a.n.Load()), p.dropped.Load(); handled+dropped != want {
					t.Fatalf("%d handled and %d dropped, want %d in all", handled, dropped, want)
				}
				p.kill(ErrKilled)
			}
			if waited == 0 {
				t.Error("the messages never waited for their worker: this shows nothing")
			}
		})
	}
}
