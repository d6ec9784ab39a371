package host_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// What is queued is handled in mailbox order and never on the caller's goroutine, and Receive can tell it from what was
// handed over at rest.
func TestPort_Queue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{MailboxLimit: 1})
		h.port.Start()
		var waited []bool
		note := func(what string) func() error {
			return func() error { h.note(what); waited = append(waited, h.port.Waited()); return nil }
		}
		if !h.port.Queue(note("at rest")) {
			t.Error("Queue at rest: false")
		}
		synctest.Wait()
		h.wantHand(t, "at rest", note("handed"), host.Going)
		r, release := h.hand(t, nil)
		for range 3 { // beyond the limit
			if !h.port.Queue(note("busy")) {
				t.Error("Queue while a callback runs: false")
			}
		}
		release()
		r.wantBack(t, host.Going)
		synctest.Wait()
		if h.on("at rest") == goroutine() || h.on("handed") != goroutine() {
			t.Errorf("ran on %s and %s, want the first on another goroutine than %s, the second there", h.on("at rest"), h.on("handed"), goroutine())
		}
		if want := []bool{true, false, true, true, true}; len(waited) != 5 || waited[0] != want[0] || waited[1] != want[1] || waited[4] != want[4] {
			t.Errorf("Waited said %v, want %v", waited, want)
		}
		release = h.busy()
		h.port.PID().Exit(errBoom)
		if h.port.Queue("after an Exit") {
			t.Error("Queue after an Exit: true")
		}
		if info, _ := actor.Inspect(h.port.PID()); info.Dropped != 0 {
			t.Errorf("%d messages count as dropped, want none", info.Dropped)
		}
		release()
		synctest.Wait()
		if h.port.Queue("late") {
			t.Error("Queue after the end: true")
		}
	})
}

// Callback is how long what runs has been running.
func TestPort_Callback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		var inInit time.Duration
		h.init = func() error { time.Sleep(time.Second); inInit = h.port.Callback(); return nil }
		if d := h.port.Callback(); d != 0 {
			t.Errorf("before Start: %v, want 0", d)
		}
		h.port.Start()
		if d := h.port.Callback(); d != 0 || inInit != time.Second {
			t.Errorf("at rest %v, in Init %v; want 0 and 1s", d, inInit)
		}
		_, release := h.hand(t, nil)
		time.Sleep(time.Minute)
		if d := h.port.Callback(); d != time.Minute {
			t.Errorf("in a callback: %v, want 1m", d)
		}
		h.port.PID().Exit(actor.ErrKilled)
		if d := h.port.Callback(); d != 0 {
			t.Errorf("after a kill: %v, want 0", d)
		}
		release()
	})
}

// After Leaving each callback has AbandonAfter, and a process at rest lives on.
func TestPort_Leaving(t *testing.T) {
	patient := func(h *hosted) { h.options = host.Options{FlushesItself: true, AbandonAfter: 10 * time.Second} }
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, patient)
		h.port.Start()
		h.port.Leaving(errLost) // nothing runs
		r, release := h.hand(t, nil)
		h.port.Leaving(errLost)
		time.Sleep(9 * time.Second)
		release()
		r.wantBack(t, host.Going)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !h.port.PID().Alive() {
			t.Fatal("a process is dead whose callback returned in time")
		}
		h.port.Queue(func() error { time.Sleep(9 * time.Second); return nil })
		h.port.Queue(func() error { time.Sleep(9 * time.Second); return nil })
		synctest.Wait()
		h.port.Leaving(errLost)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !h.port.PID().Alive() {
			t.Error("a process is dead of whose callbacks each returned in time")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{}, patient)
		h.port.Start()
		_, release := h.hand(t, nil)
		h.port.Leaving(errLost)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if h.port.PID().Alive() || !errors.Is(h.reason, errLost) {
			t.Errorf("after AbandonAfter: alive %t, reason %v; want dead with %v", h.port.PID().Alive(), h.reason, errLost)
		}
		release()
	})
}
