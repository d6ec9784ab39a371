package supervisor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/supervisor"
)

// The errors of each command, by the state of the child.
func TestSupervisor_commands(t *testing.T) {
	bg := context.Background()
	running := func(*tree) {}
	stopped := func(r *tree) { wantErr(r.t, "TerminateChild", r.TerminateChild(bg, "x"), nil) }
	unknown := func(r *tree) {
		stopped(r)
		wantErr(r.t, "DeleteChild", r.DeleteChild("x"), nil)
	}
	ended := func(r *tree) { r.end() }
	start := func(r *tree) error { return r.StartChild(bg, spec("x", newService(), 0)) }
	terminate := func(r *tree) error { return r.TerminateChild(bg, "x") }
	restart := func(r *tree) error { return r.RestartChild(bg, "x") }
	remove := func(r *tree) error { return r.DeleteChild("x") }
	for _, test := range []struct {
		name     string
		before   func(*tree)
		command  func(*tree) error
		want     error
		children string
	}{
		{"start running", running, start, supervisor.ErrAlreadyPresent, "a:running x:running b:running"},
		{"start running", running, start, supervisor.ErrRunning, "a:running x:running b:running"},
		{"start stopped", stopped, start, supervisor.ErrAlreadyPresent, "a:running x:stopped b:running"},
		{"start unknown", unknown, start, nil, "a:running b:running x:running"},
		{"start after the end", ended, start, supervisor.ErrNotRunning, "a:stopped x:stopped b:stopped"},
		{"terminate running", running, terminate, nil, "a:running x:stopped b:running"},
		{"terminate stopped", stopped, terminate, nil, "a:running x:stopped b:running"},
		{"terminate unknown", unknown, terminate, supervisor.ErrNotFound, "a:running b:running"},
		{"terminate after the end", ended, terminate, supervisor.ErrNotRunning, "a:stopped x:stopped b:stopped"},
		{"restart running", running, restart, supervisor.ErrRunning, "a:running x:running b:running"},
		{"restart stopped", stopped, restart, nil, "a:running x:running b:running"},
		{"restart unknown", unknown, restart, supervisor.ErrNotFound, "a:running b:running"},
		{"restart after the end", ended, restart, supervisor.ErrNotRunning, "a:stopped x:stopped b:stopped"},
		{"delete running", running, remove, supervisor.ErrRunning, "a:running x:running b:running"},
		{"delete stopped", stopped, remove, nil, "a:running b:running"},
		{"delete unknown", unknown, remove, supervisor.ErrNotFound, "a:running b:running"},
		{"delete after the end", ended, remove, supervisor.ErrNotRunning, "a:stopped x:stopped b:stopped"},
	} {
		for _, strategy := range strategies {
			t.Run(test.name+"/"+strategy.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					r := serve(t, supervisor.Config{Strategy: strategy}, spec("a", newService(), 0), spec("x", newService(), 0), spec("b", newService(), 0))
					test.before(r)
					wantErr(t, test.name, test.command(r), test.want)
					r.wantChildren("then", test.children)
				})
			})
		}
	}
}

func TestSupervisor_terminatedTemporaryIsDeleted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{}, spec("a", newService(), supervisor.Temporary))
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "a"), nil)
		r.wantChildren("then", "")
		wantErr(t, "RestartChild", r.RestartChild(t.Context(), "a"), supervisor.ErrNotFound)
	})
}

func TestSupervisor_startChildFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{MaxRestarts: -1}, spec("a", newService(), 0))
		ctx := t.Context()
		var start *supervisor.StartError
		err := r.StartChild(ctx, supervisor.ChildSpec{ID: "x", Service: failing(errCrash), StartTimeout: time.Second})
		if !errors.As(err, &start) || start.Child != "x" || !errors.Is(err, errCrash) {
			t.Errorf("StartChild: %v, want a *StartError of x", err)
		}
		r.wantChildren("it is forgotten", "a:running")
		err = r.StartChild(ctx, supervisor.ChildSpec{ID: "x", Service: newService(), StartTimeout: time.Second})
		wantErr(t, "StartChild", err, supervisor.ErrStartTimeout)
		r.wantChildren("it is forgotten", "a:running")
		late := newService()
		late.stop = func(ctx context.Context) error { supervisor.Ready(ctx); time.Sleep(time.Second); return nil }
		err = r.StartChild(ctx, supervisor.ChildSpec{ID: "x", Service: late, StartTimeout: time.Second})
		wantErr(t, "StartChild of one that is ready when it is to stop", err, supervisor.ErrStartTimeout)

		n := 0
		s := newService()
		s.begin = func(ctx context.Context) error {
			if n++; n == 2 {
				return errCrash
			}
			supervisor.Ready(ctx)
			return errCarryOn
		}
		wantErr(t, "StartChild", r.StartChild(ctx, supervisor.ChildSpec{ID: "x", Service: s, StartTimeout: time.Second}), nil)
		wantErr(t, "TerminateChild", r.TerminateChild(ctx, "x"), nil)
		wantErr(t, "RestartChild", r.RestartChild(ctx, "x"), errCrash)
		r.wantChildren("it stays stopped", "a:running x:stopped")
		wantErr(t, "RestartChild", r.RestartChild(ctx, "x"), nil)
		r.wantChildren("then", "a:running x:running")
		for _, bad := range []supervisor.ChildSpec{{ID: "y"}, {Service: newService()}, {ID: "y", Service: newService(), Shutdown: -3}} {
			if err := r.StartChild(ctx, bad); err == nil {
				t.Errorf("StartChild(%+v) has no error", bad)
			}
		}
	})
}

// ctx bounds the wait for a command, and not what was ordered.
func TestSupervisor_commandsWithDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{}, spec("a", lingering(time.Second), 0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		wantErr(t, "StartChild", r.StartChild(ctx, supervisor.ChildSpec{ID: "x", Service: slow(time.Second), StartTimeout: time.Minute}), context.DeadlineExceeded)
		wantErr(t, "TerminateChild", r.TerminateChild(ctx, "a"), context.DeadlineExceeded)
		r.wantChildren("then", "a:stopping x:starting")
		time.Sleep(time.Second)
		r.wantChildren("later", "a:stopped x:running")
	})
}

func TestSupervisor_terminateLeavesBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{}, spec("a", lingering(time.Hour), 0))
		var abandoned *supervisor.AbandonedError
		if err := r.TerminateChild(t.Context(), "a"); !errors.As(err, &abandoned) {
			t.Errorf("TerminateChild: %v, want a *AbandonedError", err)
		}
		r.wantChildren("then", "a:stopped")
		if err := r.end(); !errors.As(err, &abandoned) || abandoned.Children[0] != "a" {
			t.Errorf("Serve: %v, want a *AbandonedError that names a", err)
		}
		time.Sleep(time.Hour)
	})
}

// Commands from a child, about itself and about others, in all its states: none waits for itself.
func TestSupervisor_commandsFromChildren(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var r *tree
				bg := context.Background()
				made := make(chan struct{})
				child := newService()
				starting := newService()
				starting.begin = func(ctx context.Context) error {
					<-made
					wantErr(t, "StartChild before Ready", r.StartChild(bg, spec("early", newService(), 0)), nil)
					wantErr(t, "TerminateChild before Ready", r.TerminateChild(bg, "early"), nil)
					wantErr(t, "RestartChild before Ready", r.RestartChild(bg, "early"), nil)
					supervisor.Ready(ctx)
					wantErr(t, "TerminateChild of itself", r.TerminateChild(ctx, "self"), nil)
					<-ctx.Done()
					wantErr(t, "TerminateChild from one that stops", r.TerminateChild(bg, "other"), nil)
					wantErr(t, "StartChild from one that stops", r.StartChild(bg, spec("late", child, 0)), nil)
					wantErr(t, "DeleteChild of itself", r.DeleteChild("self"), supervisor.ErrRunning)
					return nil
				}
				r = serve(t, supervisor.Config{Strategy: strategy}, spec("other", newService(), 0),
					supervisor.ChildSpec{ID: "self", Service: starting, StartTimeout: time.Minute})
				close(made)
				r.wantChildren("then", "other:stopped self:stopped early:running late:running")
				r.want("all", "+other +self +early -early:shutdown +early -other:shutdown +late -self:shutdown")
			})
		})
	}
}

func TestSupervisor_commandsDuringStart(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				bg := context.Background()
				r := serve(t, supervisor.Config{Strategy: strategy}, spec("a", newService(), 0),
					supervisor.ChildSpec{ID: "b", Service: slow(time.Hour), StartTimeout: 2 * time.Hour},
					spec("c", newService(), 0), spec("d", newService(), 0))
				wantErr(t, "RestartChild", r.RestartChild(bg, "c"), supervisor.ErrRestarting)
				wantErr(t, "DeleteChild", r.DeleteChild("c"), supervisor.ErrRestarting)
				wantErr(t, "TerminateChild of a waiting one", r.TerminateChild(bg, "c"), nil)
				wantErr(t, "StartChild", r.StartChild(bg, spec("e", newService(), 0)), nil)
				r.wantChildren("during the start", "a:running b:starting c:stopped d:waiting e:running")
				wantErr(t, "TerminateChild of the starting one", r.TerminateChild(bg, "b"), nil)
				r.wantChildren("then", "a:running b:stopped c:stopped d:running e:running")
			})
		})
	}
}

func TestSupervisor_terminateAndRestartAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{}, spec("a", lingering(time.Second), 0))
		terminated, restarted := make(chan error, 1), make(chan error, 1)
		go func() { terminated <- r.TerminateChild(context.Background(), "a") }()
		synctest.Wait()
		go func() { restarted <- r.RestartChild(context.Background(), "a") }()
		synctest.Wait()
		wantErr(t, "RestartChild while another waits", r.RestartChild(context.Background(), "a"), supervisor.ErrRestarting)
		wantErr(t, "TerminateChild", <-terminated, nil)
		wantErr(t, "RestartChild", <-restarted, nil)
		r.want("all", "+a -a:shutdown +a")
	})
}

// A start that a command waits for may be called off by another command, or by the end of the tree.
func TestSupervisor_startOvertaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{})
		started := make(chan error, 2)
		start := func(id string) {
			go func() {
				started <- r.StartChild(context.Background(), supervisor.ChildSpec{ID: id, Service: slow(time.Hour), StartTimeout: 2 * time.Hour})
			}()
			synctest.Wait()
		}
		start("a")
		wantErr(t, "TerminateChild", r.TerminateChild(context.Background(), "a"), nil)
		wantErr(t, "StartChild, terminated", <-started, supervisor.ErrTerminated)
		r.wantChildren("then", "")
		start("b")
		wantErr(t, "Serve", r.end(), nil)
		wantErr(t, "StartChild, at the end", <-started, supervisor.ErrNotRunning)
	})
}
