package host_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

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
		h.wantHand(t, "to the dead", "frame", host.Ended)
	})
}

func TestPort_Start_initFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.init = func() error { return errBoom } })
		h.port.Start()
		synctest.Wait()
		h.want(t, "init", "ending: boom", "terminate: boom")
		if h.port.Hand("frame") != host.Ended || h.port.PID().Alive() {
			t.Errorf("lives after a failed Init")
		}
		if strings.Contains(h.log(), "process ended") {
			t.Errorf("the end of a hosted process was logged: %s", h.log())
		}
	})
}

func TestPort_Hand_atRestRunsHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.wantHand(t, "at rest", "frame", host.Going)
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

func TestPort_Hand_handlesWhatCameMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		h.port.Hand(func() error { h.port.PID().Send("meanwhile"); return nil })
		h.want(t, "init", "turn end, delivering true", "meanwhile", "turn end, delivering true")
		if h.on("meanwhile") != goroutine() {
			t.Errorf("ran on %s, want here, %s", h.on("meanwhile"), goroutine())
		}
	})
}

func TestPort_Handing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h *hosted
		here := func(what string, want bool) func() error {
			return func() error {
				if got := h.port.Delivering(); got != want {
					t.Errorf("Delivering %s = %v, want %v", what, got, want)
				}
				return nil
			}
		}
		h = start(t, actor.SpawnOptions{})
		h.init = func() error { return here("inside Start", true)() }
		here("before Start", false)()
		h.port.Start()
		here("at rest", false)()
		h.port.Hand(here("inside Hand", true))
		here("after it", false)()
		h.port.PID().Send(here("in a turn of a worker", false))
		synctest.Wait()

		release := h.busy()
		here("while a worker is busy", false)()
		h.port.Hand("frame")
		here("with a message that waits for a worker", false)()
		release()
		synctest.Wait()
		here("after that", false)()

		stuck, free := make(chan struct{}), make(chan struct{})
		go h.port.Hand(func() error { close(stuck); <-free; return nil })
		<-stuck
		h.port.PID().Exit(actor.ErrKilled)
		here("killed inside Hand", true)()
		close(free)
	})
}

// busy occupies the process on a worker.
func (h *hosted) busy() (release func()) {
	entered, released := make(chan struct{}), make(chan struct{})
	h.port.PID().Send(func() error { close(entered); <-released; return nil })
	<-entered
	return sync.OnceFunc(func() { close(released) })
}

// What waits is dropped when the process ends without coming to it.
func TestPort_Hand_dropped(t *testing.T) {
	for name, end := range map[string]func(h *hosted, release func()){
		"killed":             func(h *hosted, _ func()) { h.port.PID().Exit(actor.ErrKilled) },
		"failed":             func(h *hosted, release func()) { h.port.Fail(errLost); release() },
		"shutdown time over": func(h *hosted, _ func()) { h.port.PID().Exit(errBoom); time.Sleep(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				h.port.Start()
				release := h.busy()
				h.wantHand(t, "while a worker is busy", "frame", host.Queued)
				end(h, release)
				synctest.Wait()
				h.wantHand(t, "after the end", "another", host.Ended)
				release()
				synctest.Wait()
				if slices.Contains(h.all(), "frame") {
					t.Errorf("the frame was handled: %q", h.all())
				}
			})
		})
	}
}

func TestPort_Hand_endsTheProcess(t *testing.T) {
	for name, f := range map[string]func() error{
		"error": func() error { return errBoom },
		"panic": func() error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := start(t, actor.SpawnOptions{})
				h.port.Start()
				h.wantHand(t, "that ends it", f, host.Ended)
				synctest.Wait()
				if got := h.all(); len(got) != 4 || !strings.HasPrefix(got[2], "ending") || !strings.HasPrefix(got[3], "terminate") {
					t.Errorf("happened %q", got)
				}
			})
		})
	}
}

func TestPort_Hand_goexitEndsTheProcessOnTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		var wg sync.WaitGroup
		wg.Go(func() {
			h.port.Hand(func() error { runtime.Goexit(); return nil })
			t.Errorf("Hand returned")
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
func TestPort_Hand_doesNotWaitForTerminate(t *testing.T) {
	for name, f := range map[string]func(*hosted){
		"Hand": func(h *hosted) {
			h.port.Start()
			h.port.Hand(func() error { return errBoom })
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
				if _, err := actor.Inspect(h.port.PID()); err != nil {
					t.Errorf("while Terminate runs: %v", err)
				}
				close(release)
				synctest.Wait()
				if info, err := actor.Inspect(h.port.PID()); err == nil {
					t.Errorf("when Terminate has returned: %+v, want ErrNoProcess", info)
				}
			})
		})
	}
}

// TestOptions_FlushesItself: TurnEnd is called on workers only, and a process whose turn ended without it rests.
func TestOptions_FlushesItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.options.FlushesItself = true })
		h.port.Start()
		for range 3 {
			h.wantHand(t, "at rest", "frame", host.Going)
		}
		h.want(t, "init", "frame", "frame", "frame")
		h.port.PID().Send("message")
		synctest.Wait()
		h.want(t, "init", "frame", "frame", "frame", "message", "turn end, delivering false")
		if info, err := actor.Inspect(h.port.PID()); err != nil || info.Handling != "" || info.Handled != 4 {
			t.Errorf("Inspect: %+v, %v; want a process at rest that has handled 4", info, err)
		}
	})
}

// TestHost_Ending_brief: a Terminate that takes no time runs on the host's goroutine, if that is where the process ends and
// no child has to end first.
func TestHost_Ending_brief(t *testing.T) {
	for _, brief := range []bool{false, true} {
		for _, child := range []bool{false, true} {
			t.Run(fmt.Sprintf("brief %t, child %t", brief, child), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := start(t, actor.SpawnOptions{}, func(h *hosted) { h.brief = brief })
					h.port.Start()
					h.port.Hand(func() error {
						if child {
							if _, err := actor.Spawn(h.ctx, plain{}, actor.SpawnOptions{}); err != nil {
								t.Error(err)
							}
						}
						return errBoom
					})
					synctest.Wait()
					h.want(t, "init", "turn end, delivering true", "ending: boom", "terminate: boom")
					if here, want := h.on("terminate: boom") == goroutine(), brief && !child; here != want {
						t.Errorf("Terminate on the host's goroutine: %t, want %t", here, want)
					}
				})
			})
		}
	}
}
