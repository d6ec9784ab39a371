package actor_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// What the workers promise to processes: these do not depend on each other, whatever their callbacks wait for.

// goroutines is how many there are when those that are on their way out have gone.
func goroutines() int {
	n, same := runtime.NumGoroutine(), 0
	for same < 1000 {
		runtime.Gosched()
		if now := runtime.NumGoroutine(); now == n {
			same++
		} else {
			n, same = now, 0
		}
	}
	return n
}

func TestWorkers_blockedProcessesHoldNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		release := make(chan struct{})
		var blocked atomic.Int64
		for range 1000 {
			server(t, sys, func(context.Context, any) error { blocked.Add(1); <-release; return nil }).Send("block")
		}
		pid := server(t, sys, func(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil })
		began := time.Now()
		if got, err := actor.Call[string](t.Context(), pid, "hello"); got != "hello" || err != nil || time.Since(began) != 0 {
			t.Errorf("with 1000 processes that block, Call = %q, %v after %v", got, err, time.Since(began))
		}
		synctest.Wait()
		if n := blocked.Load(); n != 1000 {
			t.Errorf("%d processes block, want 1000", n)
		}
		close(release)
	})
}

// TestWorkers_chainOfCalls: each process calls the next one in its callback.
func TestWorkers_chainOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		next := server(t, sys, func(ctx context.Context, _ any) error { actor.Reply(ctx, 1); return nil })
		const n = 1000
		for range n - 1 {
			callee := next
			next = server(t, sys, func(ctx context.Context, _ any) error {
				behind, err := actor.Call[int](ctx, callee, nil)
				if err != nil {
					return err
				}
				actor.Reply(ctx, behind+1)
				return nil
			})
		}
		if got, err := actor.Call[int](t.Context(), next, nil); got != n || err != nil {
			t.Errorf("a chain of %d Calls: %d, %v", n, got, err)
		}
	})
}

// TestWorkers_goAway: the goroutines follow what blocks, and an idle System has none.
func TestWorkers_goAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		before := goroutines()
		var blocked atomic.Int64
		for range 500 {
			server(t, sys, func(context.Context, any) error {
				blocked.Add(1)
				time.Sleep(time.Minute)
				return nil
			}).Send("block")
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; blocked.Load() != 500 || n > 550 {
			t.Errorf("%d goroutines while %d of 500 callbacks block", n, blocked.Load())
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		for runtime.NumGoroutine() > before+2 { // one that has ended counts for a moment, and the runtime has its own
			runtime.Gosched()
		}
	})
}

// TestWorkers_endWithShutdown: a System that was shut down leaves no goroutine, not even for a moment of the bubble's time.
func TestWorkers_endWithShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			server(t, sys, func(context.Context, any) error { return nil }).Send("hello")
		}
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		began := time.Now()
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 2 || time.Since(began) != 0 {
			t.Errorf("%d goroutines after Shutdown", n)
		}
	})
}

// TestWorkers_shutdownOfManyProcesses: ends whose Terminate does not block cost no goroutine each.
func TestWorkers_shutdownOfManyProcesses(t *testing.T) {
	n := int64(100_000)
	if testing.Short() {
		n = 10_000
	}
	before := int64(goroutines())
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler), ShutdownTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	var ended, most atomic.Int64
	b := &behaviour{
		receive: func(context.Context, any) error { return nil },
		terminate: func(context.Context, error) {
			ended.Add(1)
			for g := int64(runtime.NumGoroutine()); ; {
				if m := most.Load(); g <= m || most.CompareAndSwap(m, g) {
					return
				}
			}
		},
	}
	for range n {
		spawn(t, sys, b, actor.SpawnOptions{})
	}
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	// A worker that is preempted in a turn counts as one that blocks: on a busy machine there are 250, and have been 1,268.
	if got, want := most.Load()-before, int64(n/4); ended.Load() != n || got > want {
		t.Errorf("%d of %d processes terminated, on up to %d goroutines; want at most %d", ended.Load(), n, got, want)
	}
	for int64(runtime.NumGoroutine()) > before+2 { // the workers are on their way out
		runtime.Gosched()
	}
}
