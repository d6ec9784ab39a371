package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// A thousand services are stopped at once, each within its own time, and one that hangs delays no other.
func TestDynamic_stopsServicesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 1000
		d := serveDynamic(t, supervisor.DynamicConfig{})
		type at struct{ told, over time.Time }
		var mu sync.Mutex
		seen := make(map[string]at)
		for i := range n {
			id, s := fmt.Sprint(i), newService()
			s.stop = func(ctx context.Context) error {
				told := time.Now()
				time.Sleep(time.Duration(i) * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				seen[id] = at{told, time.Now()}
				return nil
			}
			wantErr(t, "Start", d.Start(context.Background(), id, asking{s, time.Duration(i+1) * time.Millisecond}), nil)
		}
		free := make(chan struct{})
		hangs := newService()
		hangs.stop = func(context.Context) error { <-free; return nil }
		wantErr(t, "Start", d.Start(context.Background(), "hangs", asking{hangs, 30 * time.Second}), nil)
		wantErr(t, "Start", d.Start(context.Background(), "hangs, and has less time", asking{hangs, time.Second / 2}), nil)
		d.journal.take()
		start := time.Now()
		err := d.end()
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("Serve took %v to end, want the 30s of the one that hangs", took)
		}
		abandoned, ok := errors.AsType[*supervisor.AbandonedError](err)
		if want := []string{"hangs", "hangs, and has less time"}; !ok || !slices.Equal(abandoned.Children, want) {
			t.Errorf("Serve returned %v, want an *AbandonedError of %q", err, want)
		}
		for i := range n {
			got := seen[fmt.Sprint(i)]
			if told, over := got.told.Sub(start), got.over.Sub(start); told != 0 || over != time.Duration(i)*time.Millisecond {
				t.Fatalf("service %d was told after %v and over after %v, want 0 and %d ms", i, told, over, i)
			}
		}
		for _, e := range d.journal.take() {
			after, want := e.Time.Sub(start), time.Duration(0)
			switch {
			case e.Kind == supervisor.EventExited:
				want = seen[e.Child].over.Sub(start)
			case e.Kind == supervisor.EventAbandoned && e.Child == "hangs":
				want = 30 * time.Second
			case e.Kind == supervisor.EventAbandoned && e.Child == "hangs, and has less time":
				want = time.Second / 2
			case e.Kind == supervisor.EventAbandoned:
				t.Errorf("%q was abandoned", e.Child)
				continue
			default:
				continue
			}
			if after != want {
				t.Errorf("%v of %q came after %v, want %v", e.Kind, e.Child, after, want)
			}
		}
		close(free)
	})
}

// A child that hangs, of whichever kind and wherever, is abandoned by name at the end of its time, and its id is free again;
// nothing more happens when it returns after all.
func TestDynamic_abandons(t *testing.T) {
	const shutdown = 10 * time.Second
	hangs := map[string]struct {
		start func(d *dynamic, sys *actor.System, free <-chan struct{}) error
		takes time.Duration
	}{
		"a service": {func(d *dynamic, _ *actor.System, free <-chan struct{}) error {
			s := newService()
			s.stop = func(context.Context) error { <-free; return nil }
			return d.Start(context.Background(), "a", s)
		}, shutdown},
		"newActor of a restart": {func(d *dynamic, sys *actor.System, free <-chan struct{}) error {
			n := 0
			pid, err := d.Spawn(context.Background(), "a", sys, func() actor.Actor {
				if n++; n == 2 {
					<-free
				}
				return newWorker()
			}, actor.SpawnOptions{})
			pid.Exit(errCrash)
			return err
		}, shutdown + time.Second},
		"newActor of a restart, as a service": {func(d *dynamic, sys *actor.System, free <-chan struct{}) error {
			n := 0
			err := d.Start(context.Background(), "a", supervisor.Actor(sys, func() actor.Actor {
				if n++; n == 2 {
					<-free
				}
				return newWorker()
			}, actor.SpawnOptions{}))
			pid, _ := d.Whereis("a")
			pid.Exit(errCrash)
			return err
		}, shutdown + time.Second},
	}
	for name, test := range hangs {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sys := newSystem(t)
				d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, Shutdown: shutdown})
				free := make(chan struct{})
				wantAbandoned := func(what string, f func() error) {
					t.Helper()
					wantErr(t, "start", test.start(d, sys, free), nil)
					synctest.Wait()
					d.journal.take()
					start := time.Now()
					err := f()
					abandoned, ok := errors.AsType[*supervisor.AbandonedError](err)
					if took := time.Since(start); !ok || !slices.Equal(abandoned.Children, []string{"a"}) || took != test.takes {
						t.Errorf("%s: %v after %v, want an *AbandonedError of a after %v", what, err, took, test.takes)
					}
					d.want("events of "+what, "abandoned a")
				}
				wantAbandoned("Stop", func() error { return d.Stop(context.Background(), "a") })
				d.wantIDs("after Stop")
				close(free)
				d.want("events of the late return", "")
				wantErr(t, "Start of another under its id", d.Start(context.Background(), "a", newService()), nil)
				wantErr(t, "Stop of that", d.Stop(context.Background(), "a"), nil)
				free = make(chan struct{})
				wantAbandoned("Serve", d.end) // and not of the one that has returned
				close(free)
				synctest.Wait()
				for p := range sys.Processes() {
					t.Errorf("a process is left: %+v", p)
				}
			})
		})
	}
}

// Ready is about the life whose ctx it gets, and does nothing once that is over.
func TestDynamic_readyTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
		var first net.Listener
		var failed context.Context
		wantErr(t, "Start", d.Start(context.Background(), "a", supervisor.HTTP(&http.Server{}, func(ctx context.Context) (net.Listener, error) {
			if first == nil {
				first = newPipes()
				return first, nil
			}
			failed = ctx
			return nil, errCrash
		})), nil)
		wantErr(t, "Close", first.Close(), nil)
		d.want("a restart that fails", "+a -a:abnormal +a -a:abnormal")
		supervisor.Ready(failed)
		synctest.Wait()
		for _, e := range d.journal.take() {
			t.Errorf("a Ready that comes too late is an event: %+v", e)
		}
		for c := range d.Dynamic.Children() {
			if c.State != supervisor.StateRestarting {
				t.Errorf("child %+v, want it to be restarting", c)
			}
		}
	})
}
