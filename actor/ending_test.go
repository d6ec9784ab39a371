package actor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// wantEnding checks what a process that has not ended yet, but whose end is decided, says to others.
func wantEnding(t *testing.T, when string, pid actor.PID) {
	t.Helper()
	if pid.Send("late") {
		t.Errorf("%s: Send = true, want false: the message would be thrown away", when)
	}
	if pid.Alive() {
		t.Errorf("%s: Alive = true, want false", when)
	}
	if ref, ok := host.RefOf(pid); !ok || ref.Send("late") || ref.Alive() {
		t.Errorf("%s: host.RefOf finds it: %t, Ref.Send = %t, Ref.Alive = %t; want true, false, false", when, ok, ref.Send("late"), ref.Alive())
	}
	if got, err := actor.Call[any](context.Background(), pid, "late"); !isNoProcess(err) {
		t.Errorf("%s: Call = %v, %v; want ErrNoProcess", when, got, err)
	}
	if info, err := actor.Inspect(pid); err != nil || info.PID != pid {
		t.Errorf("%s: Inspect = %+v, %v; want what is known of it until its Down", when, info, err)
	}
	if !pid.Exit(errors.New("a second Exit")) {
		t.Errorf("%s: Exit = false, want true until its Down", when)
	}
}

// From the decision of its end on a process takes nothing any more; what had come before an Exit is handled.
func TestEnding_takesNoMessages(t *testing.T) {
	tests := []struct {
		name   string
		end    func(t *testing.T, s *dying)
		reason error
		want   []any // what is handled
	}{
		{"an Exit waits for the callback", func(t *testing.T, s *dying) {
			release := block(t, s.pid)
			s.pid.Send("before")
			s.pid.Exit(errBoom)
			wantEnding(t, "while the callback runs", s.pid)
			release()
		}, errBoom, []any{"before"}},
		{"an Exit of itself", func(t *testing.T, s *dying) {
			s.pid.Send(do(func(context.Context) error {
				s.pid.Send("before")
				s.pid.Exit(errBoom)
				wantEnding(t, "in the callback", s.pid)
				return nil
			}))
		}, errBoom, []any{"before"}},
		{"an Exit at rest", func(t *testing.T, s *dying) {
			s.pid.Exit(errBoom)
			wantEnding(t, "after the Exit", s.pid)
		}, errBoom, nil},
		{"an error returned", func(_ *testing.T, s *dying) {
			s.pid.Send(do(func(context.Context) error { return errBoom }))
		}, errBoom, nil},
		{"overload", func(t *testing.T, s *dying) {
			release := block(t, s.pid)
			s.pid.Send("first")
			s.pid.Send("second")
			if s.pid.Send("one too many") {
				t.Errorf("Send beyond the limit = true")
			}
			wantEnding(t, "after the overload", s.pid)
			release()
		}, actor.ErrOverload, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				s := &dying{t: t, finish: make(chan struct{})}
				s.pid = spawn(t, sys, s, actor.SpawnOptions{MailboxLimit: 2, Overflow: actor.OverflowExit})
				watcher := newInbox(t, sys, actor.SpawnOptions{})
				tt.end(t, s)
				synctest.Wait()
				if !s.terminating {
					t.Fatalf("Terminate does not run")
				}
				wantEnding(t, "while Terminate runs", s.pid)
				actor.Monitor(watcher.ctx, s.pid)
				ended := waitFor(s.pid)
				close(s.finish)
				if got := <-ended; got != tt.reason {
					t.Errorf("Wait during Terminate: %v, want %v", got, tt.reason)
				}
				synctest.Wait()
				if downs := watcher.all(); len(downs) != 1 || downs[0].(actor.Down).Reason != tt.reason {
					t.Errorf("Monitor during Terminate brought %v, want one Down with %v", downs, tt.reason)
				}
				if got := s.all(); !slices.Equal(got, tt.want) {
					t.Errorf("handled %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// dying is an actor whose Terminate takes until finish is closed.
type dying struct {
	journal[any]
	t           *testing.T
	pid         actor.PID
	finish      chan struct{}
	terminating bool
}

func (s *dying) Receive(ctx context.Context, msg any) error {
	if f, ok := msg.(do); ok {
		return f(ctx)
	}
	s.add(msg)
	return nil
}

func (s *dying) Terminate(context.Context, error) {
	s.terminating = true
	wantEnding(s.t, "in Terminate", s.pid)
	<-s.finish
}

// An Exit during Init is the end of it, and what came before it is handled.
func TestEnding_exitDuringInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var handled []any
		pid := spawn(t, sys, &behaviour{
			init: func(ctx context.Context) error {
				self := actor.Self(ctx)
				if !self.Alive() || !self.Send("before") {
					t.Errorf("in Init: not alive, or Send = false")
				}
				self.Exit(errBoom)
				wantEnding(t, "in Init, after the Exit", self)
				return nil
			},
			receive: func(_ context.Context, msg any) error { handled = append(handled, msg); return nil },
		}, actor.SpawnOptions{})
		synctest.Wait()
		if !slices.Equal(handled, []any{"before"}) || pid.Exit(errBoom) {
			t.Errorf("handled %v, want what came before the Exit; and it is dead: %t", handled, !pid.Exit(errBoom))
		}
	})
}

// Fail is a decision too.
func TestEnding_hostFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		release := block(t, port.PID())
		port.Fail(errLost)
		wantEnding(t, "after Fail", port.PID())
		release()
	})
}
