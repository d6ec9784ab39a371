package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom, errLost = errors.New("boom"), errors.New("peer lost")

// hosted is a hosted process that writes down what happens, and on which goroutine.
type hosted struct {
	port      *host.Port
	ctx       context.Context
	init      func() error
	terminate func()

	mu        sync.Mutex
	list      []string
	where     map[string]string // the goroutine of each entry
	turnEnd   func()
	overflows []string // the goroutines on which Overflow ran
	buf       bytes.Buffer
}

func start(t *testing.T, o actor.SpawnOptions, before ...func(*hosted)) *hosted {
	t.Helper()
	h := &hosted{where: make(map[string]string)}
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.NewTextHandler(&locked{h: h}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if log := h.log(); strings.Contains(log, "a path of the actor engine was reached") {
			t.Errorf("the engine's own paths were reached:\n%s", log)
		}
	})
	h.port, err = host.Spawn(sys, h, o, host.Hooks{
		TurnEnd: func(delivering bool) {
			h.note(fmt.Sprintf("turn end, delivering %t", delivering))
			if f := h.turnEnd; f != nil {
				h.turnEnd = nil
				f()
			}
		},
		Overflow: func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.overflows = append(h.overflows, goroutine())
		},
		Ending: func(reason error) { h.note(fmt.Sprintf("ending: %v", reason)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		f(h)
	}
	return h
}

// locked is where the log goes.
type locked struct{ h *hosted }

func (l *locked) Write(p []byte) (int, error) {
	l.h.mu.Lock()
	defer l.h.mu.Unlock()
	return l.h.buf.Write(p)
}

func (h *hosted) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

func (h *hosted) Init(ctx context.Context) error {
	h.ctx = ctx
	h.note("init")
	if h.init != nil {
		return h.init()
	}
	return nil
}

func (h *hosted) Receive(_ context.Context, msg any) error {
	if f, ok := msg.(func() error); ok {
		return f()
	}
	h.note(fmt.Sprint(msg))
	return nil
}

func (h *hosted) Terminate(_ context.Context, reason error) {
	h.note(fmt.Sprintf("terminate: %v", reason))
	if h.terminate != nil {
		h.terminate()
	}
}

func (h *hosted) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, what)
	h.where[what] = goroutine()
}

func (h *hosted) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.list)
}

func (h *hosted) on(what string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.where[what]
}

// goroutine names the goroutine that calls it.
func goroutine() string {
	var buf [64]byte
	line, _, _ := strings.Cut(string(buf[:runtime.Stack(buf[:], false)]), " [")
	return line
}

func (h *hosted) want(t *testing.T, want ...string) {
	t.Helper()
	if got := h.all(); !slices.Equal(got, want) {
		t.Errorf("happened\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestPort_Start_runsInitHereAndThenWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		if !h.port.PID().Send("sent before") || !h.port.PID().Alive() {
			t.Errorf("a process that has not started takes no messages")
		}
		synctest.Wait()
		h.want(t)
		h.port.Start()
		h.want(t, "init", "sent before", "turn end, delivering true")
		for _, what := range h.all() {
			if h.on(what) != goroutine() {
				t.Errorf("%q ran on %s, want on the caller's, %s", what, h.on(what), goroutine())
			}
		}
		if actor.Self(h.ctx) != h.port.PID() || host.ActorOf(h.ctx) != actor.Actor(h) {
			t.Errorf("ctx: Self %v, ActorOf %v", actor.Self(h.ctx), host.ActorOf(h.ctx))
		}
		h.port.Start() // again: nothing
		h.want(t, "init", "sent before", "turn end, delivering true")
	})
}

func TestPort_Start_afterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.PID().Exit(actor.ErrKilled)
		h.port.Start()
		h.want(t)
		if h.port.Deliver("frame") {
			t.Errorf("Deliver = true")
		}
	})
}

func TestPort_Start_initFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.init = func() error { return errBoom } })
		h.port.Start()
		synctest.Wait()
		h.want(t, "init", "ending: boom", "terminate: boom")
		if h.port.Deliver("frame") || h.port.PID().Alive() {
			t.Errorf("lives after a failed Init")
		}
		if strings.Contains(h.log(), "process ended") {
			t.Errorf("the end of a hosted process was logged: %s", h.log())
		}
	})
}

func TestPort_Deliver_atRestRunsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		if !h.port.Deliver("frame") {
			t.Errorf("Deliver = false")
		}
		h.want(t, "init", "turn end, delivering true", "frame", "turn end, delivering true")
		if h.on("frame") != goroutine() || h.on("turn end, delivering true") != goroutine() {
			t.Errorf("the frame ran on %s, want on the caller's, %s", h.on("frame"), goroutine())
		}
		h.port.PID().Send("sent")
		synctest.Wait()
		if h.on("sent") == goroutine() {
			t.Errorf("a message ran on its sender's goroutine")
		}
		if got := h.all(); got[len(got)-1] != "turn end, delivering false" {
			t.Errorf("the last entry is %q, want the turn's end on a worker", got[len(got)-1])
		}
	})
}

func TestPort_Deliver_handlesWhatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.port.Deliver(func() error { h.port.PID().Send("meanwhile"); return nil })
		h.want(t, "init", "turn end, delivering true", "meanwhile", "turn end, delivering true")
		if h.on("meanwhile") != goroutine() {
			t.Errorf("ran on %s, want here, %s", h.on("meanwhile"), goroutine())
		}
	})
}

// busy occupies the process on a worker.
func (h *hosted) busy() (release func()) {
	entered, released := make(chan struct{}), make(chan struct{})
	h.port.PID().Send(func() error { close(entered); <-released; return nil })
	<-entered
	return sync.OnceFunc(func() { close(released) })
}

func TestPort_Deliver_queuesInMailboxOrderWhenBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{MailboxLimit: 1})
		h.port.Start()
		release := h.busy()
		h.port.PID().Send("before")
		delivered := make(chan bool, 2)
		go func() {
			delivered <- h.port.Deliver("frame") // beyond the limit
			delivered <- h.port.Deliver("next frame")
		}()
		synctest.Wait()
		if info, _ := actor.Inspect(h.port.PID()); info.Mailbox != 2 || len(delivered) != 0 {
			t.Errorf("%d wait, %d delivered; want 2 and none", info.Mailbox, len(delivered))
		}
		release()
		for range 2 {
			if !<-delivered {
				t.Errorf("Deliver = false")
			}
		}
		synctest.Wait()
		var got []string
		for _, e := range h.all()[2:] {
			if !strings.HasPrefix(e, "turn end") {
				got = append(got, e)
			}
		}
		if want := []string{"before", "frame", "next frame"}; !slices.Equal(got, want) {
			t.Errorf("handled %q, want %q", got, want)
		}
	})
}

// TestPort_Deliver_saysFalse has one row for each way in which a frame is not handled.
func TestPort_Deliver_saysFalse(t *testing.T) {
	tests := []struct {
		name  string
		queue bool // the frame waits behind a busy callback
		end   func(h *hosted, release func())
	}{
		{"dead", false, func(h *hosted, _ func()) { h.port.PID().Exit(errBoom) }},
		{"behind an Exit", true, func(h *hosted, release func()) { release() }},
		{"killed", true, func(h *hosted, _ func()) { h.port.PID().Exit(actor.ErrKilled) }},
		{"failed", true, func(h *hosted, release func()) { h.port.Fail(errLost); release() }},
		{"shutdown time over", true, func(*hosted, func()) { time.Sleep(time.Minute) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				h.port.Start()
				release := func() {}
				delivered := make(chan bool, 1)
				if tt.queue {
					release = h.busy()
					h.port.PID().Exit(errBoom)
					go func() { delivered <- h.port.Deliver("frame") }()
					synctest.Wait()
				}
				tt.end(h, release)
				synctest.Wait()
				if !tt.queue {
					delivered <- h.port.Deliver("frame")
				}
				if <-delivered {
					t.Errorf("Deliver = true")
				}
				if h.port.Deliver("another") {
					t.Errorf("a later Deliver = true")
				}
				release()
				synctest.Wait()
				if slices.Contains(h.all(), "frame") {
					t.Errorf("the frame was handled: %q", h.all())
				}
			})
		})
	}
}

func TestPort_Deliver_saysFalseWhenTheFrameEndsTheProcess(t *testing.T) {
	for name, f := range map[string]func() error{
		"error": func() error { return errBoom },
		"panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				h.port.Start()
				if h.port.Deliver(f) {
					t.Errorf("Deliver = true")
				}
				synctest.Wait()
				if got := h.all(); len(got) != 4 || !strings.HasPrefix(got[2], "ending") || !strings.HasPrefix(got[3], "terminate") {
					t.Errorf("happened %q", got)
				}
			})
		})
	}
}

func TestPort_Deliver_goexitEndsTheProcessOnTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		var wg sync.WaitGroup
		wg.Go(func() {
			h.port.Deliver(func() error { runtime.Goexit(); return nil })
			t.Errorf("Deliver returned")
		})
		wg.Wait()
		synctest.Wait()
		if h.port.PID().Alive() {
			t.Errorf("the process lives")
		}
		h.want(t, "init", "turn end, delivering true", "ending: panic: runtime.Goexit in a callback",
			"terminate: panic: runtime.Goexit in a callback")
	})
}

// A host's goroutine has a transport to see to: it does not wait for Terminate.
func TestPort_Deliver_doesNotWaitForTerminate(t *testing.T) {
	for name, f := range map[string]func(*hosted){
		"Deliver": func(h *hosted) {
			h.port.Start()
			h.port.Deliver(func() error { return errBoom })
		},
		"Start": func(h *hosted) {
			h.init = func() error { return errBoom }
			h.port.Start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.terminate = func() { <-release } })
				f(h)
				if !h.port.PID().Alive() {
					t.Errorf("dead while Terminate runs")
				}
				close(release)
				synctest.Wait()
				if h.port.PID().Alive() {
					t.Errorf("alive when Terminate has returned")
				}
			})
		})
	}
}

// TestKill_whileTheEndIsHandedOver: no callback runs then, so no goroutine may be reported as left.
func TestKill_whileTheEndIsHandedOver(t *testing.T) {
	var log bytes.Buffer
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		port, err := host.Spawn(sys, receive(func(context.Context, any) error { return errBoom }), actor.SpawnOptions{},
			host.Hooks{Ending: func(error) {}})
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		port.Deliver("frame")
		port.PID().Exit(actor.ErrKilled)
	}
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if n := strings.Count(log.String(), "its goroutine is left"); n > 0 {
		t.Errorf("%d of 500 kills reported a goroutine as left", n)
	}
}

func TestTurn_isGivenAwayWhenItIsLong(t *testing.T) {
	tests := []struct {
		name  string
		sends int
		slow  time.Duration // of each message
		here  int           // how many of the messages are handled on the reader's goroutine
	}{
		{"short", 10, 0, 10},
		{"64 messages, the frame too", 200, 0, 63},
		{"a millisecond", 10, 300 * time.Microsecond, 3},
		{"the frame alone takes a millisecond", 10, time.Millisecond, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				h.port.Start()
				reader := goroutine()
				here, total := 0, 0
				if !h.port.Deliver(func() error {
					for range tt.sends {
						h.port.PID().Send(func() error {
							if total++; goroutine() == reader {
								here++
							}
							time.Sleep(tt.slow)
							return nil
						})
					}
					time.Sleep(tt.slow)
					return nil
				}) {
					t.Errorf("Deliver = false")
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if here != tt.here || total != tt.sends {
					t.Errorf("%d of %d on the reader's goroutine, want %d of %d", here, total, tt.here, tt.sends)
				}
				last := h.all()[len(h.all())-1]
				if want := fmt.Sprintf("turn end, delivering %t", tt.here == tt.sends); last != want {
					t.Errorf("the last entry is %q, want %q", last, want)
				}
			})
		})
	}
}

func TestTurnEnd_runsBeforeTheProcessIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.turnEnd = func() { h.port.PID().Send("sent in TurnEnd") }
		h.port.Deliver("frame")
		end := "turn end, delivering true"
		h.want(t, "init", end, "frame", end, "sent in TurnEnd", end)
		if h.on("sent in TurnEnd") != goroutine() {
			t.Errorf("another turn has begun while TurnEnd ran")
		}
	})
}

func TestTurnEnd_showsInInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		var info actor.ProcessInfo
		h.turnEnd = func() { info, _ = actor.Inspect(h.port.PID()) }
		h.port.Deliver("frame")
		if info.Handling != "turn end" {
			t.Errorf("Handling %q, want turn end", info.Handling)
		}
	})
}

func TestTurnEnd_panicEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.turnEnd = func() { panic("boom") }
		if h.port.Deliver("frame") {
			t.Errorf("Deliver = true")
		}
		synctest.Wait()
		synctest.Wait()
		end := "turn end, delivering true"
		h.want(t, "init", end, "frame", end, "ending: panic: boom", "terminate: panic: boom")
	})
}

// TestTurnEnd_killed: the flush of a socket may be stuck when its process is killed.
func TestTurnEnd_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		released := make(chan struct{})
		h.turnEnd = func() { <-released }
		delivered := make(chan bool, 1)
		go func() { delivered <- h.port.Deliver("frame") }()
		synctest.Wait()
		h.port.PID().Exit(actor.ErrKilled)
		if h.port.PID().Alive() {
			t.Errorf("lives after the kill")
		}
		if got := strings.Count(h.log(), "its goroutine is left"); got != 1 {
			t.Errorf("%d goroutines reported as left, want 1: %s", got, h.log())
		}
		close(released)
		if <-delivered {
			t.Errorf("Deliver = true")
		}
	})
}

func TestOverflow_isCalledOnceOnTheSendersGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{MailboxLimit: 1, Overflow: actor.OverflowExit})
		h.port.Start()
		release := h.busy()
		for range 5 {
			h.port.PID().Send("flood")
		}
		if !slices.Equal(h.overflows, []string{goroutine()}) {
			t.Errorf("Overflow ran on %v, want once on the sender's, %s", h.overflows, goroutine())
		}
		release()
		synctest.Wait()
		h.want(t, "init", "turn end, delivering true", "ending: "+actor.ErrOverload.Error(), "terminate: "+actor.ErrOverload.Error())
	})
}

func TestPort_Fail(t *testing.T) {
	tests := []struct {
		name string
		run  func(h *hosted)
		want []string
	}{
		{"at rest", func(h *hosted) { h.port.Start(); h.port.Fail(errLost) },
			[]string{"init", "turn end, delivering true", "ending: peer lost", "terminate: peer lost"}},
		{"overtakes the queue", func(h *hosted) {
			h.port.Start()
			release := h.busy()
			h.port.PID().Send("waits")
			h.port.PID().Exit(errBoom)
			h.port.Fail(errLost)
			release()
		}, []string{"init", "turn end, delivering true", "ending: peer lost", "terminate: peer lost"}},
		{"in a callback, which finishes", func(h *hosted) {
			h.port.Start()
			h.port.Deliver(func() error { h.port.Fail(errLost); h.note("callback returns"); return nil })
		}, []string{"init", "turn end, delivering true", "callback returns", "ending: peer lost", "terminate: peer lost"}},
		{"before Start: Init runs, nothing else", func(h *hosted) {
			h.port.PID().Send("waits")
			h.port.Fail(errLost)
			h.port.Start()
		}, []string{"init", "ending: peer lost", "terminate: peer lost"}},
		{"never started: the shutdown time ends it", func(h *hosted) {
			h.port.Fail(errLost)
			time.Sleep(time.Minute)
		}, nil},
		{"after the end: nothing", func(h *hosted) {
			h.port.PID().Exit(actor.ErrKilled)
			h.port.Fail(errLost)
		}, nil},
		{"in Ending: nothing", func(h *hosted) {
			h.port.Start()
			host.OnExit(h.port.PID(), func(error) { h.port.Fail(errLost); h.port.PID().Exit(errLost) })
			h.port.PID().Exit(errBoom)
		}, []string{"init", "turn end, delivering true", "ending: boom", "terminate: boom"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				tt.run(h)
				synctest.Wait()
				h.want(t, tt.want...)
				if h.port.PID().Alive() {
					t.Errorf("the process lives")
				}
			})
		})
	}
}

func TestPort_Fail_panicsOnNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		defer func() {
			if recover() == nil {
				t.Errorf("Fail(nil) did not panic")
			}
		}()
		h.port.Fail(nil)
	})
}

func TestOnExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		pid := h.port.PID()
		h.port.Start()
		exit := func(name string) func(error) {
			return func(reason error) {
				h.note(fmt.Sprintf("%s: %v, alive %t, ctx %v", name, reason, pid.Alive(), h.ctx.Err()))
			}
		}
		host.OnExit(pid, exit("first"))
		cancel, ok := host.OnExit(pid, exit("cancelled"))
		if !ok {
			t.Errorf("OnExit of a living process: false")
		}
		host.OnExit(pid, func(error) { panic("in a hook") })
		host.OnExit(pid, func(reason error) {
			if _, ok := host.OnExit(pid, exit("late")); ok {
				t.Errorf("OnExit while the hooks run: true")
			}
			if !pid.Exit(actor.ErrKilled) { // it is ending anyway; nothing may hang
				t.Errorf("Exit in a hook: false")
			}
		})
		host.OnExit(pid, exit("last"))
		cancel()
		cancel()
		pid.Exit(errBoom)
		synctest.Wait()
		h.want(t, "init", "turn end, delivering true", "ending: boom", "terminate: boom",
			"first: boom, alive true, ctx <nil>", "last: boom, alive true, ctx <nil>")
		if !strings.Contains(h.log(), `where="exit hook" panic="in a hook"`) {
			t.Errorf("the panic was not logged: %s", h.log())
		}
		cancel()
		if cancel, ok := host.OnExit(pid, exit("dead")); ok {
			t.Errorf("OnExit of a dead process: true")
		} else {
			cancel()
		}
		if _, ok := host.OnExit(actor.PID{}, exit("nobody")); ok {
			t.Errorf("OnExit of nobody: true")
		}
	})
}

func TestOnExit_goexitDoesNotKeepTheProcessFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		host.OnExit(h.port.PID(), func(error) { runtime.Goexit() })
		host.OnExit(h.port.PID(), func(error) { h.note("second hook") })
		go h.port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		if h.port.PID().Alive() || !slices.Contains(h.all(), "second hook") {
			t.Errorf("alive %t, happened %q", h.port.PID().Alive(), h.all())
		}
	})
}

func TestOnExit_runsBeforeAnyDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		host.OnExit(h.port.PID(), func(error) { time.Sleep(time.Second); h.note("hook") })
		go func() {
			actor.Wait(context.Background(), h.port.PID())
			h.note("waited")
		}()
		synctest.Wait()
		h.port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		h.want(t, "init", "turn end, delivering true", "hook", "waited")
	})
}

func TestCalling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(context.Background())
		var got []bool
		pid, err := sys.Spawn(receive(func(ctx context.Context, _ any) error {
			got = append(got, host.Calling(ctx))
			actor.Reply(ctx, nil)
			return nil
		}), actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pid.Send("sent")
		actor.Call[any](context.Background(), pid, "called")
		if !slices.Equal(got, []bool{false, true}) {
			t.Errorf("Calling: %v, want false for a message and true for a Call", got)
		}
		if host.ActorOf(context.Background()) != nil || host.Calling(context.Background()) {
			t.Errorf("a ctx of no process has an actor")
		}
	})
}

type receive func(ctx context.Context, msg any) error

func (f receive) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

func TestSpawn_afterShutdown(t *testing.T) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sys.Shutdown(context.Background())
	if port, err := host.Spawn(sys, receive(nil), actor.SpawnOptions{}, host.Hooks{}); !errors.Is(err, actor.ErrShutdown) || port != nil {
		t.Errorf("Spawn after Shutdown = %v, %v; want ErrShutdown", port, err)
	}
}
