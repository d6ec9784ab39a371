package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestPID_OnExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, log := newSystem(t, actor.Config{})
		var happened journal[string]
		var ctx context.Context
		pid := spawn(t, sys, &behaviour{
			init:      func(c context.Context) error { ctx = c; return nil },
			terminate: func(context.Context, error) { happened.add("Terminate") },
		}, actor.SpawnOptions{})
		exit := func(name string) func(error) {
			return func(reason error) {
				_, err := actor.Inspect(pid)
				happened.add(fmt.Sprintf("%s: %v, alive %t, Inspect %v, ctx %v", name, reason, pid.Alive(), err, ctx.Err()))
			}
		}
		pid.OnExit(exit("first"))
		cancel, ok := pid.OnExit(exit("cancelled"))
		if !ok {
			t.Error("OnExit of a living process: false")
		}
		pid.OnExit(func(error) { panic("in a hook") })
		var cancelLater func()
		pid.OnExit(func(reason error) {
			if _, ok := pid.OnExit(exit("late")); ok {
				t.Error("OnExit while the functions run: true")
			}
			if !pid.Exit(actor.ErrKilled) { // it is ending anyway; nothing may hang
				t.Error("Exit in a function of OnExit: false")
			}
			cancelLater()
		})
		cancelLater, _ = pid.OnExit(exit("cancelled by the one before"))
		pid.OnExit(exit("last"))
		cancel()
		cancel()
		pid.Exit(errBoom)
		synctest.Wait()
		want := []string{"Terminate", "first: boom, alive false, Inspect <nil>, ctx <nil>", "last: boom, alive false, Inspect <nil>, ctx <nil>"}
		if got := happened.all(); !slices.Equal(got, want) {
			t.Errorf("happened %q, want %q", got, want)
		}
		if r := log.find("panic while a process ended"); len(r) != 1 || r[0].Attrs["where"] != "exit hook" || r[0].Attrs["panic"] != "in a hook" {
			t.Errorf("logged %v, want the panic of the function", r)
		}
		cancel()
		for _, nobody := range []actor.PID{pid, {}} {
			cancel, ok := nobody.OnExit(exit("nobody"))
			if ok {
				t.Errorf("OnExit of %v: true", nobody)
			}
			cancel()
		}
		mustPanic(t, "OnExit(nil)", func() { pid.OnExit(nil) })
	})
}

// However many there are, they run in the order of registration, and any can be taken back.
func TestPID_OnExit_inOrder(t *testing.T) {
	for _, test := range []struct {
		n    int
		left []int // which are not cancelled
	}{
		{1, []int{0}}, {1, nil}, {2, []int{1}}, {2, []int{0}}, {2, nil}, {5, []int{0, 1, 2, 3, 4}}, {5, []int{1, 3}}, {5, []int{0, 4}}, {5, []int{4}},
	} {
		sys, _ := newSystem(t, actor.Config{})
		pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		var got []int
		var cancels []func()
		for i := range test.n {
			cancel, _ := pid.OnExit(func(error) { got = append(got, i) })
			cancels = append(cancels, cancel)
		}
		for i, cancel := range cancels {
			if !slices.Contains(test.left, i) {
				cancel()
			}
		}
		pid.OnExit(func(error) { got = append(got, -1) })
		pid.Exit(actor.ErrKilled)
		if want := append(slices.Clone(test.left), -1); !slices.Equal(got, want) {
			t.Errorf("of %d functions %v ran, want %v", test.n, got, want)
		}
	}
}

func TestPID_OnExit_goexitDoesNotKeepTheProcessFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		ran := false
		pid.OnExit(func(error) { runtime.Goexit() })
		pid.OnExit(func(error) { ran = true })
		go pid.Exit(actor.ErrKilled)
		synctest.Wait()
		if _, err := actor.Inspect(pid); err == nil || !ran {
			t.Errorf("Inspect: %v, the function after it ran: %t; want an error, and true", err, ran)
		}
	})
}

func TestPID_OnExit_runsBeforeAnyDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		var happened journal[string]
		pid.OnExit(func(error) { time.Sleep(time.Second); happened.add("OnExit") })
		go func() {
			actor.Wait(context.Background(), pid)
			happened.add("waited")
		}()
		synctest.Wait()
		pid.Exit(actor.ErrKilled)
		synctest.Wait()
		if got, want := happened.all(), []string{"OnExit", "waited"}; !slices.Equal(got, want) {
			t.Errorf("happened %q, want %q", got, want)
		}
	})
}

// A function that does not return keeps the end of its process for the shutdown time, or twice that, and no longer; nor does
// it come in the way of anything when it returns later.
func TestPID_OnExit_isBounded(t *testing.T) {
	const shutdown = 3 * time.Second
	for name, end := range map[string]func(pid actor.PID){
		"Exit": func(pid actor.PID) { pid.Exit(errBoom) },
		"kill": func(pid actor.PID) { pid.Exit(fmt.Errorf("%w: %w", actor.ErrKilled, errBoom)) },
	} {
		for late, leaves := range map[string]func(){"returns": func() {}, "panics": func() { panic("late") }, "Goexit": runtime.Goexit} {
			t.Run(name+", and it "+late+" later", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys, log := newSystem(t, actor.Config{})
					pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Shutdown: shutdown})
					var happened journal[string]
					first, third := make(chan struct{}), make(chan struct{})
					pid.OnExit(func(error) { happened.add("stuck"); <-first; leaves() })
					pid.OnExit(func(error) { happened.add("second") })
					pid.OnExit(func(error) { happened.add("stuck"); <-third; leaves() })
					pid.OnExit(func(error) { happened.add("last") })
					begun := time.Now()
					go end(pid)
					for happened.len() < 3 {
						time.Sleep(shutdown / 10)
					}
					close(first) // while the third function runs
					synctest.Wait()
					if got := happened.len(); got != 3 {
						t.Errorf("the first function came back late, and then happened %q", happened.all())
					}
					reason, err := actor.Wait(t.Context(), pid)
					if took := time.Since(begun); !errors.Is(reason, errBoom) || err != nil || took < 2*shutdown || took > 3*shutdown {
						t.Errorf("Wait: %v, %v after %v; want boom after %v to %v", reason, err, took, 2*shutdown, 3*shutdown)
					}
					want := []string{"stuck", "second", "stuck", "last"}
					if got := happened.all(); !slices.Equal(got, want) {
						t.Errorf("happened %q, want %q", got, want)
					}
					synctest.Wait()
					lines := log.find("does not return; the end goes on without it")
					if len(lines) != 2 || !strings.Contains(fmt.Sprint(lines[0].Attrs["stack"]), "TestPID_OnExit_isBounded") {
						t.Errorf("logged %v, want 2 lines about functions that do not return, the first with its stack", log.all())
					}
					close(third)
					synctest.Wait()
					ends := slices.DeleteFunc(log.find("process ended"), func(r record) bool { return r.Msg != "process ended" })
					if len(ends) != 1 {
						t.Errorf("%d lines that the process ended, want 1", len(ends))
					}
					if got := happened.all(); !slices.Equal(got, want) {
						t.Errorf("after their return happened %q, want %q", got, want)
					}
				})
			})
		}
	}
}

// Nor does it keep whoever has killed the process, or the Shutdown that does so.
func TestPID_OnExit_doesNotKeepTheKiller(t *testing.T) {
	const shutdown = 3 * time.Second
	for name, kill := range map[string]func(sys *actor.System, pid actor.PID){
		"Exit": func(_ *actor.System, pid actor.PID) { pid.Exit(actor.ErrKilled) },
		"Shutdown": func(sys *actor.System, _ actor.PID) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := sys.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v, want DeadlineExceeded", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Shutdown: shutdown})
				stuck, release := make(chan struct{}), make(chan struct{})
				pid.OnExit(func(error) { <-stuck })
				pid.Send(do(func(context.Context) error { <-release; return nil })) // so that an Exit does not end it
				synctest.Wait()
				returned := make(chan time.Duration, 1)
				begun := time.Now()
				go func() {
					kill(sys, pid)
					returned <- time.Since(begun)
				}()
				time.Sleep(3 * shutdown)
				select {
				case took := <-returned:
					if _, err := actor.Inspect(pid); err == nil {
						t.Errorf("it has returned after %v, and the process lives", took)
					}
				default:
					t.Errorf("it has not returned after %v", 3*shutdown)
				}
				close(stuck)
				close(release)
				synctest.Wait()
			})
		})
	}
}

// A function that leaves its goroutine leaves that of its process, not that of whoever has killed it.
func TestPID_OnExit_goexitDoesNotEndTheKiller(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
	pid.OnExit(func(error) { runtime.Goexit() })
	returned, gone := false, make(chan struct{})
	go func() {
		defer close(gone)
		pid.Exit(actor.ErrKilled)
		returned = true
	}()
	<-gone
	if !returned {
		t.Error("Exit did not return: the function has ended the goroutine that called it")
	}
}
