package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// kinds are the two kinds of children of a Dynamic; each starts one under an id that runs life again and again: it is
// ready when life's first result is nil, and ends with its second as soon as that is there.
var kinds = map[string]func(d *dynamic, sys *actor.System, id string, init func() error, run <-chan error) error{
	"actor": func(d *dynamic, sys *actor.System, id string, init func() error, run <-chan error) error {
		_, err := d.Spawn(context.Background(), id, sys, func() actor.Actor { return crasher(init, run) }, actor.SpawnOptions{})
		return err
	},
	"service": func(d *dynamic, sys *actor.System, id string, init func() error, run <-chan error) error {
		return d.Start(context.Background(), id, supervisor.Actor(sys, func() actor.Actor { return crasher(init, run) }, actor.SpawnOptions{}))
	},
}

func crasher(init func() error, run <-chan error) actor.Actor {
	return &worker{init: func(ctx context.Context) error {
		if err := init(); err != nil {
			return err
		}
		self := actor.Self(ctx)
		actor.Async(ctx, func(ctx context.Context) (int, error) {
			select {
			case err := <-run:
				self.Send(err)
			case <-ctx.Done():
			}
			return 0, nil
		})
		return nil
	}}
}

func fine() error { return nil }

// eachKind runs f in a bubble for both kinds of children.
func eachKind(t *testing.T, f func(t *testing.T, sys *actor.System, start func(d *dynamic, id string, init func() error, run <-chan error) error)) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				f(t, sys, func(d *dynamic, id string, init func() error, run <-chan error) error {
					return start(d, sys, id, init, run)
				})
			})
		})
	}
}

// A child that needs too many restarts is given up alone.
func TestDynamic_restartsAreCountedForEachChild(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Transient, MaxRestarts: 2, Within: time.Minute})
		bad := make(chan error)
		wantErr(t, "start", start(d, "bad", fine, bad), nil)
		others := make([]chan error, 20)
		for i := range others {
			others[i] = make(chan error)
			wantErr(t, "start", start(d, fmt.Sprint(i), fine, others[i]), nil)
		}
		for _, other := range others {
			other <- errCrash
			other <- errCrash
		}
		for range 3 {
			bad <- errCrash
			synctest.Wait()
		}
		if n := d.Count(); n != len(others) {
			t.Errorf("%d children after 43 crashes, want the %d that had no more than two each", n, len(others))
		}
		if _, ok := d.Whereis("bad"); ok {
			t.Error("the child that was given up is there")
		}
		gaveUp := 0
		for _, e := range d.journal.take() {
			var err *supervisor.IntensityError
			if e.Kind == supervisor.EventGaveUp {
				gaveUp++
				if e.Child != "bad" || !errors.As(e.Reason, &err) || err.Child != "bad" || err.MaxRestarts != 2 || !errors.Is(err, errCrash) {
					t.Errorf("event %+v, want that bad was given up", e)
				}
			}
		}
		if gaveUp != 1 {
			t.Errorf("%d events that say so, want 1", gaveUp)
		}
		time.Sleep(2 * time.Minute) // the others may be restarted twice again
		others[0] <- errCrash
		d.wantRunning("0")
		wantErr(t, "start again under the id", start(d, "bad", fine, bad), nil)
		wantErr(t, "Serve", d.end(), nil)
	})
}

func (r *dynamic) wantRunning(id string) {
	r.t.Helper()
	synctest.Wait()
	if pid, ok := r.Whereis(id); !ok || !pid.Alive() {
		r.t.Errorf("Whereis(%q) = %v, %v, want a process that runs", id, pid, ok)
	}
}

// With MaxRestartsAll the restarts of all children are counted together, as in OTP.
func TestDynamic_maxRestartsAll(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
		d := serveDynamic(t, supervisor.DynamicConfig{Name: "rooms", Restart: supervisor.Transient, MaxRestartsAll: 2, Within: time.Minute})
		crash := make(chan error)
		for i := range 3 {
			wantErr(t, "start", start(d, fmt.Sprint(i), fine, crash), nil)
		}
		for range 3 {
			crash <- errCrash
			synctest.Wait()
		}
		err := d.wait()
		var gaveUp *supervisor.IntensityError
		if !errors.As(err, &gaveUp) || gaveUp.Supervisor != "rooms" || !errors.Is(err, errCrash) {
			t.Errorf("Serve returned %v, want an *IntensityError of rooms with the crash", err)
		}
	})
}

// A restart whose Init fails is tried again, more and more seldom, and counts against nothing: a database may be away.
func TestDynamic_restartsThatFailBackOff(t *testing.T) {
	eachKind(t, func(t *testing.T, _ *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Transient, MaxRestarts: 1})
		crash := make(chan error)
		var mu sync.Mutex
		var tries []time.Time
		var away atomic.Bool
		init := func() error {
			mu.Lock()
			defer mu.Unlock()
			if tries = append(tries, time.Now()); away.Load() {
				return errCrash
			}
			return nil
		}
		wantErr(t, "start", start(d, "a", init, crash), nil)
		away.Store(true)
		crash <- errCrash
		time.Sleep(time.Minute)
		mu.Lock()
		failed := slices.Clone(tries[1:])
		mu.Unlock()
		if len(failed) < 12 || len(failed) > 40 {
			t.Errorf("%d tries in a minute, want 12 to 40: 0.1 s, doubled to 5 s, of which up to half is taken off", len(failed))
		}
		for i := 1; i < len(failed); i++ {
			most := min(100*time.Millisecond<<(i-1), 5*time.Second)
			if d := failed[i].Sub(failed[i-1]); d < most/2 || d > most {
				t.Errorf("try %d came after %v, want %v to %v", i, d, most/2, most)
			}
		}
		synctest.Wait()
		if pid, ok := d.Whereis("a"); ok || d.Count() != 1 {
			t.Errorf("Whereis between tries = %v, %v, %d children, want none running and 1", pid, ok, d.Count())
		}
		wantErr(t, "start of another under the id", start(d, "a", fine, nil), supervisor.ErrAlreadyPresent)
		away.Store(false)
		time.Sleep(5 * time.Second)
		d.wantRunning("a")
		away.Store(true)
		crash <- errCrash // more than MaxRestarts, if those that failed counted
		time.Sleep(5 * time.Second)
		if d.Count() != 1 {
			t.Error("the child was given up")
		}
		at := time.Now()
		wantErr(t, "Stop between tries", d.Stop(context.Background(), "a"), nil)
		if n := d.Count(); n != 0 || time.Since(at) != 0 {
			t.Errorf("after Stop %d children, after %v, want 0 at once", n, time.Since(at))
		}
		away.Store(false)
		wantErr(t, "start", start(d, "b", init, crash), nil)
		away.Store(true)
		crash <- errCrash
		time.Sleep(time.Second)
		at = time.Now()
		wantErr(t, "Serve", d.end(), nil) // between tries, too
		if took := time.Since(at); took != 0 {
			t.Errorf("Serve took %v to end, want 0", took)
		}
	})
}

// takenError stands for *registry.TakenError, which must not be imported here.
type takenError struct{ by actor.PID }

func (takenError) Error() string       { return "taken" }
func (e takenError) Holder() actor.PID { return e.by }

// An Init may say that the process is not needed: at the start, and at a restart. The child is forgotten, no restart is
// counted, and nothing is logged as an error.
func TestDynamic_ignore(t *testing.T) {
	for name, not := range map[string]error{"ErrIgnore": actor.ErrIgnore, "wrapped": fmt.Errorf("room 7: %w", actor.ErrIgnore),
		"the name is taken": takenError{}, "taken, wrapped": fmt.Errorf("room 7: %w", takenError{})} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, _ *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
				d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestarts: -1})
				err := start(d, "a", func() error { return not }, nil)
				var failed *supervisor.StartError
				if !errors.As(err, &failed) || !errors.Is(err, actor.ErrIgnore) || !errors.Is(err, not) {
					t.Errorf("start: %v, want a *StartError that is ErrIgnore and %v", err, not)
				}
				d.wantIDs("after the start")
				d = serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestarts: 1})
				crash := make(chan error)
				needed := true
				wantErr(t, "start", start(d, "a", func() error {
					if needed {
						return nil
					}
					return not
				}, crash), nil)
				needed = false
				crash <- errCrash
				d.wantIDs("after the restart")
				d.want("all", "+a -a:abnormal +a -a:normal")
			})
		})
	}
}

// Under New the child stays listed, not running; and there a name that is taken is a failure.
func TestSupervisor_ignore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		needed, crash := false, make(chan error)
		newActor := func() actor.Actor {
			return crasher(func() error {
				if needed {
					return nil
				}
				return actor.ErrIgnore
			}, crash)
		}
		r := serve(t, supervisor.Config{MaxRestarts: 1}, spec("a", supervisor.Actor(sys, newActor, actor.SpawnOptions{}), 0), spec("b", newService(), 0))
		r.wantChildren("at the start", "a:stopped b:running")
		needed = true
		wantErr(t, "RestartChild", r.RestartChild(t.Context(), "a"), nil)
		r.wantChildren("when it is needed", "a:running b:running")
		needed = false
		crash <- errCrash
		r.wantChildren("after a restart that is not needed", "a:stopped b:running")
		needed = true
		wantErr(t, "RestartChild", r.RestartChild(t.Context(), "a"), nil)
		wantErr(t, "Serve", r.end(), nil)
		err := serve(t, supervisor.Config{}, spec("a", supervisor.Actor(sys, func() actor.Actor {
			return crasher(func() error { return takenError{} }, nil)
		}, actor.SpawnOptions{}), 0)).wait()
		wantErr(t, "Serve, a name that is taken", err, takenError{})
	})
}

// An id is unique, whoever has it, and finds its child through all its lives.
func TestDynamic_ids(t *testing.T) {
	eachKind(t, func(t *testing.T, sys *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxChildren: 2})
		crash := make(chan error)
		wantErr(t, "start", start(d, "a", fine, crash), nil)
		before, _ := d.Whereis("a")
		pid, err := d.Spawn(t.Context(), "a", sys, newWorker, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, supervisor.ErrAlreadyPresent)
		if pid != before || !pid.Alive() {
			t.Errorf("Spawn says that %v is there, want %v", pid, before)
		}
		wantErr(t, "Start", d.Start(context.Background(), "a", newService()), supervisor.ErrAlreadyPresent)
		crash <- errCrash
		d.wantRunning("a")
		if after, _ := d.Whereis("a"); after == before {
			t.Errorf("Whereis after a crash is still %v", after)
		}
		d.wantIDs("one", "a")
		for _, id := range []string{"b", ""} {
			if pid, ok := d.Whereis(id); ok {
				t.Errorf("Whereis(%q) = %v", id, pid)
			}
		}
		wantErr(t, "Start", d.Start(context.Background(), "s", newService()), nil)
		if pid, ok := d.Whereis("s"); ok {
			t.Errorf("Whereis of a service that is no actor = %v", pid)
		}
		wantErr(t, "Stop", d.Stop(context.Background(), "a"), nil)
		wantErr(t, "Stop", d.Stop(context.Background(), "a"), supervisor.ErrNotFound)
		d.wantIDs("after Stop", "s")
		wantErr(t, "Serve", d.end(), nil)
		if pid, ok := d.Whereis("s"); ok {
			t.Errorf("Whereis after Serve = %v", pid)
		}
	})
}

// Spawn waits as long as its ctx lives.
func TestDynamic_spawnCtx(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{})
		free := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := d.Spawn(ctx, "a", sys, func() actor.Actor {
			return &worker{init: func(context.Context) error { <-free; return nil }}
		}, actor.SpawnOptions{})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("Spawn: %v after %v, want %v after 1s", err, took, context.DeadlineExceeded)
		}
		close(free)
		d.wantIDs("afterwards")
		for p := range sys.Processes() {
			t.Errorf("a process is left: %+v", p)
		}
	})
}

// A process whose Spawn has returned because ctx was done, while Init runs on, is a child until it has ended.
func TestDynamic_spawnGivenUp(t *testing.T) {
	for _, id := range []string{"a", ""} {
		t.Run("id "+id, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				d := serveDynamic(t, supervisor.DynamicConfig{})
				var live, most int // both Inits and Terminates are waited for
				newSlow := func() actor.Actor {
					return &worker{
						init: func(context.Context) error {
							live++
							most = max(most, live)
							time.Sleep(3 * time.Second)
							return nil
						},
						terminate: func(context.Context, error) { live-- },
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := d.Spawn(ctx, id, sys, newSlow, actor.SpawnOptions{})
				wantErr(t, "Spawn", err, context.DeadlineExceeded)
				synctest.Wait()
				for c := range d.Children() {
					if id = c.ID; c.State != supervisor.StateStopping {
						t.Errorf("the state of %q while its Init runs is %v, want %v", id, c.State, supervisor.StateStopping)
					}
				}
				d.wantIDs("while Init runs", id)
				_, err = d.Spawn(t.Context(), id, sys, newSlow, actor.SpawnOptions{})
				wantErr(t, "Spawn of the same id", err, supervisor.ErrAlreadyPresent)
				wantErr(t, "Serve", d.end(), nil)
				for p := range sys.Processes() {
					t.Errorf("Serve has returned, and a process is left: %+v", p)
				}
				if most != 1 {
					t.Errorf("%d processes of one id at a time, want 1", most)
				}
			})
		})
	}
}

// Whenever ctx is done during a Spawn, a process that does not run is no child.
func TestDynamic_spawnGivenUpAtAnyMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{})
		for range 2000 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if pid, err := d.Spawn(ctx, "", sys, newWorker, actor.SpawnOptions{}); err == nil {
				pid.Exit(actor.ErrShutdown)
			}
		}
		d.wantIDs("when all have ended")
		for p := range sys.Processes() {
			t.Errorf("a process is left: %+v", p)
			break
		}
	})
}

// What a start says whose child is stopped before it is ready, or ends before that: the same for both kinds.
func TestDynamic_firstStart(t *testing.T) {
	type in struct {
		d    *dynamic
		free chan error // what Init returns
	}
	for name, test := range map[string]struct {
		meanwhile func(t *testing.T, in in)
		want      error
		failed    bool // as a *StartError
		ids       []string
	}{
		"ready":              {func(_ *testing.T, in in) { in.free <- nil }, nil, false, []string{"a"}},
		"Init fails":         {func(_ *testing.T, in in) { in.free <- errCrash }, errCrash, true, nil},
		"Init is not needed": {func(_ *testing.T, in in) { in.free <- actor.ErrIgnore }, actor.ErrIgnore, true, nil},
		"Init is shut down":  {func(_ *testing.T, in in) { in.free <- actor.ErrShutdown }, actor.ErrShutdown, true, nil},
		"the process ends": {func(_ *testing.T, in in) {
			pid, _ := in.d.Whereis("a")
			pid.Exit(errCrash)
			in.free <- errCrash
		}, errCrash, true, nil},
		"Stop": {func(t *testing.T, in in) {
			stopped := make(chan error, 1)
			go func() { stopped <- in.d.Stop(context.Background(), "a") }()
			synctest.Wait()
			in.free <- nil
			wantErr(t, "Stop", <-stopped, nil)
		}, supervisor.ErrTerminated, false, nil},
		"Stop, and Init hangs": {func(t *testing.T, in in) {
			wantErr(t, "Stop", in.d.Stop(context.Background(), "a"), nil)
			in.free <- nil
		}, supervisor.ErrTerminated, false, nil},
		"the Dynamic ends": {func(t *testing.T, in in) {
			in.d.cancel()
			synctest.Wait()
			in.free <- nil
			wantErr(t, "Serve", in.d.wait(), nil)
		}, supervisor.ErrNotRunning, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, _ *actor.System, start func(*dynamic, string, func() error, <-chan error) error) {
				in := in{serveDynamic(t, supervisor.DynamicConfig{}), make(chan error)}
				started := make(chan error, 1)
				go func() { started <- start(in.d, "a", func() error { return <-in.free }, nil) }()
				synctest.Wait()
				test.meanwhile(t, in)
				err := <-started
				wantErr(t, "start", err, test.want)
				if _, failed := errors.AsType[*supervisor.StartError](err); failed != test.failed {
					t.Errorf("start: %v, want a *StartError: %v", err, test.failed)
				}
				in.d.wantIDs("then", test.ids...)
			})
		})
	}
}
