package actor

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// sized is a message for the client of a host, of so many bytes.
type sized struct {
	bytes int
	class *hook.Class
}

// transport is a host that does nothing.
type transport struct{ handled int }

func (h *transport) Receive(context.Context, any) error  { h.handled++; return nil }
func (*transport) TurnEnd(bool)                          {}
func (*transport) Overflow()                             {}
func (*transport) Ending(error) bool                     { return true }
func (*transport) Exited(ProcessInfo, error)             {}
func (*transport) Gone()                                 {}
func (*transport) Scope() (context.Context, []slog.Attr) { return nil, nil }
func classOfSized(msg any) (c *hook.Class, size int) {
	if m, ok := msg.(sized); ok {
		return m.class, m.bytes
	}
	return nil, -1
}

// TestOverflow_books: whatever is sent and left out, the sum of the bytes is that of the messages in the mailbox, and so is the
// number of those that count; neither exceeds its limit.
func TestOverflow_books(t *testing.T) {
	const largest = 300 // of a message
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		s := quietSystem(t, Config{})
		left := 0
		var waiters []func() // each gives up
		o := &hook.Options{
			FlushesItself: true, ClassOf: classOfSized, LeftOut: func() { left++ },
			MailboxBytes: int64(1 + random.IntN(2000)), Overflow: hook.Overflow(seed % 3), MaxLag: time.Duration(seed%2) * time.Hour,
		}
		h := &transport{}
		p, pid, err := s.Inside(hook.Key{}).Spawn(h, h, o, SpawnOptions{MailboxLimit: 1 + random.IntN(1<<(1+seed%7)), Overflow: OverflowExit})
		if err != nil {
			t.Fatal(err)
		}
		check := func(step int, what string) {
			t.Helper()
			p.mu.Lock()
			defer p.mu.Unlock()
			sum, counted, paced := int64(0), 0, int32(0)
			for it := range p.queue.items.All() {
				sum += it.bytes()
				if it.kind == kindPaced {
					paced++
				}
				if it.kind.counts() {
					counted++
				}
			}
			if got := p.queue.items.Sum(); got != sum || sum > max(o.MailboxBytes, o.MailboxBytes/2+largest) {
				t.Fatalf("seed %d, step %d, after %s: the sum is %d, that of the messages %d; the limit is %d", seed, step, what, got, sum, o.MailboxBytes)
			}
			if int(p.queue.counted) != counted || counted > int(p.queue.limit) {
				t.Fatalf("seed %d, step %d, after %s: %d count, it says %d; the limit is %d", seed, step, what, counted, p.queue.counted, p.queue.limit)
			}
			in := &p.rel().senders
			if o.Overflow != hook.Exit && in.inside != paced || in.bytes < 0 || in.bytes > sum {
				t.Fatalf("seed %d, step %d, after %s: %d of SendWait wait, %d bytes; it says %d of %d", seed, step, what, paced, sum, in.inside, in.bytes)
			}
			if in.first != nil {
				before := p.queue.counted
				p.letIn()
				if in.first == nil || p.queue.counted != before {
					t.Fatalf("seed %d, step %d, after %s: somebody waits, and there is room", seed, step, what)
				}
			}
		}
		for step := range 1000 {
			what := "a message"
			switch k := random.IntN(10); {
			case k == 0:
				what = "one for the handler"
				if random.IntN(4) == 0 {
					p.Send("info")
				}
			case k == 1 && random.IntN(4) == 0:
				what = "a frame"
				p.mu.Lock()
				p.push(item{kind: kindHanded, msg: "from the client"})
				p.mu.Unlock()
			case k == 1:
				what = "a key that is left out"
				p.LeaveOut(strconv.Itoa(random.IntN(3)))
			case k == 2: // Init has not returned, so nothing is taken out but here
				what = "a turn"
				p.mu.Lock()
				it, ok := p.queue.pop()
				if p.rel().senders.concerned() {
					p.letInAfter(&it)
				}
				if ok && it.kind == kindHeld {
					p.release(&it)
				}
				p.mu.Unlock()
			case k == 3:
				what = "one that would wait"
				waiters = append(waiters, p.askRoom(sized{bytes: random.IntN(largest)}, func(any, error) {}))
			case k == 4 && len(waiters) > 0:
				what = "one that gives up"
				waiters[random.IntN(len(waiters))]()
			case k < 7:
				what = "one with a class"
				c := &hook.Class{Key: strconv.Itoa(random.IntN(4)), Expires: time.Duration(random.IntN(2000))}
				if random.IntN(2) == 0 {
					c.Key = ""
				}
				p.Send(sized{random.IntN(largest), c})
			default:
				p.Send(sized{bytes: random.IntN(largest)})
			}
			if !p.Alive() {
				break
			}
			check(step, what)
		}
		pid.Exit(ErrKilled)
	}
}

// What makes room for one that must be handled is the newest, and no more than that: a smaller one before it stays, even when
// one between them is too large.
func TestOverflow_leaveOutNewest(t *testing.T) {
	for _, tt := range []struct {
		name          string
		limit         int32
		bytes         int64 // that may wait
		waits, remain []int // the bytes of each
		count         int32
		adds          int64
	}{
		{"none", 4, 100, []int{50, 10}, []int{50, 10}, 1, 40},
		{"the newest", 4, 100, []int{50, 10, 5}, []int{50, 10}, 1, 40},
		{"a small one after a large one", 4, 100, []int{10, 60, 5}, []int{10}, 1, 40},
		{"all", 4, 100, []int{10, 60, 5}, nil, 1, 95},
		{"by number", 4, 0, []int{10, 60, 5, 7}, []int{10, 60, 5}, 1, 40},
		{"a larger one than may wait", 4, 100, []int{1}, nil, 1, 500},
		{"what takes the place of one", 2, 100, []int{50, 45}, []int{50}, 0, 40},
		{"one that is large, and no bytes are added", 3, 100, []int{500, 1}, []int{500, 1}, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			left := 0
			o := &hook.Options{
				FlushesItself: true, ClassOf: classOfSized, LeftOut: func() { left++ }, MailboxBytes: tt.bytes, Overflow: hook.LeaveOutNewest,
			}
			so := SpawnOptions{MailboxLimit: int(tt.limit) + 1, Overflow: OverflowExit}
			p, pid, err := quietSystem(t, Config{}).Inside(hook.Key{}).Spawn(&transport{}, &transport{}, o, so)
			if err != nil {
				t.Fatal(err)
			}
			defer pid.Exit(ErrKilled)
			p.mu.Lock()
			p.push(item{msg: "for the handler"}) // the bytes of the first in an empty mailbox do not count
			for _, n := range tt.waits {
				p.push(item{msg: sized{bytes: n}, load: loadOf(n) | yields})
			}
			p.leaveOutNewest(tt.count, tt.adds)
			var remain []int
			for it := range p.queue.items.All() {
				if m, ok := it.msg.(sized); ok {
					remain = append(remain, m.bytes)
				}
			}
			p.mu.Unlock()
			if want := len(tt.waits) - len(tt.remain); !slices.Equal(remain, tt.remain) || left != want {
				t.Errorf("%d remain, %d left out; want %d and %d", remain, left, tt.remain, want)
			}
		})
	}
}

// Who gives up lets in those that have waited after it, if they are smaller.
func TestSendWait_givesUpBeforeASmallerOne(t *testing.T) {
	o := &hook.Options{FlushesItself: true, ClassOf: classOfSized, MailboxBytes: 100, Overflow: hook.LeaveOutOldest}
	h := &transport{}
	p, pid, err := quietSystem(t, Config{}).Inside(hook.Key{}).Spawn(h, h, o, SpawnOptions{MailboxLimit: 10, Overflow: OverflowExit})
	if err != nil {
		t.Fatal(err)
	}
	defer pid.Exit(ErrKilled)
	pid.Send("for the handler") // the bytes of the first in an empty mailbox do not count
	pid.Send(sized{bytes: 60, class: &hook.Class{Key: "k"}})
	waits := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.waitsForRoom()
	}
	in := make(chan error, 1)
	giveUp := p.askRoom(sized{bytes: 90}, func(_ any, err error) { t.Errorf("the one that gives up gets the answer %v", err) })
	p.askRoom(sized{bytes: 5}, func(_ any, err error) { in <- err })
	if !waits() || len(in) > 0 {
		t.Fatal("the smaller one has overtaken one that waits")
	}
	giveUp()
	if waits() {
		t.Fatal("the smaller one still waits, and there is room")
	}
	if err := <-in; err != nil {
		t.Errorf("the smaller one: %v, want nil", err)
	}
}
