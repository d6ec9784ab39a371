package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// ending makes a process that holds the name and is a member of the group of that name, with presence, and that is in its
// Terminate, or has an Exit waiting, until finish is called.
func ending(t *testing.T, reg *registry.Registry, sys *actor.System, name string, inCallback bool) (pid actor.PID, finish func()) {
	t.Helper()
	release := make(chan struct{})
	m := &member{}
	if !inCallback {
		m.terminate = func(context.Context) { <-release }
	}
	pid, err := sys.Spawn(context.Background(), m, actor.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reg.Register(name, pid, "meta"), reg.Join(name, pid, nil), reg.Track(name, pid, "key", nil)); err != nil {
		t.Fatal(err)
	}
	wantHolder(t, reg, name, pid, "meta")
	if inCallback {
		pid.Send(func(context.Context) { <-release })
	}
	synctest.Wait()
	pid.Exit(errBoom)
	synctest.Wait()
	return pid, func() { close(release); synctest.Wait() }
}

// A member that is ending takes nothing, and stays a member until Terminate has returned.
func TestEnding_keepsWhatItHasAndTakesNothing(t *testing.T) {
	for name, inCallback := range map[string]bool{"in Terminate": false, "an Exit waits": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				pid, finish := ending(t, reg, sys, "x", inCallback)
				other := spawn(t, sys)
				reg.Join("x", other.pid, nil)
				if n := reg.Broadcast("x", "news"); n != 1 {
					t.Errorf("Broadcast = %d, want 1: the member that is ending throws it away", n)
				}
				if got, _, ok := reg.Whereis("x"); ok {
					t.Errorf("Whereis = %v, true; want false for %v, which is ending", got, pid)
				}
				err := reg.Register("x", other.pid, nil)
				if taken, ok := errors.AsType[*registry.TakenError](err); !ok || taken.PID != pid || taken.Meta != "meta" {
					t.Errorf("Register: %v, want a *TakenError that names %v", err, pid)
				}
				if n := reg.Count("x"); n != 2 {
					t.Errorf("Count = %d, want 2 until Terminate has returned", n)
				}
				var members []actor.PID
				for p := range reg.Members("x") {
					members = append(members, p)
				}
				if len(members) != 2 || !slices.Contains(members, pid) {
					t.Errorf("Members = %v, want both until Terminate has returned", members)
				}
				present := 0
				for range reg.Present("x") {
					present++
				}
				if present != 1 {
					t.Errorf("%d keys are present, want 1 until Terminate has returned", present)
				}
				finish()
				wantHolder(t, reg, "x", actor.PID{}, nil)
				if n := reg.Count("x"); n != 1 {
					t.Errorf("Count after the end = %d, want 1", n)
				}
				if err := reg.Register("x", other.pid, nil); err != nil {
					t.Errorf("Register after the end: %v", err)
				}
			})
		})
	}
}

// Replace takes the name from a holder that is ending, and the holder's end changes nothing.
func TestEnding_replace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		pid, finish := ending(t, reg, sys, "x", false)
		other := spawn(t, sys)
		if old, err := reg.Replace("x", other.pid, 2); old != pid || err != nil {
			t.Errorf("Replace = %v, %v; want %v", old, err, pid)
		}
		wantHolder(t, reg, "x", other.pid, 2)
		finish()
		wantHolder(t, reg, "x", other.pid, 2)
	})
}

// Ensure waits for a holder that is ending, within its ctx.
func TestEnsure_waitsForTheHolderThatIsEnding(t *testing.T) {
	type outcome struct {
		pid actor.PID
		err error
	}
	setUp := func(t *testing.T) (reg *registry.Registry, old actor.PID, next *member, starts *int, ensure func(d time.Duration) chan outcome, finish func()) {
		reg, sys := newRegistry(t)
		old, finish = ending(t, reg, sys, "x", false)
		next, starts = spawn(t, sys), new(int)
		ensure = func(d time.Duration) chan outcome {
			c := make(chan outcome, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), d)
				defer cancel()
				pid, err := reg.Ensure(ctx, "x", func(context.Context) (actor.PID, error) {
					*starts++
					return next.pid, nil
				})
				c <- outcome{pid, err}
			}()
			synctest.Wait()
			return c
		}
		return
	}
	t.Run("until its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, old, next, starts, ensure, finish := setUp(t)
			a, b := ensure(time.Minute), ensure(time.Minute)
			select {
			case o := <-a:
				t.Fatalf("Ensure = %v, %v while %v is ending", o.pid, o.err, old)
			default:
			}
			finish()
			for _, c := range []chan outcome{a, b} {
				if o := <-c; o.pid != next.pid || o.err != nil || *starts != 1 {
					t.Errorf("Ensure = %v, %v after %d starts; want %v after 1", o.pid, o.err, *starts, next.pid)
				}
			}
		})
	})
	t.Run("until its ctx is done, and the next goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, _, next, starts, ensure, finish := setUp(t)
			impatient, alsoImpatient, patient := ensure(time.Second), ensure(time.Second), ensure(time.Minute)
			time.Sleep(time.Second)
			synctest.Wait()
			for _, c := range []chan outcome{impatient, alsoImpatient} {
				select {
				case o := <-c:
					if !errors.Is(o.err, context.DeadlineExceeded) || o.pid != (actor.PID{}) {
						t.Errorf("Ensure = %v, %v; want DeadlineExceeded", o.pid, o.err)
					}
				default:
					t.Error("Ensure waits on after its ctx was done")
				}
			}
			finish()
			if o := <-patient; o.pid != next.pid || o.err != nil || *starts != 1 {
				t.Errorf("Ensure = %v, %v after %d starts; want %v after 1", o.pid, o.err, *starts, next.pid)
			}
		})
	})
	t.Run("until another one has replaced it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reg, _, next, starts, ensure, finish := setUp(t)
			c := ensure(time.Minute)
			reg.Replace("x", next.pid, nil)
			synctest.Wait()
			select {
			case o := <-c:
				if o.pid != next.pid || o.err != nil || *starts != 0 {
					t.Errorf("Ensure = %v, %v after %d starts; want %v after none", o.pid, o.err, *starts, next.pid)
				}
			default:
				t.Error("Ensure waits for a process that has lost the name")
			}
			finish()
		})
	})
	t.Run("until it gives the name up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			reg, old, next, starts, ensure, finish := setUp(t)
			c := ensure(time.Minute)
			reg.Unregister("x", old)
			synctest.Wait()
			select {
			case o := <-c:
				if o.pid != next.pid || o.err != nil || *starts != 1 {
					t.Errorf("Ensure = %v, %v after %d starts; want %v after 1", o.pid, o.err, *starts, next.pid)
				}
			default:
				t.Error("Ensure waits for a process that has given the name up")
			}
			finish()
		})
	})
}

// A caller whose ctx is done gives up its start; those who wait for the result do not fail with it.
func TestEnsure_theStarterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m := spawn(t, sys)
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() {
			_, err := reg.Ensure(ctx, "x", func(ctx context.Context) (actor.PID, error) {
				<-ctx.Done()
				return actor.PID{}, ctx.Err()
			})
			first <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			pid, err := reg.Ensure(context.Background(), "x", func(context.Context) (actor.PID, error) { return m.pid, nil })
			if err == nil && pid != m.pid {
				err = errors.New("another process: " + pid.String())
			}
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first Ensure: %v, want context.Canceled", err)
		}
		if err := <-second; err != nil {
			t.Errorf("the second Ensure: %v, want its own start", err)
		}
	})
}

// A caller that would wait for itself gets an error at once.
func TestEnsure_waitingForItself(t *testing.T) {
	tests := map[string]func(t *testing.T, reg *registry.Registry, sys *actor.System, ensure func(ctx context.Context)){
		"its own start function": func(_ *testing.T, reg *registry.Registry, sys *actor.System, ensure func(ctx context.Context)) {
			reg.Ensure(context.Background(), "x", func(ctx context.Context) (actor.PID, error) {
				ensure(ctx)
				return actor.PID{}, errBoom
			})
		},
		"the holder in its Terminate": func(t *testing.T, reg *registry.Registry, sys *actor.System, ensure func(ctx context.Context)) {
			m := &member{terminate: ensure}
			pid, err := sys.Spawn(context.Background(), m, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			reg.Register("x", pid, nil)
			pid.Exit(errBoom)
		},
		"a child of the holder in its Terminate": func(t *testing.T, reg *registry.Registry, sys *actor.System, ensure func(ctx context.Context)) {
			pid, err := sys.Spawn(context.Background(), &member{init: func(ctx context.Context) error {
				_, err := actor.Spawn(ctx, &member{terminate: ensure}, actor.SpawnOptions{})
				return err
			}}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			reg.Register("x", pid, nil)
			pid.Exit(errBoom)
		},
	}
	for name, run := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				var err error
				ran := false
				start := time.Now()
				run(t, reg, sys, func(ctx context.Context) {
					ctx, cancel := context.WithTimeout(ctx, time.Second)
					defer cancel()
					_, err = reg.Ensure(ctx, "x", func(context.Context) (actor.PID, error) { return actor.PID{}, errors.New("started") })
					ran = true
				})
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if !ran || err == nil || errors.Is(err, context.DeadlineExceeded) || err.Error() == "started" {
					t.Errorf("Ensure: returned %t, %v; want an error at once that says that it would wait for itself (%v)", ran, err, time.Since(start))
				}
			})
		})
	}
}
