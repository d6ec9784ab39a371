package host_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

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
				if h.port.Hand(func() error {
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
				}) != host.Going {
					t.Errorf("Hand: want Going")
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
		h.port.Hand("frame")
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
		h.port.Hand("frame")
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
		h.wantHand(t, "with a TurnEnd that panics", "frame", host.Ended)
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
		delivered := make(chan host.Delivery, 1)
		go func() { delivered <- h.port.Hand("frame") }()
		synctest.Wait()
		h.port.PID().Exit(actor.ErrKilled)
		if h.port.PID().Alive() {
			t.Errorf("lives after the kill")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Count(h.log(), "its goroutine is abandoned"); got != 1 {
			t.Errorf("%d goroutines reported as abandoned, want 1: %s", got, h.log())
		}
		close(released)
		if got := <-delivered; got != host.Ended {
			t.Errorf("Hand: %s, want Ended", deliveries[got])
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
			h.port.Hand(func() error { h.port.Fail(errLost); h.note("callback returns"); return nil })
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
			h.port.PID().OnExit(func(error) { h.port.Fail(errLost); h.port.PID().Exit(errLost) })
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
