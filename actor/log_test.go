package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// handler is a slog.Handler that does with each line what the test says.
type handler func(slog.Record)

func (h handler) Enabled(context.Context, slog.Level) bool      { return true }
func (h handler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handler) WithGroup(string) slog.Handler                 { return h }
func (h handler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }

// stuckLog is a Logger that takes nothing in before the test frees it.
type stuckLog struct {
	free   chan struct{}
	inside atomic.Int32 // goroutines
	most   atomic.Int32
}

func (l *stuckLog) logger(t *testing.T) *slog.Logger {
	l.free = make(chan struct{})
	t.Cleanup(func() { close(l.free) })
	return slog.New(handler(func(slog.Record) {
		l.most.Store(max(l.most.Load(), l.inside.Add(1)))
		<-l.free
		l.inside.Add(-1)
	}))
}

// A log that does not flow holds up no Exit, no child's deadline, no Send and no Shutdown, and costs one goroutine.
func TestLogger_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log stuckLog
		sys, err := actor.NewSystem(actor.Config{Logger: log.logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		within := func(what string, want time.Duration, f func()) {
			t.Helper()
			start, done := time.Now(), make(chan struct{})
			go func() { defer close(done); f() }()
			select {
			case <-done:
			case <-time.After(time.Minute):
				t.Fatalf("%s still waits after a minute, want it over after %v", what, want)
			}
			if took := time.Since(start); took != want {
				t.Errorf("%s took %v, want %v", what, took, want)
			}
		}
		within("the crashes of 2000 processes", 0, func() {
			for range 2000 {
				in := newInbox(t, sys, actor.SpawnOptions{})
				in.pid.Send(do(func(context.Context) error { return errBoom }))
				if reason, err := actor.Wait(t.Context(), in.pid); !errors.Is(reason, errBoom) && !errors.Is(err, actor.ErrNoProcess) {
					t.Errorf("Wait = %v, %v, want it ended with %v", reason, err, errBoom)
				}
				in.pid.Send("nobody") // is logged, too
			}
		})
		within("the kill of a process in a callback", 0, func() {
			in := newInbox(t, sys, actor.SpawnOptions{})
			release := block(t, in.pid)
			defer release()
			in.pid.Exit(actor.ErrKilled)
			if in.pid.Alive() {
				t.Error("it is alive after the kill")
			}
		})
		within("the end of a parent whose child is stuck", time.Second, func() {
			parent := newInbox(t, sys, actor.SpawnOptions{})
			unblock := make(chan struct{})
			t.Cleanup(func() { close(unblock) })
			inside(t, parent.pid, func(ctx context.Context) {
				child, err := actor.Spawn(ctx, &behaviour{}, actor.SpawnOptions{Shutdown: time.Second})
				if err != nil {
					t.Error(err)
				}
				child.Send(do(func(context.Context) error { <-unblock; return nil }))
			})
			parent.pid.Exit(actor.ErrShutdown)
			if _, err := actor.Wait(t.Context(), parent.pid); err != nil {
				t.Error(err)
			}
		})
		newInbox(t, sys, actor.SpawnOptions{})
		within("Shutdown", 0, func() {
			if err := sys.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
		if n := log.most.Load(); n != 1 {
			t.Errorf("%d goroutines wait in the Logger, want 1", n)
		}
	})
}

// Shutdown gives a Logger that has just become stuck a moment, and no more.
func TestLogger_stuckAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log stuckLog
		sys, err := actor.NewSystem(actor.Config{Logger: log.logger(t)})
		if err != nil {
			t.Fatal(err)
		}
		newInbox(t, sys, actor.SpawnOptions{})
		start := time.Now()
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if took := time.Since(start); took != 300*time.Millisecond {
			t.Errorf("Shutdown took %v, want 300ms", took)
		}
	})
}

// Shutdown returns when all lines are written, if the Logger takes them.
func TestLogger_isCompleteAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := 0
		sys, err := actor.NewSystem(actor.Config{Logger: slog.New(handler(func(slog.Record) {
			time.Sleep(10 * time.Millisecond)
			lines++
		}))})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			newInbox(t, sys, actor.SpawnOptions{})
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if lines != 100 {
			t.Errorf("%d lines are written when Shutdown returns, want 100", lines)
		}
	})
}

// A Logger that panics, or leaves the goroutine, takes neither the program nor a process along.
func TestLogger_panics(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("as asked, in the Logger") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				sys, err := actor.NewSystem(actor.Config{Logger: slog.New(handler(func(slog.Record) { n.Add(1); f() }))})
				if err != nil {
					t.Fatal(err)
				}
				parent := newInbox(t, sys, actor.SpawnOptions{})
				var child actor.PID
				inside(t, parent.pid, func(ctx context.Context) {
					child, err = actor.Spawn(ctx, &behaviour{terminate: func(context.Context, error) { panic("Terminate") }},
						actor.SpawnOptions{})
					if err != nil {
						t.Error(err)
					}
				})
				child.Send(do(func(context.Context) error { return errBoom }))
				synctest.Wait()
				child.Send("nobody")
				stuck := newInbox(t, sys, actor.SpawnOptions{})
				release := block(t, stuck.pid)
				defer release()
				stuck.pid.Exit(actor.ErrKilled)
				synctest.Wait()
				downs := fmt.Sprint(parent.all())
				if n.Load() < 4 || !parent.pid.Alive() || child.Alive() || len(parent.all()) != 1 {
					t.Errorf("%d lines, parent alive %v, child alive %v, the parent got %v; want 4 lines or more, true, false, a Down",
						n.Load(), parent.pid.Alive(), child.Alive(), downs)
				}
				if err := sys.Shutdown(context.Background()); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			})
		})
	}
}

// inside runs f in a callback of the process.
func inside(t *testing.T, pid actor.PID, f func(ctx context.Context)) {
	t.Helper()
	done := make(chan struct{})
	if !pid.Send(do(func(ctx context.Context) error { defer close(done); f(ctx); return nil })) {
		t.Fatalf("%v does not take a message", pid)
	}
	<-done
}
