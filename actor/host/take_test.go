package host_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// takes has something sent to a process at rest, hands over a frame, and takes the turn, until that has happened before a worker
// has begun it: with one processor that is so unless this goroutine is preempted in between.
func takes(t *testing.T, h *hosted, sent, frame any) host.Delivery {
	t.Helper()
	for range 1000 {
		synctest.Wait()
		h.mu.Lock()
		h.list = nil
		h.mu.Unlock()
		h.port.PID().Send(sent)
		if h.port.Hand(frame) != host.Queued {
			continue
		}
		if h.port.Take() {
			return h.port.Run()
		}
	}
	t.Fatal("in 1000 attempts no turn could be taken")
	return 0
}

// A turn that waits for a worker is taken by the host's goroutine: what waits is handled in its order. The worker, which comes
// later, finds nothing, and what comes before it has one all the same.
func TestPort_Take(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.options.FlushesItself = true })
		h.port.Start()
		if h.port.Take() {
			t.Error("Take at rest: true, want false")
		}
		if got := takes(t, h, "sent", "frame"); got != host.Going {
			t.Errorf("Run: got %v, want Going", got)
		}
		h.want(t, "sent", "frame")
		if got, want := h.on("frame"), goroutine(); got != want {
			t.Errorf("the frame was handled on %s, want the host's %s", got, want)
		}
		h.port.PID().Send("later")
		h.port.Hand("last")
		synctest.Wait()
		want := []string{"sent", "frame", "later", "last", "turn end, delivering false"}
		if h.on("last") == goroutine() { // this one was preempted after its Send
			want[3], want[4] = want[4], want[3]
		}
		h.want(t, want...)
		release := h.busy()
		h.port.Hand("waits")
		if h.port.Take() {
			t.Error("Take of a turn that runs: true, want false")
		}
		release()
		synctest.Wait()
		if got := h.on("waits"); got == goroutine() || got == "" {
			t.Errorf("what waits for a worker that is busy was handled on %q, want that of the worker", got)
		}
	})
}

// What a callback does to its process in a turn that was taken is as in one of Hand.
func TestPort_Take_ends(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	for name, fail := range map[string]func(h *hosted) error{
		"an error": func(*hosted) error { return errBoom },
		"a panic":  func(*hosted) error { panic(errBoom) },
		"a kill":   func(h *hosted) error { h.port.PID().Exit(errors.Join(errBoom, actor.ErrKilled)); return nil },
		"an exit":  func(h *hosted) error { h.port.PID().Exit(errBoom); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.brief = true })
				h.port.Start()
				took := takes(t, h, "sent", func() error { return fail(h) })
				if took != host.Ended {
					t.Errorf("Run: got %v, want Ended", took)
				}
				synctest.Wait()
				if h.port.PID().Alive() || h.reason == nil || !strings.Contains(h.reason.Error(), "boom") {
					t.Errorf("alive %t, ended by %v; want dead, by %v", h.port.PID().Alive(), h.reason, errBoom)
				}
			})
		})
	}
}

// A turn that is taken may be relieved, and is given away again when it is long.
func TestPort_Take_long(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{MailboxLimit: -1}, func(h *hosted) { h.options.FlushesItself = true })
		h.port.Start()
		relieved := false
		if got := takes(t, h, func() error { relieved = h.port.Relieve(0); return nil }, "frame"); got != host.Relieved || !relieved {
			t.Errorf("relieved %t: got %v, want Relieved", relieved, got)
		}
		h.want(t, "frame", "turn end, delivering false")
		here, all := 0, 0
		reader := goroutine()
		count := func() error {
			if all++; goroutine() == reader {
				here++
			}
			return nil
		}
		takes(t, h, func() error {
			here, all = 0, 0
			for range 200 {
				h.port.PID().Send(count)
			}
			return nil
		}, "frame")
		synctest.Wait()
		if here != 64 || all != 200 {
			t.Errorf("%d of %d messages that came meanwhile were handled on the host's goroutine, want 64 of 200", here, all)
		}
	})
}

// TestPort_Take_race: several senders and the readers, which take turns and are relieved. What comes from each is handled once, in
// its order, and no two callbacks overlap.
func TestPort_Take_race(t *testing.T) {
	const senders, each = 4, 5000
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &crossroads{t: t, done: make(chan struct{}), last: each, want: make([]int, senders+1), left: (senders + 1) * each}
	if c.port, err = host.Spawn(sys, c, actor.SpawnOptions{MailboxLimit: -1}, &host.Options{FlushesItself: true}); err != nil {
		t.Fatal(err)
	}
	c.begin(func() host.Delivery { return c.port.Start() })
	var others sync.WaitGroup
	for from := range senders {
		others.Go(func() {
			for n := range each {
				c.port.PID().Send(numbered{from, n})
				if n%8 == 0 {
					runtime.Gosched() // the process comes to rest now and then
				}
			}
		})
	}
	others.Go(func() {
		for {
			select {
			case <-c.done:
				return
			default:
			}
			if c.port.Relieve(0) {
				c.relieved.Add(1)
				c.begin(nil)
			}
			runtime.Gosched()
		}
	})
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		t.Fatal("not all messages were handled, in a minute")
	}
	others.Wait()
	c.port.PID().Exit(actor.ErrNormal)
	c.readers.Wait()
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if c.relieved.Load() != c.back.Load() {
		t.Errorf("%d readers were relieved, and %d came back so", c.relieved.Load(), c.back.Load())
	}
	if c.took.Load() == 0 {
		t.Error("no turn was taken: this shows nothing")
	}
}

type numbered struct{ from, n int }

// crossroads is a Host that gets numbered messages from several senders, and from readers that follow each other.
type crossroads struct {
	plain
	t    *testing.T
	port host.Port
	done chan struct{}
	last int

	inside atomic.Int32
	want   []int // the next number of each sender; of the reader's the last
	left   int

	readers              sync.WaitGroup
	next                 int // what the reader hands over next; the reader's
	took, relieved, back atomic.Int64
}

func (c *crossroads) Receive(_ context.Context, msg any) error {
	if c.inside.Add(1) != 1 {
		c.t.Error("two callbacks overlap")
	}
	defer c.inside.Add(-1)
	m := msg.(numbered)
	if m.n != c.want[m.from] {
		c.t.Errorf("message %d of sender %d is handled, want %d", m.n, m.from, c.want[m.from])
	}
	c.want[m.from] = m.n + 1
	if m.n%100 == 0 {
		runtime.Gosched()
	}
	if c.left--; c.left == 0 {
		close(c.done)
	}
	return nil
}

// begin begins a reader, after first.
func (c *crossroads) begin(first func() host.Delivery) {
	c.readers.Go(func() {
		if first != nil && first() == host.Relieved {
			c.back.Add(1)
			return
		}
		for c.next < c.last {
			m := numbered{len(c.want) - 1, c.next}
			c.next++
			if m.n%3 == 0 {
				c.port.PID().Send(m)
				continue
			}
			d := c.port.Hand(m)
			if d == host.Queued && c.port.Take() {
				d = c.port.Run()
				c.took.Add(1)
			}
			switch d {
			case host.Relieved:
				c.back.Add(1)
				return
			case host.Ended:
				c.t.Errorf("message %d: Ended", m.n)
				return
			case host.Queued:
				runtime.Gosched()
			}
		}
	})
}

// A turn that was taken is seen as one of Hand is.
func TestPort_Take_inspect(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		var during []bool
		see := func() error {
			info, err := actor.Inspect(h.port.PID())
			during = append(during, err == nil && info.Handling != "" && h.port.Delivering() && h.port.Callback() > 0)
			return nil
		}
		takes(t, h, see, see)
		if want := []bool{true, true}; !slices.Equal(during[len(during)-2:], want) {
			t.Errorf("Inspect, Delivering and Callback show the turn that was taken: %v, want %v", during, want)
		}
	})
}
