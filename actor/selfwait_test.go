package actor_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// What can end only with the caller is not waited for: the error comes at once.
func TestWaitingForOneself(t *testing.T) {
	tests := []struct {
		name string
		wait func(ctx context.Context, sys *actor.System) error
	}{
		{"Wait for itself", func(ctx context.Context, _ *actor.System) error {
			_, err := actor.Wait(ctx, actor.Self(ctx))
			return err
		}},
		{"Wait for the parent", func(ctx context.Context, _ *actor.System) error {
			info, err := actor.Inspect(actor.Self(ctx))
			if err == nil {
				_, err = actor.Wait(ctx, info.Parent)
			}
			return err
		}},
		{"Wait for the parent's parent", func(ctx context.Context, _ *actor.System) error {
			info, err := actor.Inspect(actor.Self(ctx))
			if err == nil {
				info, err = actor.Inspect(info.Parent)
			}
			if err == nil {
				_, err = actor.Wait(ctx, info.Parent)
			}
			return err
		}},
		{"System.Shutdown", func(ctx context.Context, sys *actor.System) error { return sys.Shutdown(ctx) }},
		{"System.Serve", func(ctx context.Context, sys *actor.System) error { return sys.Serve(ctx) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				var err error
				var took time.Duration
				child := &behaviour{receive: func(ctx context.Context, _ any) error {
					ctx, cancel := context.WithTimeout(ctx, time.Minute) // so that it hangs for no longer
					defer cancel()
					start := time.Now()
					err = tt.wait(ctx, sys)
					took = time.Since(start)
					return nil
				}}
				var pid actor.PID
				ancestor := func(of actor.Actor, spawned *actor.PID) *behaviour {
					return &behaviour{init: func(ctx context.Context) (err error) {
						*spawned, err = actor.Spawn(ctx, of, actor.SpawnOptions{Shutdown: -1})
						return err
					}}
				}
				var between actor.PID
				root := spawn(t, sys, ancestor(ancestor(child, &pid), &between), actor.SpawnOptions{Shutdown: -1})
				pid.Send("wait")
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if err == nil || took != 0 || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v after %v, want one at once", err, took)
				}
				if !root.Alive() || !pid.Alive() {
					t.Errorf("root alive: %t, the process alive: %t; want both", root.Alive(), pid.Alive())
				}
			})
		})
	}
}

// Who waits for somebody else, of the family or not, waits.
func TestWait_forOthersOfTheFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var child, parent context.Context
		keep := func(to *context.Context) *behaviour {
			return &behaviour{init: func(ctx context.Context) error { *to = ctx; return nil }}
		}
		spawn(t, sys, keep(&parent), actor.SpawnOptions{})
		if _, err := actor.Spawn(parent, keep(&child), actor.SpawnOptions{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { actor.Self(child).Exit(errBoom) })
		if reason, err := actor.Wait(parent, actor.Self(child)); reason != errBoom || err != nil {
			t.Errorf("a parent that waits for its child: %v, %v; want boom, nil", reason, err)
		}
		// The child is dead: nobody waits for it any more.
		ctx := context.WithoutCancel(child)
		time.AfterFunc(time.Second, func() { actor.Self(parent).Exit(errBoom) })
		if reason, err := actor.Wait(ctx, actor.Self(parent)); reason != errBoom || err != nil {
			t.Errorf("with the ctx of a dead child: %v, %v; want boom, nil", reason, err)
		}
		if reason, err := actor.Wait(ctx, actor.Self(child)); !isNoProcess(err) {
			t.Errorf("with the ctx of a dead process, for itself: %v, %v; want ErrNoProcess", reason, err)
		}
	})
}

func TestOutlives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var child, parent context.Context
		keep := func(to *context.Context) *behaviour {
			return &behaviour{init: func(ctx context.Context) error { *to = ctx; return nil }}
		}
		spawn(t, sys, keep(&parent), actor.SpawnOptions{})
		if _, err := actor.Spawn(parent, keep(&child), actor.SpawnOptions{}); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, ctx := range []context.Context{parent, child, context.Background()} {
			for _, p := range []actor.PID{actor.Self(parent), actor.Self(child), {}} {
				if host.Outlives(ctx, p) {
					got.WriteByte('+')
				} else {
					got.WriteByte('-')
				}
			}
		}
		if want := "+-- ++- ---"; got.String() != strings.ReplaceAll(want, " ", "") {
			t.Errorf("Outlives(parent, child, no process; parent, child, nobody) = %s, want %s", got.String(), want)
		}
	})
}
