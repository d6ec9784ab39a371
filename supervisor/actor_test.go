package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

func newSystem(t *testing.T) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: quiet, ShutdownTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("System.Shutdown: %v", err)
		}
	})
	return sys
}

func TestActor_restarts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		made := 0
		r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "a", Restart: supervisor.Transient,
			Service: supervisor.Actor(sys, func() actor.Actor { made++; return &worker{} }, actor.SpawnOptions{})})
		first := r.Children()[0].PID
		info, err := actor.Inspect(first)
		if err != nil || info.Label != "a" {
			t.Errorf("Inspect of the PID of Children: %+v, %v, want the label a", info, err)
		}
		first.Send(errCrash)
		r.want("crash", "+a -a:abnormal +a")
		second := r.Children()[0].PID
		if second == first || !second.Alive() || first.Alive() || made != 2 {
			t.Errorf("after the crash: PID %v (alive %v) after %v (alive %v), %d actors made, want a new one", second, second.Alive(), first, first.Alive(), made)
		}
		second.Exit(actor.ErrKilled)
		r.want("kill", "-a:abnormal +a")
		r.Children()[0].PID.Exit(actor.ErrShutdown)
		r.want("shutdown by somebody", "-a:shutdown")
		if c := r.Children()[0]; c.PID != (actor.PID{}) || c.State != supervisor.StateStopped || c.Restarts != 2 {
			t.Errorf("Children: %+v, want it stopped after 2 restarts, without PID", c)
		}
		wantErr(t, "RestartChild", r.RestartChild(t.Context(), "a"), nil)
		r.Children()[0].PID.Send(actor.ErrNormal)
		r.want("normal end", "+a -a:normal")
	})
}

// The exit reason of the process is that of the service.
func TestActor_exitReason(t *testing.T) {
	for _, test := range []struct {
		name   string
		reason error
		kind   exit.Kind
	}{
		{"ErrNormal", actor.ErrNormal, exit.Normal},
		{"ErrRestart", exit.ErrRestart, exit.Normal},
		{"ErrOverload", actor.ErrOverload, exit.Shutdown},
		{"an error", errCrash, exit.Abnormal},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				r := serve(t, supervisor.Config{}, spec("a", supervisor.Actor(sys, func() actor.Actor { return &worker{} }, actor.SpawnOptions{}), supervisor.Temporary))
				r.Children()[0].PID.Send(test.reason)
				synctest.Wait()
				for _, e := range r.journal.take() {
					if e.Kind == supervisor.EventExited && (!errors.Is(e.Reason, test.reason) || e.ExitKind != test.kind || e.PID == actor.PID{}) {
						t.Errorf("%+v, want reason %v of kind %v", e, test.reason, test.kind)
					}
				}
			})
		})
	}
}

func TestActor_shutdown(t *testing.T) {
	for _, test := range []struct {
		name     string
		actor    func(release <-chan struct{}) *worker
		options  actor.SpawnOptions
		shutdown time.Duration
		takes    time.Duration
		reason   error // that Terminate gets; nil: it does not run
	}{
		{"at rest", nil, actor.SpawnOptions{}, 0, 0, actor.ErrShutdown},
		{"slow Terminate", func(<-chan struct{}) *worker {
			return &worker{terminate: func(context.Context, error) { time.Sleep(3 * time.Second) }}
		}, actor.SpawnOptions{}, 0, 3 * time.Second, actor.ErrShutdown},
		{"Kill", nil, actor.SpawnOptions{}, supervisor.Kill, 0, nil},
		{"Init stuck, default", stuckInit, actor.SpawnOptions{}, 0, 5 * time.Second, nil},
		{"Init stuck, Shutdown", stuckInit, actor.SpawnOptions{}, time.Minute, time.Minute, nil},
		{"Init stuck, SpawnOptions", stuckInit, actor.SpawnOptions{Shutdown: time.Minute}, 0, time.Minute, nil},
		{"Init stuck, the shorter SpawnOptions", stuckInit, actor.SpawnOptions{Shutdown: time.Second}, time.Minute, time.Second, nil},
		{"Init stuck, the shorter Shutdown", stuckInit, actor.SpawnOptions{Shutdown: time.Minute}, time.Second, time.Second, nil},
		{"Init stuck, Kill", stuckInit, actor.SpawnOptions{}, supervisor.Kill, 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				release := make(chan struct{})
				defer func() { close(release); synctest.Wait() }()
				var reason error
				r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "a", Shutdown: test.shutdown, Service: supervisor.Actor(sys, func() actor.Actor {
					w := &worker{}
					if test.actor != nil {
						w = test.actor(release)
					}
					wait := w.terminate
					w.terminate = func(ctx context.Context, r error) {
						reason = r
						if wait != nil {
							wait(ctx, r)
						}
					}
					return w
				}, test.options)})
				start := time.Now()
				wantErr(t, "Serve", r.end(), nil)
				if took := time.Since(start); took != test.takes {
					t.Errorf("the end took %v, want %v", took, test.takes)
				}
				if !errors.Is(reason, test.reason) {
					t.Errorf("Terminate got %v, want %v", reason, test.reason)
				}
				for p := range sys.Processes() {
					t.Errorf("a process is left: %+v", p)
				}
			})
		})
	}
}

func stuckInit(release <-chan struct{}) *worker {
	return &worker{init: func(context.Context) error { <-release; return nil }}
}

func TestActor_startProblems(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		r := serve(t, supervisor.Config{})
		for name, newActor := range map[string]func() actor.Actor{
			"nil":         func() actor.Actor { return nil },
			"panic":       func() actor.Actor { panic("boom") },
			"Init panics": func() actor.Actor { return &worker{init: func(context.Context) error { panic("boom") }} },
			"Init is killed": func() actor.Actor {
				return &worker{init: func(ctx context.Context) error { actor.Self(ctx).Exit(actor.ErrKilled); return nil }}
			},
		} {
			var start *supervisor.StartError
			if err := r.StartChild(t.Context(), spec(name, supervisor.Actor(sys, newActor, actor.SpawnOptions{}), 0)); !errors.As(err, &start) {
				t.Errorf("%s: StartChild says %v, want a *StartError", name, err)
			}
		}
		// A process that ends as soon as Init has returned has started, and so is restarted.
		n := 0
		wantErr(t, "StartChild", r.StartChild(t.Context(), spec("brief", supervisor.Actor(sys, func() actor.Actor {
			return &worker{init: func(ctx context.Context) error {
				if n++; n < 3 {
					actor.Self(ctx).Send(errCrash)
				}
				return nil
			}}
		}, actor.SpawnOptions{}), 0)), nil)
		r.wantChildren("then", "brief:running")
		if n != 3 {
			t.Errorf("%d starts, want 3", n)
		}
	})
}

// A successor starts when the one before is dead: what that one had by its exit hooks is free.
func TestActor_successorAfterDeath(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		var names sync.Map
		newActor := func() actor.Actor {
			return &worker{init: func(ctx context.Context) error {
				self := actor.Self(ctx)
				if other, taken := names.LoadOrStore("name", self); taken {
					return fmt.Errorf("the name is taken by %v", other)
				}
				self.OnExit(func(error) { time.Sleep(time.Millisecond); names.Delete("name") }) // it should not block, but it may be preempted
				return nil
			}}
		}
		exit := func() {
			pid, _ := names.Load("name")
			pid.(actor.PID).Exit(errCrash)
			time.Sleep(2 * time.Second)
		}
		r := serve(t, supervisor.Config{}, spec("a", supervisor.Actor(sys, newActor, actor.SpawnOptions{}), 0))
		exit()
		r.want("Actor", "+a -a:abnormal +a")
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "a"), nil)
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
		_, err := d.Spawn(context.Background(), "a", sys, newActor, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, nil)
		exit()
		if n := len(d.journal.take()); n != 3 || d.Count() != 1 {
			t.Errorf("%d events, %d children, want started, exited, restarted", n, d.Count())
		}
		wantErr(t, "Stop", d.Stop(context.Background(), "a"), nil)
		pid, err := d.Spawn(context.Background(), "", sys, newActor, actor.SpawnOptions{})
		wantErr(t, "Spawn after Stop", err, nil)
		wantErr(t, "Serve", d.end(), nil)
		if pid.Alive() {
			t.Error("an actor is alive after Serve")
		}
	})
}

// An actor keeps what it can do although it is wrapped.
func TestActor_bareActor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		r := serve(t, supervisor.Config{}, spec("a", supervisor.Actor(sys, func() actor.Actor { return echo{} }, actor.SpawnOptions{Label: "mine"}), 0))
		pid := r.Children()[0].PID
		if got, err := actor.Call[string](t.Context(), pid, "hello"); err != nil || got != "hello" {
			t.Errorf("Call: %q, %v", got, err)
		}
		if info, _ := actor.Inspect(pid); info.Label != "mine" {
			t.Errorf("label %q, want mine", info.Label)
		}
		if _, ok := pid.OnExit(func(error) {}); !ok {
			t.Error("OnExit of a supervised actor is refused")
		}
	})
}

type echo struct{}

func (echo) Receive(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil }

// Outside of a supervisor, Serve of an Actor is as other services are: nil when it was stopped.
func TestActor_withoutSupervisor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		var pid actor.PID
		s := supervisor.Actor(sys, func() actor.Actor {
			return &worker{init: func(ctx context.Context) error { pid = actor.Self(ctx); return nil }}
		}, actor.SpawnOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		serve := func() { served <- s.Serve(ctx) }
		go serve()
		synctest.Wait()
		pid.Send(errCrash)
		wantErr(t, "Serve, crash", <-served, errCrash)
		go serve()
		synctest.Wait()
		pid.Send(actor.ErrNormal)
		wantErr(t, "Serve, normal end", <-served, nil)
		go serve()
		synctest.Wait()
		cancel()
		wantErr(t, "Serve, stopped", <-served, nil)
		wantErr(t, "Serve, stopped before", s.Serve(ctx), actor.ErrShutdown)
	})
}

// A panic is abnormal, also that of an actor that was told to end.
func TestActor_panicsWhileItIsStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		stuck := make(chan struct{})
		newActor := func() actor.Actor {
			return &worker{receive: func(context.Context, any) error { <-stuck; panic("boom") }}
		}
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
		r := serve(t, supervisor.Config{}, spec("a", supervisor.Actor(sys, newActor, actor.SpawnOptions{}), 0))
		pid, err := d.Spawn(context.Background(), "", sys, newActor, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, nil)
		synctest.Wait()
		d.journal.take()
		pid.Send("go")
		r.Children()[0].PID.Send("go")
		r.cancel()
		d.cancel()
		time.Sleep(time.Second)
		close(stuck)
		wantErr(t, "Serve", r.end(), nil)
		wantErr(t, "Serve", d.end(), nil)
		r.want("all", "+a -a:abnormal")
		d.want("all", "-"+pid.String()+":abnormal")
	})
}

func TestActor_panicsOnNil(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Actor(nil, nil) does not panic")
		}
	}()
	supervisor.Actor(nil, nil, actor.SpawnOptions{})
}
