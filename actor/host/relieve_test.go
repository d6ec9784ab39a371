package host_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

var deliveries = map[host.Delivery]string{host.Ended: "Ended", host.Going: "Going", host.Queued: "Queued", host.Relieved: "Relieved"}

// reader is a goroutine of the host that is in a Start or Hand.
type reader struct {
	name string // its goroutine
	came chan host.Delivery
}

// hand has a new reader hand over a callback that blocks until release, and waits until it runs.
func (h *hosted) hand(t *testing.T, returns error) (r *reader, release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	r = read(func() host.Delivery {
		return h.port.Hand(func() error { close(entered); <-released; h.note("callback"); return returns })
	})
	<-entered
	return r, sync.OnceFunc(func() { close(released) })
}

func read(f func() host.Delivery) *reader {
	r := &reader{came: make(chan host.Delivery, 1)}
	named := make(chan struct{})
	go func() {
		r.name = goroutine()
		close(named)
		r.came <- f()
	}()
	<-named
	return r
}

// wantBack waits for the reader to come back.
func (r *reader) wantBack(t *testing.T, want host.Delivery) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-r.came:
		if got != want {
			t.Errorf("the reader comes back with %s, want %s", deliveries[got], deliveries[want])
		}
	default:
		t.Errorf("the reader does not come back, want %s", deliveries[want])
	}
}

func (h *hosted) wantHand(t *testing.T, what string, msg any, want host.Delivery) {
	t.Helper()
	if got := h.port.Hand(msg); got != want {
		t.Errorf("Hand %s: %s, want %s", what, deliveries[got], deliveries[want])
	}
}

func TestPort_Hand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{MailboxLimit: 1}, func(h *hosted) { h.options.FlushesItself = true })
		h.wantHand(t, "before Start", "early", host.Queued)
		if got := h.port.Start(); got != host.Going {
			t.Errorf("Start: %s, want Going", deliveries[got])
		}
		h.wantHand(t, "at rest", "here", host.Going)
		if h.on("early") != goroutine() || h.on("here") != goroutine() {
			t.Errorf("ran on %s and %s, want on the caller's, %s", h.on("early"), h.on("here"), goroutine())
		}
		release := h.busy()
		h.wantHand(t, "while a worker is busy", "first", host.Queued)
		h.port.PID().Send("between")
		h.wantHand(t, "beyond the limit", "second", host.Queued)
		if info, _ := actor.Inspect(h.port.PID()); info.Mailbox != 3 || h.port.Delivering() {
			t.Errorf("%d wait, Delivering %t; want 3, false", info.Mailbox, h.port.Delivering())
		}
		release()
		synctest.Wait()
		h.wantHand(t, "when it rests again", "here again", host.Going)
		h.want(t, "init", "early", "here", "first", "between", "second", "turn end, delivering false", "here again")

		release = h.busy()
		h.wantHand(t, "before an Exit", "before", host.Queued)
		h.port.PID().Exit(errBoom)
		h.wantHand(t, "after an Exit, which waits", "after", host.Ended)
		release()
		synctest.Wait()
		h.wantHand(t, "to the dead", "dead", host.Ended)
		if got, want := h.all()[8:], []string{"before", "ending: boom", "terminate: boom"}; !slices.Equal(got, want) {
			t.Errorf("after the Exit happened %q, want %q", got, want)
		}
	})
}

// The turn goes on on the goroutine that was relieved as on any worker, and another reader hands over meanwhile.
func TestPort_Relieve(t *testing.T) {
	for _, flushesItself := range []bool{false, true} {
		t.Run(fmt.Sprintf("FlushesItself %t", flushesItself), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{MailboxLimit: -1}, func(h *hosted) { h.options.FlushesItself = flushesItself })
				h.port.Start()
				before := len(h.all())
				r, release := h.hand(t, nil)
				if !h.port.Delivering() {
					t.Error("Delivering before: false")
				}
				if !h.port.Relieve(0) || h.port.Relieve(0) || h.port.Delivering() {
					t.Errorf("Relieve, Relieve again, Delivering: want true, false, false")
				}
				var want []string
				for i := range 100 { // a reader would give so long a turn away
					name := fmt.Sprint("message ", i)
					h.wantHand(t, "while the callback runs", name, host.Queued)
					want = append(want, name)
				}
				release()
				r.wantBack(t, host.Relieved)
				want = append(append([]string{"callback"}, want...), "turn end, delivering false")
				if got := h.all()[before:]; !slices.Equal(got, want) {
					t.Errorf("happened %q, want %q", got, want)
				}
				for _, what := range want {
					if h.on(what) != r.name {
						t.Errorf("%q ran on %s, want on the one that was relieved, %s", what, h.on(what), r.name)
						break
					}
				}
				h.wantHand(t, "at rest again", "here", host.Going)
				if h.on("here") != goroutine() {
					t.Errorf("at rest again it ran on %s, want here, %s", h.on("here"), goroutine())
				}
			})
		})
	}
}

// What a callback has pushed that was relieved leaves, also when nothing waits for the process: its reader does not see to that.
func TestPort_Relieve_flushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.options.FlushesItself = true })
		h.port.Start()
		r, release := h.hand(t, nil)
		h.port.Relieve(0)
		release()
		r.wantBack(t, host.Relieved)
		h.want(t, "init", "callback", "turn end, delivering false")
	})
}

// Only a callback that has been running for so long is relieved.
func TestPort_Relieve_after(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		time.Sleep(time.Minute)
		r, release := h.hand(t, nil)
		time.Sleep(time.Second - 1)
		if h.port.Relieve(time.Second) {
			t.Error("Relieve(1s) of a callback that has been running for less: true")
		}
		time.Sleep(time.Nanosecond)
		if !h.port.Relieve(time.Second) {
			t.Error("Relieve(1s) of a callback that has been running for 1s: false")
		}
		release()
		r.wantBack(t, host.Relieved)
	})
}

// Where there is no goroutine of the host to be relieved, nothing changes.
func TestPort_Relieve_saysFalse(t *testing.T) {
	tests := map[string]func(t *testing.T, h *hosted, relieve func(what string)){
		"before Start, at rest, dead": func(t *testing.T, h *hosted, relieve func(string)) {
			relieve("before Start")
			h.port.Start()
			relieve("at rest after Start")
			h.wantHand(t, "at rest", "frame", host.Going)
			relieve("at rest after Hand")
			h.port.PID().Exit(actor.ErrKilled)
			relieve("dead")
		},
		"a worker has the turn": func(t *testing.T, h *hosted, relieve func(string)) {
			h.port.Start()
			release := h.busy()
			relieve("while a worker is busy")
			h.wantHand(t, "while a worker is busy", "frame", host.Queued)
			relieve("with a message that waits for it")
			release()
		},
		"in Terminate": func(t *testing.T, h *hosted, relieve func(string)) {
			h.brief = true
			h.terminate = func() { relieve("in Terminate") }
			h.port.Start()
			h.wantHand(t, "that ends", func() error { return errBoom }, host.Ended)
		},
		"killed": func(t *testing.T, h *hosted, relieve func(string)) {
			h.port.Start()
			r, release := h.hand(t, nil)
			h.port.PID().Exit(actor.ErrKilled)
			relieve("killed in a callback")
			if !h.port.Delivering() {
				t.Error("Delivering: false, want true, for the reader is in the callback")
			}
			release()
			r.wantBack(t, host.Ended)
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				test(t, h, func(what string) {
					if h.port.Relieve(0) {
						t.Errorf("Relieve %s: true", what)
					}
				})
			})
		})
	}
}

func TestPort_Relieve_ofInit(t *testing.T) {
	for _, fails := range []error{nil, errBoom} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				entered, released := make(chan struct{}), make(chan struct{})
				h := start(t, actor.SpawnOptions{}, func(h *hosted) {
					h.options.FlushesItself = true
					h.init = func() error { close(entered); <-released; return fails }
				})
				r := read(h.port.Start)
				<-entered
				if !h.port.Relieve(0) {
					t.Fatal("Relieve in Init: false")
				}
				h.wantHand(t, "in Init", "frame", host.Queued)
				close(released)
				r.wantBack(t, host.Relieved)
				if fails == nil {
					h.want(t, "init", "frame", "turn end, delivering false")
					h.wantHand(t, "at rest", "here", host.Going)
				} else {
					h.want(t, "init", "ending: boom", "terminate: boom")
				}
				for what := range h.where {
					if what != "here" && h.on(what) != r.name {
						t.Errorf("%q ran on %s, want on the goroutine of Start, %s", what, h.on(what), r.name)
					}
				}
			})
		})
	}
}

// Hosts that leave TurnEnd to their reader may be relieved in it: what they have left there is seen to by another call.
func TestPort_Relieve_ofTurnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.turnEnd = func() {
			if !h.port.Relieve(0) {
				t.Error("Relieve in TurnEnd: false")
			}
		}
		h.wantHand(t, "with a long TurnEnd", "frame", host.Relieved)
		h.want(t, "init", "turn end, delivering true", "frame", "turn end, delivering true", "turn end, delivering false")
	})
}

// However the callback or its process ends, the goroutine comes back as Relieved, and the books of the System are right:
// start looks at those.
func TestPort_Relieve_andTheEnd(t *testing.T) {
	ended := func(reason string) []string { return []string{"callback", "ending: " + reason, "terminate: " + reason} }
	panicked := []string{"ending: panic: boom", "terminate: panic: boom"}
	left := "panic: runtime.Goexit in a callback"
	tests := []struct {
		name     string
		callback func(h *hosted) error // after its wait
		during   func(t *testing.T, h *hosted)
		want     []string
		gone     bool // the goroutine does not come back at all
	}{
		{name: "it returns an error", callback: func(*hosted) error { return errBoom }, want: ended("boom")},
		{name: "it panics", callback: func(*hosted) error { panic("boom") }, want: panicked},
		{name: "it leaves its goroutine", callback: func(*hosted) error { runtime.Goexit(); return nil },
			want: []string{"ending: " + left, "terminate: " + left}, gone: true},
		{name: "Decided", callback: func(h *hosted) error {
			h.port.Decided()
			if got := h.port.Hand("late"); got != host.Ended {
				return fmt.Errorf("Hand after Decided: %s", deliveries[got])
			}
			return errBoom
		}, want: ended("boom")},
		{name: "Exit", during: func(_ *testing.T, h *hosted) { h.port.PID().Exit(errBoom) }, want: ended("boom")},
		{name: "Fail", during: func(t *testing.T, h *hosted) {
			h.port.Fail(errLost)
			h.wantHand(t, "after Fail", "late", host.Ended)
		}, want: ended("peer lost")},
		{name: "Fail, and it returns in time", during: func(_ *testing.T, h *hosted) {
			h.port.Fail(errLost)
			time.Sleep(10*time.Second - 1)
		}, want: ended("peer lost")},
		{name: "Fail, and it is abandoned", during: func(t *testing.T, h *hosted) {
			h.port.Fail(errLost)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if reason := h.reason; reason != errLost {
				t.Errorf("Exited got %v, want %v", reason, errLost)
			}
		}, want: []string{"callback"}},
		{name: "the last message waits, and it is abandoned", during: func(t *testing.T, h *hosted) {
			if got := h.port.HandLast("the end", errLost); got != host.Queued {
				t.Errorf("HandLast: %s, want Queued", deliveries[got])
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if reason := h.reason; reason != errLost {
				t.Errorf("Exited got %v, want %v", reason, errLost)
			}
		}, want: []string{"callback"}},
		{name: "the last message waits, and is handled", during: func(_ *testing.T, h *hosted) {
			h.port.HandLast(func() error { h.note("the end"); return errLost }, errLost)
			time.Sleep(10*time.Second - 1)
		}, want: []string{"callback", "the end", "ending: peer lost", "terminate: peer lost"}},
		{name: "killed", during: func(t *testing.T, h *hosted) {
			h.port.PID().Exit(actor.ErrKilled)
			if h.port.Delivering() {
				t.Error("Delivering after a kill: true, want false, for the reader is elsewhere")
			}
		}, want: []string{"callback"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{}, func(h *hosted) {
					h.options = host.Options{FlushesItself: true, AbandonAfter: 10 * time.Second}
				})
				h.port.Start()
				entered, released := make(chan struct{}), make(chan struct{})
				r := read(func() host.Delivery {
					return h.port.Hand(func() error {
						close(entered)
						<-released
						if test.want[0] == "callback" {
							h.note("callback")
						}
						if test.callback == nil {
							return nil
						}
						return test.callback(h)
					})
				})
				<-entered
				if !h.port.Relieve(0) {
					t.Fatal("Relieve: false")
				}
				if test.during != nil {
					test.during(t, h)
				}
				close(released)
				synctest.Wait()
				if !test.gone {
					r.wantBack(t, host.Relieved)
				}
				h.want(t, append([]string{"init"}, test.want...)...)
				for _, what := range test.want {
					if h.on(what) != r.name {
						t.Errorf("%q ran on %s, want on the one that was relieved, %s", what, h.on(what), r.name)
					}
				}
				if _, err := actor.Inspect(h.port.PID()); err == nil {
					t.Error("the process lives")
				}
			})
		})
	}
}

// System.Shutdown waits for a goroutine that has become a worker, as for any.
func TestPort_Relieve_isWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newQuietSystem(t)
		h := &hosted{where: make(map[string]string)}
		var err error
		if h.port, err = host.Spawn(sys, h, actor.SpawnOptions{Shutdown: time.Hour}, nil); err != nil {
			t.Fatal(err)
		}
		h.port.Start()
		r, release := h.hand(t, nil)
		h.port.Relieve(0)
		down := make(chan error, 1)
		go func() { down <- sys.Shutdown(context.Background()) }()
		time.Sleep(time.Minute)
		if len(down) != 0 {
			t.Fatalf("Shutdown returned while the callback ran: %v", <-down)
		}
		release()
		r.wantBack(t, host.Relieved)
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
}

// A host does what a host must: whoever relieves a reader puts the next one in its place. Then there is always exactly one,
// and everything is handled once and in order.
func TestPort_Relieve_race(t *testing.T) {
	const messages = 20_000
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	relay := &relay{t: t, done: make(chan struct{}), last: messages, long: make(chan struct{}), looked: make(chan struct{})}
	if relay.port, err = host.Spawn(sys, relay, actor.SpawnOptions{MailboxLimit: -1}, &host.Options{FlushesItself: true}); err != nil {
		t.Fatal(err)
	}
	relay.begin(func() host.Delivery { return relay.port.Start() })
	var watch sync.WaitGroup
	for range 2 {
		watch.Go(func() {
			for {
				asked := false
				select {
				case <-relay.done:
					return
				case <-relay.long:
					asked = true
				default:
				}
				if relay.port.Relieve(0) {
					relay.relieved.Add(1)
					relay.begin(nil)
				}
				if asked {
					relay.looked <- struct{}{}
				}
				runtime.Gosched()
			}
		})
	}
	select {
	case <-relay.done:
	case <-time.After(time.Minute):
		t.Fatalf("%d of %d messages were handled, in a minute", relay.handled.Load(), messages)
	}
	watch.Wait()
	relay.port.PID().Exit(actor.ErrNormal)
	relay.readers.Wait()
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if relay.back.Load() != relay.relieved.Load() {
		t.Errorf("%d readers were relieved, and %d came back so", relay.relieved.Load(), relay.back.Load())
	}
	if relay.relieved.Load() == 0 {
		t.Error("no reader was relieved: this shows nothing")
	}
}

// relay is a Host whose readers follow each other.
type relay struct {
	plain
	t       *testing.T
	port    host.Port
	last    int64
	done    chan struct{}
	long    chan struct{} // a callback has begun that takes long
	looked  chan struct{} // a watch has seen it
	readers sync.WaitGroup

	next           int64 // what the reader hands over next; the reader's
	handled        atomic.Int64
	relieved, back atomic.Int64
}

func (r *relay) Receive(_ context.Context, msg any) error {
	want := r.handled.Load()
	if got := msg.(int64); got != want {
		r.t.Errorf("message %d is handled, want %d", got, want)
	}
	if want%50 == 0 { // long enough for a watch to look, and then it returns at any moment
		r.long <- struct{}{}
		if want%100 == 0 {
			<-r.looked
		} else {
			defer func() { <-r.looked }()
			runtime.Gosched()
		}
	}
	if r.handled.Add(1) == r.last {
		close(r.done)
	}
	return nil
}

// begin begins a reader, after first.
func (r *relay) begin(first func() host.Delivery) {
	r.readers.Go(func() {
		if first != nil && first() == host.Relieved {
			r.back.Add(1)
			return
		}
		for {
			n := r.next
			r.next++
			d := host.Going
			if n < r.last {
				d = r.port.Hand(n)
			}
			switch d {
			case host.Relieved:
				r.back.Add(1)
				return
			case host.Ended:
				r.t.Errorf("message %d: Ended", n)
				return
			}
			if n >= r.last {
				return
			}
		}
	})
}

// What is at rest is handed over without an allocation.
func TestPort_Hand_allocatesNothing(t *testing.T) {
	sys := newQuietSystem(t)
	port, err := host.Spawn(sys, plain{}, actor.SpawnOptions{}, &host.Options{FlushesItself: true})
	if err != nil {
		t.Fatal(err)
	}
	port.Start()
	msg := any("frame")
	if n := testing.AllocsPerRun(1000, func() { port.Hand(msg) }); n != 0 {
		t.Errorf("%v allocations for a Hand at rest, want 0", n)
	}
}
