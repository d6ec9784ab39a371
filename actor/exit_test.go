package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
)

// waitFor returns the exit reason of pid, which must live.
func waitFor(pid actor.PID) <-chan error {
	c := make(chan error, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		reason, err := actor.Wait(context.Background(), pid)
		if err != nil {
			reason = err
		}
		c <- reason
	}()
	<-started
	synctest.Wait()
	return c
}

func TestPID_Exit_takesItsPlaceAndTheFirstDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		ended := waitFor(in.pid)
		release := block(t, in.pid)
		in.pid.Send("before")
		for _, reason := range []error{errBoom, errLost, actor.ErrShutdown} {
			if !in.pid.Exit(reason) {
				t.Errorf("Exit(%v) = false", reason)
			}
			if in.pid.Send("behind") {
				t.Errorf("Send after an Exit that was not handled yet = true")
			}
		}
		if in.ctx.Err() != nil {
			t.Errorf("Exit overtook the callback")
		}
		release()
		if got := <-ended; got != errBoom {
			t.Errorf("exit reason %v, want the first, %v", got, errBoom)
		}
		if got := in.all(); !slices.Equal(got, []any{"before"}) {
			t.Errorf("handled %v, want what stood before the first Exit", got)
		}
		if in.pid.Exit(errBoom) {
			t.Errorf("Exit of a dead process = true")
		}
	})
}

func TestPID_Exit_reasons(t *testing.T) {
	var typedNil *strictError
	tests := []struct {
		name       string
		reason     error
		want       func(error) bool
		terminates bool
	}{
		{"ErrNormal", actor.ErrNormal, is(actor.ErrNormal), true},
		{"ErrShutdown", actor.ErrShutdown, is(actor.ErrShutdown), true},
		{"any error", errBoom, is(errBoom), true},
		{"ErrKilled", actor.ErrKilled, is(actor.ErrKilled), false},
		{"wrapped ErrKilled", fmt.Errorf("admin: %w", actor.ErrKilled), wraps(actor.ErrKilled), false},
		{"a nil pointer", typedNil, saysNil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				terminated := false
				pid := spawn(t, sys, &behaviour{
					terminate: func(_ context.Context, reason error) { terminated = tt.want(reason) },
				}, actor.SpawnOptions{})
				ended := waitFor(pid)
				if !pid.Exit(tt.reason) {
					t.Errorf("Exit(%v) = false", tt.name)
				}
				if got := <-ended; !tt.want(got) {
					t.Errorf("Exit(%s): exit reason %v", tt.name, got)
				}
				if terminated != tt.terminates {
					t.Errorf("Exit(%s): Terminate ran with the reason: %t, want %t", tt.name, terminated, tt.terminates)
				}
			})
		})
	}
}

// strictError panics in every method when its pointer is nil, as most error types do.
type strictError struct{ err error }

func (e *strictError) Error() string { return e.err.Error() }
func (e *strictError) Unwrap() error { return e.err }

func is(want error) func(error) bool    { return func(got error) bool { return got == want } }
func wraps(want error) func(error) bool { return func(got error) bool { return errors.Is(got, want) } }
func saysNil(err error) bool {
	return err != nil && err.Error() == "actor: the exit reason is a nil *actor_test.strictError"
}

func TestPID_Exit_killsBeforeItReturns(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	if !in.pid.Exit(actor.ErrKilled) || in.pid.Alive() || in.ctx.Err() == nil {
		t.Errorf("after Exit(ErrKilled): alive %t, ctx %v", in.pid.Alive(), in.ctx.Err())
	}
}

func TestPID_Exit_panicsOnNil(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	mustPanic(t, "Exit(nil)", func() { newInbox(t, sys, actor.SpawnOptions{}).pid.Exit(nil) })
	mustPanic(t, "zero PID Exit(nil)", func() { actor.PID{}.Exit(nil) })
}

func TestPID_Exit_floodOfAStuckProcessTakesNoMemory(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
	release := block(t, in.pid)
	defer release()
	for range 10_000 {
		in.pid.Exit(actor.ErrNormal)
	}
	if info, err := actor.Inspect(in.pid); err != nil || info.Mailbox != 1 {
		t.Errorf("after 10000 Exits %d wait (%v), want 1", info.Mailbox, err)
	}
}

func TestReceive_returningANilPointerEndsOnlyThatProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, logs := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		ended := waitFor(in.pid)
		in.pid.Send(do(func(context.Context) error {
			var err *strictError
			return err
		}))
		if got := <-ended; !saysNil(got) {
			t.Errorf("exit reason %v, want one that names the nil pointer", got)
		}
		synctest.Wait()
		if got := logs.find("process ended"); len(got) != 1 {
			t.Errorf("log %v, want one line", got)
		}
	})
}

// hostileError panics when it is looked into.
type hostileError struct{}

func (hostileError) Error() string { return "hostile" }
func (hostileError) Unwrap() error { panic("hostile Unwrap") }

func TestReceive_returningAnErrorThatPanicsEndsOnlyThatProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, logs := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		ended := waitFor(in.pid)
		in.pid.Send(do(func(context.Context) error { return hostileError{} }))
		if got := <-ended; got != (hostileError{}) {
			t.Errorf("exit reason %v", got)
		}
		synctest.Wait()
		if got := logs.find("panic while a process ended"); len(got) != 1 {
			t.Errorf("log %v, want the panic of the error", logs.all())
		}
	})
}
