package host_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// terminates is an actor whose end takes a second.
type terminates struct{ actor.Actor }

func (terminates) Terminate(context.Context, error) { time.Sleep(time.Second) }

func newQuietSystem(t testing.TB) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Shutdown(context.Background()) })
	return sys
}

var nothing = receive(func(context.Context, any) error { return nil })

func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newQuietSystem(t)
		if err := host.Reopen(t.Context(), sys); err != nil {
			t.Errorf("Reopen of a System that is open: %v", err)
		}
		seen := map[actor.PID]bool{}
		for range 3 {
			pid, err := sys.Spawn(t.Context(), terminates{nothing}, actor.SpawnOptions{})
			if err != nil || seen[pid] {
				t.Fatalf("Spawn: %v, %v, and seen before: %v", pid, err, seen[pid])
			}
			seen[pid] = true
			ended := make(chan error, 1)
			start := time.Now()
			go func() { ended <- sys.Shutdown(context.Background()) }()
			synctest.Wait()
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("no time")
			cancel(cause)
			if err := host.Reopen(ctx, sys); err != cause {
				t.Errorf("Reopen while Shutdown runs, with a ctx that is done: got %v, want its cause", err)
			}
			if _, err := sys.Spawn(t.Context(), nothing, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
				t.Errorf("Spawn while Shutdown runs: got %v, want ErrShutdown", err)
			}
			var waiting sync.WaitGroup
			for range 3 {
				waiting.Go(func() {
					if err := host.Reopen(t.Context(), sys); err != nil || time.Since(start) != time.Second {
						t.Errorf("Reopen while Shutdown runs: got %v after %v, want nil after its 1s", err, time.Since(start))
					}
				})
			}
			waiting.Wait()
			if err := <-ended; err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			for pid := range seen {
				if pid.Alive() || pid.Send("x") {
					t.Errorf("%v of before can be reached", pid)
				}
			}
		}
	})
}

// Many spawn while the System is shut and opened: nothing of before a Shutdown lives after it, and no PID comes twice.
func TestReopen_race(t *testing.T) {
	sys := newQuietSystem(t)
	var spawners sync.WaitGroup
	stop, spawned := make(chan struct{}), make(chan struct{}, 1)
	var mu sync.Mutex
	made, before := map[actor.PID]bool{}, []actor.PID{}
	for range 4 {
		spawners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				pid, err := sys.Spawn(context.Background(), nothing, actor.SpawnOptions{})
				if err != nil {
					if !errors.Is(err, actor.ErrShutdown) && !errors.Is(err, actor.ErrKilled) { // killed in its Init
						t.Errorf("Spawn: got %v, want a PID, ErrShutdown or ErrKilled", err)
					}
					continue
				}
				mu.Lock()
				if made[pid] {
					t.Errorf("%v comes twice", pid)
				}
				made[pid] = true
				before = append(before, pid)
				mu.Unlock()
				select {
				case spawned <- struct{}{}:
				default:
				}
			}
		})
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 200 {
		<-spawned
		mu.Lock()
		old := before
		before = nil
		mu.Unlock()
		ctx := context.Background()
		if i%2 == 1 {
			ctx = done // kills
		}
		_ = sys.Shutdown(ctx) // how many were killed
		if err := host.Reopen(context.Background(), sys); err != nil {
			t.Fatalf("Reopen: %v", err)
		}
		for _, pid := range old {
			if pid.Alive() {
				t.Fatalf("%v, spawned before Shutdown %d, lives after it", pid, i)
			}
		}
	}
	close(stop)
	spawners.Wait()
}
