package actor_test

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
)

// TestSystem_Stats: what a System has done, one thing after the other.
func TestSystem_Stats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		check := func(when string, want actor.Stats) {
			t.Helper()
			synctest.Wait()
			got := sys.Stats()
			got.Resting = 0                                                                   // how many are kept is the pool's business
			ended := map[exit.Kind]uint64{exit.Normal: 0, exit.Shutdown: 0, exit.Abnormal: 0} // there from the start
			maps.Copy(ended, want.Ended)
			want.Ended = ended
			if !maps.Equal(got.Ended, want.Ended) {
				t.Errorf("%s: Ended is %v, want %v", when, got.Ended, want.Ended)
			}
			got.Ended, want.Ended = nil, nil
			if got, want := any(got), any(want); !equal(got, want) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", when, got, want)
			}
		}
		check("before all", actor.Stats{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		check("one lives", actor.Stats{Processes: 1, Spawned: 1})
		if _, err := sys.Spawn(t.Context(), &behaviour{init: func(context.Context) error { return errBoom }}, actor.SpawnOptions{}); !errors.Is(err, errBoom) {
			t.Errorf("Spawn: %v, want %v", err, errBoom)
		}
		check("one whose Init has failed", actor.Stats{Processes: 1, Spawned: 2, Ended: map[exit.Kind]uint64{exit.Abnormal: 1}})
		if _, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil); err != nil {
			t.Fatal(err)
		}
		check("a hosted one that does not run", actor.Stats{Processes: 2, Spawned: 3, Ended: map[exit.Kind]uint64{exit.Abnormal: 1}})
		in.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		in.pid.Send("too late")
		check("one has ended, and a message reached nobody", actor.Stats{Processes: 1, Spawned: 3, Undelivered: 1,
			Ended: map[exit.Kind]uint64{exit.Abnormal: 1, exit.Normal: 1}})
		stuck := newInbox(t, sys, actor.SpawnOptions{})
		release := block(t, stuck.pid)
		check("a callback runs", actor.Stats{Processes: 2, Spawned: 4, Undelivered: 1, Running: 1,
			Ended: map[exit.Kind]uint64{exit.Abnormal: 1, exit.Normal: 1}})
		stuck.pid.Exit(actor.ErrKilled)
		check("it was abandoned", actor.Stats{Processes: 1, Spawned: 4, Undelivered: 1, Abandoned: 1, Stuck: 1,
			Ended: map[exit.Kind]uint64{exit.Abnormal: 2, exit.Normal: 1}})
		release()
		check("it has returned after all", actor.Stats{Processes: 1, Spawned: 4, Undelivered: 1, Abandoned: 1,
			Ended: map[exit.Kind]uint64{exit.Abnormal: 2, exit.Normal: 1}})
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("after Shutdown, which has killed the hosted one", actor.Stats{Spawned: 4, Undelivered: 1, Abandoned: 1,
			Ended: map[exit.Kind]uint64{exit.Abnormal: 3, exit.Normal: 1}})
	})
}

func equal(a, b any) bool {
	x, y := a.(actor.Stats), b.(actor.Stats)
	return x.Processes == y.Processes && x.Spawned == y.Spawned && x.Undelivered == y.Undelivered &&
		x.Abandoned == y.Abandoned && x.Stuck == y.Stuck && x.Running == y.Running
}

// An end is counted before anybody hears of it, and what an exit reason does in its methods stops nothing.
func TestSystem_Stats_reasonsThatDoAnything(t *testing.T) {
	for name, tt := range map[string]struct {
		reason error
		want   exit.Kind
	}{
		"an error":               {errBoom, exit.Abnormal},
		"a kind of its own":      {kinded(exit.Shutdown), exit.Shutdown},
		"a kind that is unknown": {kinded(9), exit.Abnormal},
		"it panics":              {rude(func() { panic("as asked") }), exit.Abnormal},
		"it ends the goroutine":  {rude(runtime.Goexit), exit.Abnormal},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				var seen atomic.Pointer[actor.Stats]
				spawn(t, sys, &behaviour{
					init: func(ctx context.Context) error { actor.Monitor(ctx, port.PID()); return nil },
					receive: func(context.Context, any) error {
						st := sys.Stats()
						seen.Store(&st)
						return nil
					},
				}, actor.SpawnOptions{})
				go port.Start()
				synctest.Wait()
				go port.Fail(tt.reason)
				time.Sleep(time.Second)
				st := seen.Load()
				if st == nil {
					t.Fatal("the monitor has not been told")
				}
				if st.Processes != 1 || st.Ended[tt.want] != 1 || st.Spawned != 2 {
					t.Errorf("Stats when the monitor is told: %+v, want one end of kind %v and one process", st, tt.want)
				}
			})
		})
	}
}

type kinded exit.Kind

func (k kinded) Error() string       { return "kinded" }
func (k kinded) ExitKind() exit.Kind { return exit.Kind(k) }

// rude is an error whose ExitKind does what it likes.
type rude func()

func (rude) Error() string { return "rude" }
func (r rude) ExitKind() exit.Kind {
	r()
	return exit.Normal
}

// TestSystem_Stats_whileItAllHappens: no number goes down, and the processes are those that were spawned and have not ended.
func TestSystem_Stats_whileItAllHappens(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				pid, err := sys.Spawn(context.Background(), &behaviour{}, actor.SpawnOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				pid.Exit(actor.ErrKilled)
			}
		})
	}
	var last actor.Stats
	defer wg.Wait()
	defer close(stop)
	for range 5000 {
		st := sys.Stats()
		if st.Processes < 0 || st.Processes > 8 || st.Spawned < last.Spawned || st.Ended[exit.Abnormal] < last.Ended[exit.Abnormal] {
			t.Fatalf("after %+v came %+v", last, st)
		}
		last = st
	}
}
