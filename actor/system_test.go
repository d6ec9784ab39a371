package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestSystem_Shutdown_endsChildrenBeforeParentsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var ends journal[string]
		slowly := func(name string) *behaviour {
			return &behaviour{terminate: func(_ context.Context, reason error) {
				time.Sleep(time.Second)
				ends.add(fmt.Sprintf("%s: %v", name, reason))
			}}
		}
		parent := slowly("parent")
		parent.init = func(ctx context.Context) error {
			_, err := actor.Spawn(ctx, slowly("child"), actor.SpawnOptions{})
			return err
		}
		pid := spawn(t, sys, parent, actor.SpawnOptions{})
		start := time.Now()
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if want := []string{"child: shutdown", "parent: shutdown"}; !slices.Equal(ends.all(), want) {
			t.Errorf("ends %q, want %q", ends.all(), want)
		}
		if took := time.Since(start); took != 2*time.Second || pid.Alive() {
			t.Errorf("returned after %v with the parent alive: %t", took, pid.Alive())
		}
	})
}

// TestSystem_Shutdown_ofWhatDoesNotEnd has one row for each thing that keeps a System from being quiet.
func TestSystem_Shutdown_ofWhatDoesNotEnd(t *testing.T) {
	const forever = 100 * time.Hour
	stuck := func(t *testing.T, sys *actor.System, o actor.SpawnOptions) {
		spawn(t, sys, &behaviour{}, o).Send(do(func(context.Context) error { time.Sleep(forever); return nil }))
	}
	tests := []struct {
		name  string
		cfg   actor.Config
		start func(t *testing.T, sys *actor.System)
		limit time.Duration // of Shutdown's ctx; 0: none
		after time.Duration
		err   string
		is    error
	}{
		{"nothing", actor.Config{}, func(*testing.T, *actor.System) {}, 0, 0, "", nil},
		{"a process at rest", actor.Config{}, func(t *testing.T, sys *actor.System) {
			spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		}, 0, 0, "", nil},
		{"a stuck callback is killed after its own time", actor.Config{}, func(t *testing.T, sys *actor.System) {
			stuck(t, sys, actor.SpawnOptions{Shutdown: 3 * time.Second})
		}, 0, 3 * time.Second, "", nil},
		{"a stuck callback, default time", actor.Config{}, func(t *testing.T, sys *actor.System) {
			stuck(t, sys, actor.SpawnOptions{})
		}, 0, 5 * time.Second, "", nil},
		{"ctx bounds a process without limit", actor.Config{}, func(t *testing.T, sys *actor.System) {
			stuck(t, sys, actor.SpawnOptions{Shutdown: -1})
			spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		}, time.Second, time.Second, "1 processes killed, 1 goroutines left", context.DeadlineExceeded},
		{"an Async that heeds its ctx", actor.Config{}, func(t *testing.T, sys *actor.System) {
			in := newInbox(t, sys, actor.SpawnOptions{})
			actor.Async(in.ctx, func(ctx context.Context) (int, error) {
				<-ctx.Done()
				time.Sleep(time.Second)
				return 0, nil
			})
		}, 0, time.Second, "", nil},
		{"an Async that does not", actor.Config{ShutdownTimeout: 4 * time.Second}, func(t *testing.T, sys *actor.System) {
			in := newInbox(t, sys, actor.SpawnOptions{})
			actor.Async(in.ctx, func(context.Context) (int, error) { time.Sleep(forever); return 0, nil })
		}, 0, 4 * time.Second, "0 processes killed, 1 goroutines left: an Async", nil},
		{"an Async that does not, and no ShutdownTimeout", actor.Config{ShutdownTimeout: -1}, func(t *testing.T, sys *actor.System) {
			in := newInbox(t, sys, actor.SpawnOptions{})
			actor.Async(in.ctx, func(context.Context) (int, error) { time.Sleep(forever); return 0, nil })
		}, time.Minute, time.Minute, "1 goroutines left", context.DeadlineExceeded},
		{"a stuck child", actor.Config{}, func(t *testing.T, sys *actor.System) {
			spawn(t, sys, &behaviour{init: func(ctx context.Context) error {
				pid, err := actor.Spawn(ctx, &behaviour{}, actor.SpawnOptions{Shutdown: 2 * time.Second})
				pid.Send(do(func(context.Context) error { time.Sleep(forever); return nil }))
				return err
			}}, actor.SpawnOptions{})
		}, 0, 2 * time.Second, "", nil},
		{"Shutdown in a callback waits for itself, and is killed", actor.Config{}, func(t *testing.T, sys *actor.System) {
			spawn(t, sys, &behaviour{}, actor.SpawnOptions{}).Send(do(func(ctx context.Context) error {
				return sys.Shutdown(context.Background())
			}))
			synctest.Wait()
		}, 0, 5 * time.Second, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logs := &logs{}
				sys, err := actor.NewSystem(configWith(tt.cfg, logs))
				if err != nil {
					t.Fatal(err)
				}
				tt.start(t, sys)
				synctest.Wait()
				ctx := context.Background()
				if tt.limit > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.limit)
					defer cancel()
				}
				start := time.Now()
				err = sys.Shutdown(ctx)
				if took := time.Since(start); took != tt.after {
					t.Errorf("took %v of fake time, want %v", took, tt.after)
				}
				if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || !errors.Is(err, tt.is) && tt.is != nil {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				for info := range sys.Processes() {
					t.Errorf("%v lives", info.PID)
				}
				time.Sleep(2 * forever)
				if err := sys.Shutdown(context.Background()); err != nil {
					t.Errorf("Shutdown when all has returned: %v", err)
				}
			})
		})
	}
}

func TestSystem_Shutdown_concurrentCallsAllWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		spawn(t, sys, &behaviour{terminate: func(context.Context, error) { time.Sleep(2 * time.Second) }}, actor.SpawnOptions{})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				patience := time.Minute // so that one that is not woken says so
				if i == 0 {             // one gives up; it kills, and so the others are released, too
					patience = 3 * time.Second
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := sys.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown %d: %v", i, err)
				}
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("Shutdown %d took %v, want 2s", i, took)
				}
			})
		}
		wg.Wait()
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("a later Shutdown: %v", err)
		}
	})
}

func TestSystem_Shutdown_concurrentWithSpawn(t *testing.T) {
	for range 200 {
		sys, _ := newSystem(t, actor.Config{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					pid, err := sys.Spawn(context.Background(), &behaviour{init: func(ctx context.Context) error {
						_, err := actor.Spawn(ctx, &behaviour{}, actor.SpawnOptions{})
						if errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrShutdown) || errors.Is(err, actor.ErrKilled) {
							return nil
						}
						return err
					}}, actor.SpawnOptions{})
					if errors.Is(err, actor.ErrShutdown) || errors.Is(err, actor.ErrKilled) {
						return
					}
					if err != nil || pid == (actor.PID{}) {
						t.Errorf("Spawn = %v, %v", pid, err)
						return
					}
				}
			})
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // so that it kills, too
		sys.Shutdown(ctx)
		wg.Wait()
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for info := range sys.Processes() {
			t.Errorf("%+v lives", info)
		}
	}
}

func TestSystem_Serve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		ended := waitFor(in.pid)
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- sys.Serve(ctx) }()
		synctest.Wait()
		if !in.pid.Alive() {
			t.Errorf("Serve ended the process before its ctx was done")
		}
		cancel()
		if got := <-ended; got != actor.ErrShutdown {
			t.Errorf("exit reason %v, want ErrShutdown", got)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}
