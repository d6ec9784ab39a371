package supervisor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// slow is a service that calls Ready after d.
func slow(d time.Duration) *service {
	s := newService()
	s.begin = func(ctx context.Context) error {
		select {
		case <-time.After(d):
			supervisor.Ready(ctx)
			supervisor.Ready(ctx) // a second time: it does nothing
			return errCarryOn
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s
}

func failing(err error) *service {
	s := newService()
	s.begin = func(context.Context) error { return err }
	return s
}

func TestSupervisor_startsEachWhenTheOneBeforeIsReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := func(id string, s supervisor.Service, d time.Duration) supervisor.ChildSpec {
			return supervisor.ChildSpec{ID: id, Service: s, StartTimeout: d}
		}
		inner, err := supervisor.New(supervisor.Config{Logger: quiet}, in("x", slow(time.Second), time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		r := serve(t, supervisor.Config{},
			in("a", slow(time.Second), time.Minute),
			in("at once", newService(), 0),
			in("tree", inner, 0),
			in("b", slow(time.Second), time.Second+1),
			in("c", newService(), 0))
		r.want("at 0 s", "+a")
		r.wantChildren("at 0 s", "a:starting at once:waiting tree:waiting b:waiting c:waiting")
		time.Sleep(time.Second)
		r.want("at 1 s", "+at once +tree")
		time.Sleep(time.Second)
		r.want("at 2 s", "+b")
		time.Sleep(time.Second)
		r.want("at 3 s", "+c")
		r.wantChildren("at 3 s", "a:running at once:running tree:running b:running c:running")
		wantErr(t, "Serve", r.end(), nil)
		r.want("at the end", "-c:shutdown -b:shutdown -tree:shutdown -at once:shutdown -a:shutdown")
	})
}

func TestSupervisor_firstStartFails(t *testing.T) {
	errInit := errors.New("no connection")
	sys := func(t *testing.T) *actor.System {
		s, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Shutdown(context.Background()) })
		return s
	}
	for _, test := range []struct {
		name    string
		failing func(t *testing.T) supervisor.Service
		timeout time.Duration
		want    error
		words   string
	}{
		{"error before Ready", func(*testing.T) supervisor.Service { return failing(errInit) }, time.Second, errInit, "-c:abnormal"},
		{"nil before Ready", func(*testing.T) supervisor.Service { return failing(nil) }, time.Second, exit.ErrNormal, "-c:normal"},
		{"ErrShutdown before Ready", func(*testing.T) supervisor.Service { return failing(exit.ErrShutdown) }, time.Second, exit.ErrShutdown, "-c:shutdown"},
		{"not ready in time", func(*testing.T) supervisor.Service { return newService() }, time.Second, supervisor.ErrStartTimeout, "-c:shutdown"},
		{"ready too late", func(*testing.T) supervisor.Service { return slow(time.Second + 1) }, time.Second, supervisor.ErrStartTimeout, "-c:shutdown"},
		{"an actor's Init", func(t *testing.T) supervisor.Service {
			return supervisor.Actor(sys(t), func() actor.Actor { return &worker{init: func(context.Context) error { return errInit }} }, actor.SpawnOptions{})
		}, 0, errInit, "-c:abnormal"},
		{"a child's first start, below", func(*testing.T) supervisor.Service {
			s, err := supervisor.New(supervisor.Config{Logger: quiet}, supervisor.ChildSpec{ID: "x", Service: failing(errInit), StartTimeout: time.Second})
			if err != nil {
				panic(err)
			}
			return s
		}, 0, errInit, "-c:abnormal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serve(t, supervisor.Config{},
					spec("a", newService(), 0), spec("b", newService(), 0),
					supervisor.ChildSpec{ID: "c", Service: test.failing(t), StartTimeout: test.timeout},
					spec("d", newService(), 0))
				err := r.wait()
				wantErr(t, "Serve", err, test.want)
				var start *supervisor.StartError
				if !errors.As(err, &start) || start.Child != "c" {
					t.Errorf("Serve returned %v, want a *StartError of c", err)
				}
				r.want("start", "+a +b +c "+test.words+" -b:shutdown -a:shutdown")
			})
		})
	}
}

// A child that ends with ErrShutdown before it is ready has not started, even if it is not to be restarted after that.
func TestSupervisor_shutdownBeforeReady(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Transient, supervisor.Temporary} {
		bubble(t, func(t *testing.T) {
			r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "a", Service: failing(exit.ErrShutdown), Restart: restart, StartTimeout: time.Second})
			wantErr(t, "Serve", r.wait(), exit.ErrShutdown)
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: restart})
			init := func(err error) supervisor.Service {
				return supervisor.Actor(newSystem(t), func() actor.Actor {
					return &worker{init: func(context.Context) error { return err }}
				}, actor.SpawnOptions{})
			}
			wantErr(t, "Start", d.Start(context.Background(), "a", init(exit.ErrShutdown)), exit.ErrShutdown)
			wantErr(t, "Start of one that has nothing to do", d.Start(context.Background(), "a", init(exit.ErrNormal)), nil)
			d.wantIDs("then")
		})
	}
}

// A transient or temporary child that has done its work before Ready lets the next one start.
func TestSupervisor_jobBeforeTheOthers(t *testing.T) {
	for restart, children := range map[supervisor.Restart]string{
		supervisor.Transient: "job:stopped next:running", supervisor.Temporary: "next:running",
	} {
		t.Run(restart.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				job := newService()
				job.begin = func(context.Context) error { time.Sleep(time.Second); return nil }
				r := serve(t, supervisor.Config{},
					supervisor.ChildSpec{ID: "job", Service: job, Restart: restart, StartTimeout: time.Minute},
					spec("next", newService(), 0))
				r.want("at 0 s", "+job")
				time.Sleep(time.Second)
				r.want("at 1 s", "-job:normal +next")
				r.wantChildren("at 1 s", children)
			})
		})
	}
}

// SIGTERM during the start: what runs is stopped in reverse order, the child that is starting included, and no more is started.
func TestSupervisor_ctxDoneDuringStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{},
			spec("a", newService(), 0),
			supervisor.ChildSpec{ID: "b", Service: slow(time.Hour), StartTimeout: 2 * time.Hour},
			spec("c", newService(), 0))
		time.Sleep(time.Minute)
		wantErr(t, "Serve", r.end(), nil)
		r.want("all", "+a +b -b:shutdown -a:shutdown")
	})
}

func TestSupervisor_ctxDoneBeforeStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("a", failing(errCrash), 0))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "Serve", s.Serve(ctx), nil)
	})
}

// A child that crashes while others are started for the first time is restarted; the start goes on.
func TestSupervisor_crashDuringStart(t *testing.T) {
	for strategy, want := range map[supervisor.Strategy]string{
		supervisor.OneForOne:  "-a:abnormal +a",
		supervisor.RestForOne: "-a:abnormal -b:shutdown +a +b",
		supervisor.OneForAll:  "-a:abnormal -b:shutdown +a +b",
	} {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := newService()
				r := serve(t, supervisor.Config{Strategy: strategy}, spec("a", a, 0),
					supervisor.ChildSpec{ID: "b", Service: slow(time.Second), StartTimeout: time.Minute},
					spec("c", newService(), 0))
				r.want("start", "+a +b")
				a.end(errCrash)
				r.want("crash", want)
				r.wantChildren("then", "a:running b:starting c:waiting")
				time.Sleep(time.Second)
				r.want("at 1 s", "+c")
			})
		})
	}
}

// A start that fails after a restart counts as another restart.
func TestSupervisor_restartFailsToStart(t *testing.T) {
	for _, strategy := range strategies {
		t.Run(strategy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := 0
				s := newService()
				s.begin = func(ctx context.Context) error {
					if n++; n == 2 || n == 3 {
						return errCrash
					}
					supervisor.Ready(ctx)
					return errCarryOn
				}
				r := serve(t, supervisor.Config{Strategy: strategy}, supervisor.ChildSpec{ID: "a", Service: s, StartTimeout: time.Second})
				s.end(errCrash)
				r.want("two failures", "+a -a:abnormal +a -a:abnormal +a -a:abnormal +a")
				s.end(errCrash)
				err := r.wait()
				var gaveUp *supervisor.IntensityError
				if !errors.As(err, &gaveUp) {
					t.Errorf("Serve returned %v after the fourth, want an *IntensityError", err)
				}
			})
		})
	}
}

func TestSupervisor_serveTwiceAndAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, err := supervisor.New(supervisor.Config{Logger: quiet}, spec("a", newService(), 0), spec("b", newService(), 0))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error)
			go func() { served <- s.Serve(ctx) }()
			synctest.Wait()
			wantErr(t, "second Serve", s.Serve(ctx), supervisor.ErrServing)
			if n := len(s.Children()); n != 2 {
				t.Errorf("%d children, want those of New: 2", n)
			}
			wantErr(t, "StartChild", s.StartChild(ctx, spec("c", newService(), 0)), nil)
			wantErr(t, "TerminateChild", s.TerminateChild(ctx, "a"), nil)
			wantErr(t, "DeleteChild", s.DeleteChild("a"), nil)
			cancel()
			wantErr(t, "Serve", <-served, nil)
		}
		if got := s.Children(); len(got) != 2 || got[0].State != supervisor.StateStopped {
			t.Errorf("children after Serve: %v, want a and b, stopped", got)
		}
	})
}

type worker struct {
	init      func(ctx context.Context) error
	receive   func(ctx context.Context, msg any) error
	terminate func(ctx context.Context, reason error)
}

func (w *worker) Init(ctx context.Context) error {
	if w.init != nil {
		return w.init(ctx)
	}
	return nil
}

// Receive ends the process with an error that is sent to it.
func (w *worker) Receive(ctx context.Context, msg any) error {
	if w.receive != nil {
		return w.receive(ctx, msg)
	}
	if err, ok := msg.(error); ok {
		return err
	}
	return nil
}

func (w *worker) Terminate(ctx context.Context, reason error) {
	if w.terminate != nil {
		w.terminate(ctx, reason)
	}
}
