package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

// dynamic is a Dynamic that is served in a bubble.
type dynamic struct {
	*supervisor.Dynamic
	tree // for what both have: the journal and the end
}

func serveDynamic(t *testing.T, cfg supervisor.DynamicConfig) *dynamic {
	t.Helper()
	r := &dynamic{tree: tree{t: t, served: make(chan error, 1)}}
	cfg.Logger = quiet
	cfg.OnEvent = r.journal.add
	var err error
	if r.Dynamic, err = supervisor.NewDynamic(cfg); err != nil {
		t.Fatalf("NewDynamic: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.served <- r.Dynamic.Serve(ctx) }()
	t.Cleanup(func() { r.end() })
	synctest.Wait()
	return r
}

func (r *dynamic) wantIDs(when string, want ...string) {
	r.t.Helper()
	synctest.Wait()
	var got []string
	for c := range r.Dynamic.Children() {
		got = append(got, c.ID)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || r.Count() != len(want) {
		r.t.Errorf("%s: children %q, count %d, want %q", when, got, r.Count(), want)
	}
}

func newWorker() actor.Actor { return &worker{} }

func TestDynamic_children(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Partitions: 3})
		var pids []string
		for range 5 {
			pid, err := d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid.String())
		}
		s := newService()
		wantErr(t, "Start", d.Start(context.Background(), "s", s), nil)
		wantErr(t, "Start again", d.Start(context.Background(), "s", newService()), supervisor.ErrAlreadyPresent)
		wantErr(t, "Start actor", d.Start(context.Background(), "a", supervisor.Actor(sys, newWorker, actor.SpawnOptions{})), nil)
		d.wantIDs("all", append(pids, "s", "a")...)
		for c := range d.Dynamic.Children() {
			if isActor := c.ID != "s"; c.State != supervisor.StateRunning || (c.PID != actor.PID{}) != isActor {
				t.Errorf("child %+v", c)
			}
		}
		pid, _ := sys.ParsePID(pids[0])
		pid.Send(errCrash)
		d.wantIDs("an actor has crashed", append(pids[1:], "s", "a")...)
		s.end(nil)
		d.wantIDs("a service has ended", append(pids[1:], "a")...)
		wantErr(t, "Stop actor", d.Stop(context.Background(), pids[1]), nil)
		wantErr(t, "Stop service", d.Stop(context.Background(), "a"), nil)
		d.wantIDs("after Stop", pids[2:]...)
		for _, id := range []string{pids[1], "a", "s", "nobody", ""} {
			wantErr(t, "Stop "+id, d.Stop(context.Background(), id), supervisor.ErrNotFound)
		}
		wantErr(t, "Serve again", d.Dynamic.Serve(t.Context()), supervisor.ErrServing)
		wantErr(t, "Serve", d.end(), nil)
		for p := range sys.Processes() {
			t.Errorf("a process is left: %+v", p)
		}
	})
}

func TestDynamic_notRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			_, err := d.Spawn(context.Background(), "", sys, func() actor.Actor { t.Error("newActor runs " + when); return nil }, actor.SpawnOptions{})
			wantErr(t, "Spawn "+when, err, supervisor.ErrNotRunning)
			wantErr(t, "Start "+when, d.Start(context.Background(), "s", newService()), supervisor.ErrNotRunning)
		}
		check("before Serve")
		wantErr(t, "Stop before Serve", d.Stop(context.Background(), "s"), supervisor.ErrNotRunning)
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error)
			go func() { served <- d.Serve(ctx) }()
			synctest.Wait()
			slow, err := d.Spawn(context.Background(), "", sys, func() actor.Actor {
				return &worker{terminate: func(context.Context, error) { time.Sleep(time.Second) }}
			}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			synctest.Wait()
			check("while it stops")
			wantErr(t, "Stop while it stops", d.Stop(context.Background(), slow.String()), nil)
			wantErr(t, "Serve", <-served, nil)
			check("after Serve")
		}
	})
}

// Which ends of which children are followed by a restart.
func TestDynamic_restarts(t *testing.T) {
	restarts := map[supervisor.Restart]map[exit.Kind]bool{
		supervisor.Default:   {},
		supervisor.Temporary: {},
		supervisor.Transient: {exit.Abnormal: true},
		supervisor.Permanent: {exit.Normal: true, exit.Shutdown: true, exit.Abnormal: true},
	}
	for restart, when := range restarts {
		for _, end := range ends {
			t.Run(fmt.Sprintf("%v/%s/service", restart, end.name), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					d := serveDynamic(t, supervisor.DynamicConfig{Restart: restart})
					s := newService()
					wantErr(t, "Start", d.Start(context.Background(), "s", s), nil)
					wantErr(t, "Start", d.Start(context.Background(), "other", newService()), nil)
					s.orders <- end.end
					if when[end.kind] {
						d.want("all", "+s +other -s:"+end.kind.String()+" +s")
						d.wantIDs("then", "s", "other")
					} else {
						d.want("all", "+s +other -s:"+end.kind.String())
						d.wantIDs("then", "other")
					}
				})
			})
			if end.name == "nil" || end.name == "a nil pointer" {
				continue
			}
			t.Run(fmt.Sprintf("%v/%s/actor", restart, end.name), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					sys := newSystem(t)
					d := serveDynamic(t, supervisor.DynamicConfig{Restart: restart})
					pid, err := d.Spawn(context.Background(), "", sys, func() actor.Actor {
						return &worker{receive: func(context.Context, any) error { return end.end() }}
					}, actor.SpawnOptions{})
					if err != nil {
						t.Fatal(err)
					}
					pid.Send("go")
					synctest.Wait()
					var kinds []string
					for _, e := range d.journal.take() {
						if e.Kind != supervisor.EventShutdown {
							kinds = append(kinds, e.Kind.String())
						}
						if e.Kind == supervisor.EventExited && (e.ExitKind != end.kind || e.PID != pid || e.Child != pid.String()) {
							t.Errorf("%+v, want %v of %v", e, end.kind, pid)
						}
					}
					want, n := "started exited", 0
					if when[end.kind] {
						want, n = "started exited restarted", 1
					}
					if got := strings.Join(kinds, " "); got != want || d.Count() != n {
						t.Errorf("events %s, count %d, want %s, %d", got, d.Count(), want, n)
					}
					for c := range d.Dynamic.Children() {
						if c.PID == pid || !c.PID.Alive() || c.Restarts != 1 {
							t.Errorf("child %+v, want a new PID after one restart", c)
						}
					}
				})
			})
		}
	}
}

func TestDynamic_intensity(t *testing.T) {
	bubble(t, func(t *testing.T) { // a crash of a temporary child does not count
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{MaxRestarts: -1})
		for range 100 {
			pid, err := d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{})
			wantErr(t, "Spawn", err, nil)
			pid.Send(errCrash)
			synctest.Wait()
		}
		d.wantIDs("after 100 crashes")
		wantErr(t, "Serve", d.end(), nil)
	})
}

func TestDynamic_startFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestarts: -1, MaxChildren: 1})
		for name, newActor := range map[string]func() actor.Actor{
			"Init fails": func() actor.Actor { return &worker{init: func(context.Context) error { return errCrash }} },
			"nil":        func() actor.Actor { return nil },
			"panic":      func() actor.Actor { panic("boom") },
		} {
			var start *supervisor.StartError
			if _, err := d.Spawn(context.Background(), "", sys, newActor, actor.SpawnOptions{}); !errors.As(err, &start) {
				t.Errorf("Spawn, %s: %v, want a *StartError", name, err)
			}
			if err := d.Start(context.Background(), "a", supervisor.Actor(sys, newActor, actor.SpawnOptions{})); !errors.As(err, &start) {
				t.Errorf("Start, %s: %v, want a *StartError", name, err)
			}
			d.wantIDs(name)
		}
		gone := make(chan struct{})
		go func() { // runtime.Goexit in newActor is the caller's own business
			defer close(gone)
			_, _ = d.Spawn(context.Background(), "", sys, func() actor.Actor { runtime.Goexit(); return nil }, actor.SpawnOptions{})
		}()
		<-gone
		d.wantIDs("Goexit")
		if err := d.Start(context.Background(), "", newService()); err == nil {
			t.Error("Start without an id has no error")
		}
		if err := d.Start(context.Background(), "s", supervisor.ServiceFunc(nil)); err == nil {
			t.Error("Start of a nil Service has no error")
		}
		wantErr(t, "Start", d.Start(context.Background(), "s", newService()), nil)
		d.wantIDs("the failures have cost no place", "s")
	})
}

func TestDynamic_maxChildren(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		const limit = 10
		d := serveDynamic(t, supervisor.DynamicConfig{MaxChildren: limit})
		for round := range 20 {
			var started, refused, most atomic.Int64
			var wg sync.WaitGroup
			var pids sync.Map
			for i := range 10 * limit {
				wg.Go(func() {
					var err error
					if i%2 == 0 {
						var pid actor.PID
						pid, err = d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{})
						pids.Store(pid.String(), err == nil)
					} else {
						id := fmt.Sprint(i)
						err = d.Start(context.Background(), id, newService())
						pids.Store(id, err == nil)
					}
					if n := int64(d.Count()); n > most.Load() {
						most.Store(n)
					}
					switch {
					case err == nil:
						started.Add(1)
					case errors.Is(err, supervisor.ErrMaxChildren):
						refused.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if started.Load() != limit || refused.Load() != 9*limit || most.Load() > limit {
				t.Fatalf("round %d: %d started, %d refused, at most %d at once; want %d, %d, at most %d",
					round, started.Load(), refused.Load(), most.Load(), limit, 9*limit, limit)
			}
			pids.Range(func(id, started any) bool {
				if started.(bool) {
					wg.Go(func() { wantErr(t, "Stop", d.Stop(context.Background(), id.(string)), nil) })
				}
				return true
			})
			wg.Wait()
			d.wantIDs("after the round")
		}
	})
}

// Stop, and the end of the Dynamic, during a restart.
func TestDynamic_stopDuringRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
		n := 0
		pid, err := d.Spawn(context.Background(), "", sys, func() actor.Actor {
			return &worker{init: func(context.Context) error {
				if n++; n > 1 {
					time.Sleep(time.Second)
				}
				return nil
			}}
		}, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, nil)
		pid.Exit(errCrash)
		synctest.Wait()
		var second string
		for c := range d.Dynamic.Children() {
			second = c.ID
		}
		start := time.Now()
		wantErr(t, "Stop during Init of the restart", d.Stop(context.Background(), second), nil)
		if took := time.Since(start); took != time.Second {
			t.Errorf("Stop took %v, want what Init takes", took)
		}
		d.wantIDs("then")

		s := newService()
		s.begin = func(context.Context) error {
			if n++; n > 3 {
				time.Sleep(time.Second)
			}
			return errCarryOn
		}
		wantErr(t, "Start", d.Start(context.Background(), "s", s), nil)
		s.end(errCrash)
		wantErr(t, "Stop of a service", d.Stop(context.Background(), "s"), nil)
		d.wantIDs("then")
		wantErr(t, "Start", d.Start(context.Background(), "s", s), nil)
		s.end(errCrash)
		wantErr(t, "Serve", d.end(), nil)
	})
}

// An end by Stop is not counted as a restart.
func TestDynamic_stopCountsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestarts: -1})
		pid, err := d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{})
		wantErr(t, "Spawn", err, nil)
		wantErr(t, "Stop", d.Stop(context.Background(), pid.String()), nil)
		wantErr(t, "Start", d.Start(context.Background(), "s", newService()), nil)
		wantErr(t, "Stop", d.Stop(context.Background(), "s"), nil)
		wantErr(t, "Serve", d.end(), nil)
	})
}

// A restart that fails is tried again, even when its error is not abnormal.
func TestDynamic_serviceRestartFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Transient})
		n := 0
		wantErr(t, "Start", d.Start(context.Background(), "a", supervisor.Actor(sys, func() actor.Actor {
			return &worker{init: func(ctx context.Context) error {
				if n++; n == 2 {
					return actor.ErrShutdown
				}
				if n == 1 {
					actor.SendAfter(ctx, time.Second, errCrash)
				}
				return nil
			}}
		}, actor.SpawnOptions{})), nil)
		time.Sleep(time.Minute)
		d.want("all", "+a -a:abnormal +a -a:shutdown +a")
	})
}

func TestDynamic_stopLeavesBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := serveDynamic(t, supervisor.DynamicConfig{MaxChildren: 1})
		wantErr(t, "Start", d.Start(context.Background(), "s", lingering(time.Hour)), nil)
		stops := make(chan error, 2)
		for range 2 {
			go func() { stops <- d.Stop(context.Background(), "s") }()
		}
		for range 2 {
			var abandoned *supervisor.AbandonedError
			if err := <-stops; !errors.As(err, &abandoned) || abandoned.Children[0] != "s" {
				t.Errorf("Stop: %v, want a *AbandonedError of s", err)
			}
		}
		wantErr(t, "Start of a successor", d.Start(context.Background(), "s", newService()), nil)
		d.want("all", "+s abandoned s +s")
		time.Sleep(time.Hour)
		d.wantIDs("the late return changes nothing", "s")
		wantErr(t, "Serve", d.end(), nil)
	})
}

// When most children have ended, their memory is given back.
func TestDynamic_givesMemoryBackAfterACrowd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const crowd, stay = 5_000, 50
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Partitions: 2})
		pids := make([]actor.PID, crowd)
		services := make([]*service, crowd/5)
		for i := range pids {
			var err error
			if pids[i], err = d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range services {
			services[i] = newService()
			wantErr(t, "Start", d.Start(context.Background(), fmt.Sprint(i), services[i]), nil)
		}
		synctest.Wait()
		if n := supervisor.Room(d.Dynamic); n < len(pids)+len(services) {
			t.Fatalf("room for %d children, and there are %d", n, len(pids)+len(services))
		}
		for _, pid := range pids[stay:] {
			pid.Exit(actor.ErrNormal)
		}
		for _, s := range services[stay:] {
			s.end(nil)
		}
		synctest.Wait()
		if n := d.Count(); n != 2*stay {
			t.Errorf("%d children, want %d", n, 2*stay)
		}
		n := supervisor.Room(d.Dynamic)
		if most := 16 * stay; n > most {
			t.Errorf("%d children are there: room for %d, want at most %d", 2*stay, n, most)
		}
	})
}

// A ctx bounds how long Start and Stop wait, and nothing else: what was started is stopped, and what is being stopped goes
// on stopping.
func TestDynamic_ctxBoundsTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := newSystem(t)
		d := serveDynamic(t, supervisor.DynamicConfig{Shutdown: time.Minute})
		within := func(limit time.Duration, f func(context.Context) error) (err error) {
			t.Helper()
			cause := errors.New("enough")
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, cause)
			defer cancel()
			start := time.Now()
			if err = f(ctx); time.Since(start) != limit || !errors.Is(err, cause) {
				t.Errorf("got %v after %v, want the cause after %v", err, time.Since(start), limit)
			}
			return err
		}
		initialized := make(chan struct{})
		slow := func() actor.Actor {
			return &worker{init: func(context.Context) error { <-initialized; return nil }}
		}
		err := within(time.Second, func(ctx context.Context) error {
			return d.Start(ctx, "slow", supervisor.Actor(sys, slow, actor.SpawnOptions{}))
		})
		if _, ok := errors.AsType[*supervisor.StartError](err); !ok {
			t.Errorf("Start: got %v, want a *StartError", err)
		}
		wantErr(t, "Start under its id", d.Start(context.Background(), "slow", newService()), supervisor.ErrAlreadyPresent)
		close(initialized)
		d.wantIDs("after the Init of what was given up")
		wantErr(t, "Start under the free id", d.Start(context.Background(), "slow", newService()), nil)

		wantErr(t, "Start", d.Start(context.Background(), "lingers", lingering(10*time.Second)), nil)
		_ = within(time.Second, func(ctx context.Context) error { return d.Stop(ctx, "lingers") })
		d.wantIDs("while it goes on stopping", "lingers", "slow")
		wantErr(t, "Stop again", d.Stop(context.Background(), "lingers"), nil)
		d.wantIDs("after that", "slow")
		wantErr(t, "Serve", d.end(), nil)
	})
}
