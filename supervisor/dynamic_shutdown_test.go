package supervisor_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// All are stopped at once, and all are waited for, each for its own time.
func TestDynamic_shutdown(t *testing.T) {
	const never = 1000 * time.Hour
	terminating := func(d time.Duration) func(*supervisor.Dynamic, *actor.System) error {
		return func(dyn *supervisor.Dynamic, sys *actor.System) error {
			_, err := dyn.Spawn(context.Background(), "", sys, func() actor.Actor {
				return &worker{terminate: func(ctx context.Context, _ error) {
					select {
					case <-time.After(d):
					case <-ctx.Done():
					}
				}}
			}, actor.SpawnOptions{})
			return err
		}
	}
	service := func(d time.Duration) func(*supervisor.Dynamic, *actor.System) error {
		return func(dyn *supervisor.Dynamic, _ *actor.System) error {
			return dyn.Start(context.Background(), "s", lingering(d))
		}
	}
	nested := func(dyn *supervisor.Dynamic, _ *actor.System) error {
		s, err := supervisor.New(supervisor.Config{Logger: quiet}, supervisor.ChildSpec{ID: "x", Service: lingering(never), Shutdown: time.Minute})
		if err != nil {
			return err
		}
		return dyn.Start(context.Background(), "tree", s)
	}
	for _, test := range []struct {
		name      string
		shutdown  time.Duration
		start     []func(*supervisor.Dynamic, *actor.System) error
		takes     time.Duration
		abandoned []string
	}{
		{"nobody", 0, nil, 0, nil},
		{"at rest", 0, slices.Repeat([]func(*supervisor.Dynamic, *actor.System) error{terminating(0)}, 100), 0, nil},
		{"slow ones take what the slowest takes", 0, append(slices.Repeat([]func(*supervisor.Dynamic, *actor.System) error{terminating(time.Second)}, 100), service(4*time.Second)), 4 * time.Second, nil},
		{"an actor that takes too long is killed", 0, []func(*supervisor.Dynamic, *actor.System) error{terminating(never)}, 5 * time.Second, nil},
		{"an actor that takes too long, Shutdown", time.Minute, []func(*supervisor.Dynamic, *actor.System) error{terminating(never)}, time.Minute, nil},
		{"an actor, Infinity", supervisor.Infinity, []func(*supervisor.Dynamic, *actor.System) error{terminating(time.Hour)}, time.Hour, nil},
		{"an actor, Kill", supervisor.Kill, []func(*supervisor.Dynamic, *actor.System) error{terminating(time.Hour)}, 0, nil},
		{"a service that takes too long is abandoned", 0, []func(*supervisor.Dynamic, *actor.System) error{service(never), terminating(0)}, 5 * time.Second, []string{"s"}},
		{"a service, Infinity", supervisor.Infinity, []func(*supervisor.Dynamic, *actor.System) error{service(time.Hour)}, time.Hour, nil},
		{"a service, Kill", supervisor.Kill, []func(*supervisor.Dynamic, *actor.System) error{service(never)}, time.Second, []string{"s"}},
		{"a supervisor has no limit", 0, []func(*supervisor.Dynamic, *actor.System) error{nested}, time.Minute, []string{"tree/x"}},
		{"a supervisor that is killed kills", time.Second, []func(*supervisor.Dynamic, *actor.System) error{nested}, 2 * time.Second, []string{"tree/x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				d := serveDynamic(t, supervisor.DynamicConfig{Name: "rooms", Shutdown: test.shutdown})
				for _, start := range test.start {
					wantErr(t, "start", start(d.Dynamic, sys), nil)
				}
				begin := time.Now()
				err := d.end()
				if took := time.Since(begin); took != test.takes {
					t.Errorf("the shutdown took %v, want %v", took, test.takes)
				}
				var abandoned *supervisor.AbandonedError
				var names []string
				if errors.As(err, &abandoned) {
					names = abandoned.Children
				}
				if !slices.Equal(names, test.abandoned) || err != nil && abandoned == nil {
					t.Errorf("Serve returned %v, want one that names %q", err, test.abandoned)
				}
				var kinds []exit.Kind
				for _, e := range d.journal.take() {
					if e.Kind == supervisor.EventExited {
						kinds = append(kinds, e.ExitKind)
					}
				}
				if slices.ContainsFunc(kinds, func(k exit.Kind) bool { return k != exit.Shutdown }) {
					t.Errorf("kinds of exits %v, want shutdown only", kinds)
				}
				for p := range sys.Processes() {
					t.Errorf("a process is left: %+v", p)
				}
				time.Sleep(never)
			})
		})
	}
}

// A Dynamic in a tree is killed with it.
func TestDynamic_killedFromAbove(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet, Shutdown: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "rooms", Service: d, Shutdown: time.Minute})
		r.want("start", "warning rooms +rooms")
		stuck := make(chan struct{})
		_, err = d.Spawn(context.Background(), "", sys, func() actor.Actor {
			return &worker{terminate: func(context.Context, error) { <-stuck }}
		}, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, nil)
		wantErr(t, "Start", d.Start(context.Background(), "s", lingering(59*time.Second)), nil)
		wantErr(t, "Start", d.Start(context.Background(), "never", lingering(time.Hour)), nil)
		start := time.Now()
		err = r.end()
		if took := time.Since(start); took != time.Minute+time.Second {
			t.Errorf("the end took %v, want a minute, and a second for the stuck", took)
		}
		var abandoned *supervisor.AbandonedError
		if !errors.As(err, &abandoned) || !slices.Equal(abandoned.Children, []string{"rooms/never"}) {
			t.Errorf("Serve returned %v, want a *AbandonedError of rooms/never", err)
		}
		close(stuck)
		time.Sleep(time.Hour)
	})
}

// A newActor or an exit hook that hangs does not hold up the end for ever.
func TestDynamic_stuckConstructor(t *testing.T) {
	for id, name := range map[string]string{"": "1 actors", "a": "a"} {
		bubble(t, func(t *testing.T) {
			sys := newSystem(t)
			d := serveDynamic(t, supervisor.DynamicConfig{})
			release := make(chan struct{})
			spawned := make(chan error)
			spawn := func() {
				_, err := d.Spawn(context.Background(), id, sys, func() actor.Actor { <-release; return &worker{} }, actor.SpawnOptions{})
				spawned <- err
			}
			wantAbandoned := func(what string, err error, name string) {
				t.Helper()
				if abandoned, ok := errors.AsType[*supervisor.AbandonedError](err); !ok || !slices.Equal(abandoned.Children, []string{name}) {
					t.Errorf("%s: %v, want an *AbandonedError of %s", what, err, name)
				}
			}
			if id != "" {
				go spawn()
				synctest.Wait()
				wantAbandoned("Stop", d.Stop(context.Background(), id), id)
				release <- struct{}{}
				wantErr(t, "Spawn of what was stopped", <-spawned, supervisor.ErrTerminated)
				d.wantIDs("after Stop")
			}
			go spawn()
			synctest.Wait()
			wantAbandoned("Serve", d.end(), name)
			close(release)
			err := <-spawned
			wantErr(t, "Spawn", err, supervisor.ErrNotRunning)
			if _, failed := errors.AsType[*supervisor.StartError](err); failed {
				t.Errorf("Spawn: %v, want no *StartError", err)
			}
		})
	}
}

// Actors cost no goroutine, and many of them end at the same time, not one after the other. 10,000 actors; 100,000 with
// TROUPE_STRESS=1.
func TestDynamic_many(t *testing.T) {
	n := 10_000
	if os.Getenv("TROUPE_STRESS") != "" && !raceEnabled {
		n = 100_000
	}
	bubble(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(context.Background())
		d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served := make(chan error)
		go func() { served <- d.Serve(ctx) }()
		synctest.Wait()
		before := runtime.NumGoroutine()
		var terminated, other atomic.Int64
		pids := make([]actor.PID, n)
		for i := range n {
			if pids[i], err = d.Spawn(context.Background(), "", sys, func() actor.Actor {
				return &worker{terminate: func(_ context.Context, reason error) {
					if reason != actor.ErrShutdown {
						other.Add(1)
					}
					if terminated.Add(1)%1000 == 0 {
						time.Sleep(time.Second)
					}
				}}
			}, actor.SpawnOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if g := runtime.NumGoroutine(); g > before+10 || d.Count() != n {
			t.Errorf("%d actors of %d have %d goroutines more", d.Count(), n, g-before)
		}
		for _, pid := range pids[:n/2] { // half of them crash
			pid.Send(errCrash)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if d.Count() != n-n/2 {
			t.Errorf("%d children after the death of half of %d", d.Count(), n)
		}
		other.Store(0)
		start := time.Now()
		cancel()
		wantErr(t, "Serve", <-served, nil)
		if took := time.Since(start); took != time.Second {
			t.Errorf("the end took %v, want what the slowest takes: 1 s", took)
		}
		if terminated.Load() != int64(n) || other.Load() != 0 {
			t.Errorf("%d terminated, %d of the second half not with ErrShutdown; want %d, 0", terminated.Load(), other.Load(), n)
		}
	})
}
