package supervisor_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestSupervisor_Stats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b, c := newService(), newService(), newService()
		r := serve(t, supervisor.Config{Name: "rooms", Strategy: supervisor.OneForAll, MaxRestarts: 2},
			spec("a", a, supervisor.Permanent), spec("b", b, supervisor.Permanent))
		check := func(when string, want supervisor.Stats) {
			t.Helper()
			synctest.Wait()
			want.Name = "rooms"
			if want.Restarts == nil {
				want.Restarts = map[string]uint64{"a": 0, "b": 0, "": 0}
			}
			if got := r.Stats(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", when, got, want)
			}
		}
		check("at first", supervisor.Stats{Children: 2})
		if err := r.StartChild(t.Context(), spec("c", c, supervisor.Permanent)); err != nil {
			t.Fatal(err)
		}
		check("one was added", supervisor.Stats{Children: 3})
		a.end(errCrash)
		check("all are restarted", supervisor.Stats{Children: 3, Restarts: map[string]uint64{"a": 1, "b": 1, "": 1}})
		for range 2 {
			b.end(errCrash)
			synctest.Wait()
		}
		if err := r.wait(); err == nil {
			t.Fatal("the supervisor has not given up")
		}
		want := supervisor.Stats{Children: 2, GaveUp: 1, Restarts: map[string]uint64{"a": 2, "b": 2, "": 2}}
		check("it has given up", want)
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- r.Serve(ctx) }()
		check("it is served again", want)
		a.end(errCrash)
		want.Restarts = map[string]uint64{"a": 3, "b": 3, "": 2}
		check("all are restarted once more", want)
		r.Stats().Restarts["a"] = 77
		check("what was returned is a copy", want)
		cancel()
		<-served
	})
}

func TestSupervisor_Stats_abandoned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		free := make(chan struct{})
		stuck := supervisor.ServiceFunc(func(context.Context) error { <-free; return nil })
		r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "stuck", Service: stuck, Shutdown: time.Second})
		var left *supervisor.AbandonedError
		if err := r.end(); !errors.As(err, &left) {
			t.Errorf("Serve returns %v, want an *AbandonedError", err)
		}
		if st := r.Stats(); st.Abandoned != 1 || st.GaveUp != 0 || st.Restarts["stuck"] != 0 {
			t.Errorf("Stats: %+v, want one that was abandoned", st)
		}
		close(free)
	})
}

func TestDynamic_Stats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(t.Context())
		// Nobody hears of events: they are counted all the same.
		d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "games", Restart: supervisor.Permanent, MaxRestarts: 2, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- d.Serve(ctx) }()
		synctest.Wait()
		if _, err := d.Spawn(t.Context(), "one", sys, newWorker, actor.SpawnOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Start(t.Context(), "two", newService()); err != nil {
			t.Fatal(err)
		}
		if got, want := d.Stats(), (supervisor.Stats{Name: "games", Children: 2, Restarts: map[string]uint64{"": 0}}); !reflect.DeepEqual(got, want) {
			t.Errorf("two children:\ngot  %+v\nwant %+v", got, want)
		}
		for range 3 {
			pid, _ := d.Whereis("one")
			pid.Exit(errCrash)
			synctest.Wait()
		}
		want := supervisor.Stats{Name: "games", Children: 1, Restarts: map[string]uint64{"": 2}, GaveUp: 1}
		if got := d.Stats(); !reflect.DeepEqual(got, want) {
			t.Errorf("one was restarted twice, then given up:\ngot  %+v\nwant %+v", got, want)
		}
		cancel()
		<-served
	})
}
