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

// TestSpawn_init has one row for each way in which Init can go, for roots and for children.
func TestSpawn_init(t *testing.T) {
	tests := []struct {
		name   string
		init   func(ctx context.Context) error
		err    func(error) bool // what Spawn returns
		parent int              // Downs at the parent
	}{
		{"nil", func(context.Context) error { return nil }, is(nil), 0},
		{"an error, not wrapped", func(context.Context) error { return errBoom }, is(errBoom), 0},
		{"a panic", func(context.Context) error { panic("boom") }, func(err error) bool {
			p, ok := err.(*actor.PanicError)
			return ok && p.Value == "boom"
		}, 0},
		{"Goexit", func(context.Context) error { runtime.Goexit(); return nil }, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "Goexit")
		}, 0},
		{"killed", func(ctx context.Context) error {
			actor.Self(ctx).Exit(actor.ErrKilled)
			return nil
		}, is(actor.ErrKilled), 0},
		{"killed while it is stuck", func(ctx context.Context) error {
			pid := actor.Self(ctx)
			time.AfterFunc(time.Second, func() { pid.Exit(actor.ErrKilled) })
			time.Sleep(time.Minute)
			return nil
		}, is(actor.ErrKilled), 0},
		{"an Exit meanwhile waits for Init", func(ctx context.Context) error {
			actor.Self(ctx).Exit(errBoom)
			time.Sleep(time.Second)
			return nil
		}, is(nil), 1},
		{"shutdown time over in Init", func(ctx context.Context) error {
			actor.Self(ctx).Exit(errBoom)
			time.Sleep(time.Minute)
			return nil
		}, wraps(actor.ErrKilled), 0},
	}
	for _, tt := range tests {
		for _, kind := range []string{"root", "child"} {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys, _ := newSystem(t, actor.Config{})
					terminated := false
					var ctx context.Context
					a := &behaviour{
						init:      func(c context.Context) error { ctx = c; return tt.init(c) },
						receive:   func(context.Context, any) error { t.Errorf("Receive ran"); return nil },
						terminate: func(context.Context, error) { terminated = true },
					}
					in := newInbox(t, sys, actor.SpawnOptions{})
					var pid actor.PID
					var err error
					if kind == "root" {
						pid, err = sys.Spawn(context.Background(), a, actor.SpawnOptions{})
					} else {
						pid, err = actor.Spawn(in.ctx, a, actor.SpawnOptions{})
					}
					if !tt.err(err) || (err != nil) != (pid == actor.PID{}) {
						t.Errorf("Spawn = %v, %v", pid, err)
					}
					synctest.Wait()
					if err != nil && (actor.Self(ctx).Alive() || context.Cause(ctx) != err) {
						t.Errorf("after the failed Spawn: alive %t, cause %v", actor.Self(ctx).Alive(), context.Cause(ctx))
					}
					if want := tt.parent > 0; terminated != want {
						t.Errorf("Terminate ran: %t, want %t", terminated, want)
					}
					want := tt.parent
					if kind == "root" {
						want = 0
					}
					if in.len() != want {
						t.Errorf("the parent received %v, want %d Down", in.all(), want)
					}
					time.Sleep(2 * time.Minute)
				})
			})
		}
	}
}

func TestSpawn_initRunsBeforeAnyMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var got journal[any]
		pid := spawn(t, sys, &behaviour{
			init: func(ctx context.Context) error {
				self := actor.Self(ctx)
				self.Send("sent in Init")
				if info, err := actor.Inspect(self); info.Handling != "init" || err != nil {
					t.Errorf("Inspect in Init: %+v, %v", info, err)
				}
				time.Sleep(time.Second)
				got.add("Init returns")
				return nil
			},
			receive: func(_ context.Context, msg any) error { got.add(msg); return nil },
		}, actor.SpawnOptions{})
		if got.len() == 0 {
			t.Errorf("Spawn returned before Init")
		}
		pid.Send("later")
		synctest.Wait()
		if want := []any{"Init returns", "sent in Init", "later"}; !slices.Equal(got.all(), want) {
			t.Errorf("order %v, want %v", got.all(), want)
		}
	})
}

// TestSpawn_saysNilWhenInitDidEvenIfTheEndFollows: the result must not depend on who is faster.
func TestSpawn_saysNilWhenInitDidEvenIfTheEndFollows(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	for range 2000 {
		pid, err := sys.Spawn(context.Background(), &behaviour{init: func(ctx context.Context) error {
			actor.Self(ctx).Exit(errBoom)
			return nil
		}}, actor.SpawnOptions{})
		if err != nil || pid == (actor.PID{}) {
			t.Fatalf("Spawn = %v, %v; Init had returned nil", pid, err)
		}
	}
}

func TestSpawn_panicsOnANilActor(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	mustPanic(t, "Spawn(nil)", func() { sys.Spawn(context.Background(), nil, actor.SpawnOptions{}) })
}

func TestSpawn_childrenEndWithTheirParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var ends journal[string]
		end := func(name string, wait time.Duration) func(context.Context, error) {
			return func(_ context.Context, reason error) {
				time.Sleep(wait)
				ends.add(fmt.Sprintf("%s: %v", name, reason))
			}
		}
		child := func(ctx context.Context, name string, init func(context.Context) error, wait time.Duration) {
			if _, err := actor.Spawn(ctx, &behaviour{init: init, terminate: end(name, wait)}, actor.SpawnOptions{}); err != nil {
				t.Errorf("Spawn(%s): %v", name, err)
			}
		}
		root := spawn(t, sys, &behaviour{
			init: func(ctx context.Context) error {
				child(ctx, "slow child", func(ctx context.Context) error {
					child(ctx, "grandchild", nil, time.Second)
					return nil
				}, time.Second)
				child(ctx, "quick child", nil, 0)
				return nil
			},
			terminate: end("root", 0),
		}, actor.SpawnOptions{})
		ended := waitFor(root)
		root.Exit(errBoom)
		<-ended
		want := []string{"quick child: shutdown", "grandchild: shutdown", "slow child: shutdown", "root: boom"}
		if !slices.Equal(ends.all(), want) {
			t.Errorf("ends %q, want %q", ends.all(), want)
		}
	})
}

func TestSpawn_childsEndIsDownWithTheZeroRef(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		parent := newInbox(t, sys, actor.SpawnOptions{MailboxLimit: 1})
		var children []actor.PID
		for range 3 {
			pid, err := actor.Spawn(parent.ctx, &behaviour{}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			children = append(children, pid)
		}
		info, err := actor.Inspect(parent.pid)
		slices.SortFunc(info.Children, func(a, b actor.PID) int { return strings.Compare(a.String(), b.String()) })
		if !slices.Equal(info.Children, children) || err != nil {
			t.Errorf("Children %v, %v; want %v", info.Children, err, children)
		}
		if info, err := actor.Inspect(children[0]); info.Parent != parent.pid || err != nil {
			t.Errorf("Parent %v, %v; want %v", info.Parent, err, parent.pid)
		}
		ref := actor.Monitor(parent.ctx, children[1])
		for _, pid := range children {
			pid.Exit(errBoom)
			synctest.Wait()
		}
		want := []any{
			actor.Down{PID: children[0], Reason: errBoom},
			actor.Down{Ref: ref, PID: children[1], Reason: errBoom},
			actor.Down{PID: children[1], Reason: errBoom},
			actor.Down{PID: children[2], Reason: errBoom},
		}
		if got := parent.all(); !slices.Equal(got, want) {
			t.Errorf("received %v, want %v", got, want)
		}
		if info, _ := actor.Inspect(parent.pid); len(info.Children) != 0 {
			t.Errorf("dead children are still children: %v", info.Children)
		}
	})
}

func TestSpawn_byAnEndingProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var err error
		pid := spawn(t, sys, &behaviour{terminate: func(ctx context.Context, _ error) {
			_, err = actor.Spawn(ctx, &behaviour{}, actor.SpawnOptions{})
		}}, actor.SpawnOptions{})
		pid.Exit(errBoom)
		synctest.Wait()
		if !isNoProcess(err) {
			t.Errorf("Spawn in Terminate: %v, want ErrNoProcess", err)
		}
	})
}

func TestSpawn_parentKilledDuringTheChildsInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		parent := newInbox(t, sys, actor.SpawnOptions{})
		time.AfterFunc(time.Second, func() { parent.pid.Exit(actor.ErrKilled) })
		pid, err := actor.Spawn(parent.ctx, &behaviour{
			init: func(context.Context) error { time.Sleep(2 * time.Second); return nil },
		}, actor.SpawnOptions{})
		if err != nil {
			t.Errorf("Spawn: %v; Init had returned nil", err)
		}
		synctest.Wait()
		if pid.Alive() {
			t.Errorf("the child outlived its parent")
		}
	})
}

func TestSpawn_afterShutdown(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	pid, err := sys.Spawn(context.Background(), &behaviour{init: func(context.Context) error { t.Errorf("Init ran"); return nil }}, actor.SpawnOptions{})
	if !errors.Is(err, actor.ErrShutdown) || pid != (actor.PID{}) {
		t.Errorf("Spawn after Shutdown = %v, %v; want ErrShutdown", pid, err)
	}
}

// The children of a process that is killed are told to end, and nobody waits for them.
func TestSpawn_childrenOfAKilledProcessAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var child actor.PID
		var reason error
		pid := spawn(t, sys, &behaviour{init: func(ctx context.Context) (err error) {
			child, err = actor.Spawn(ctx, &behaviour{terminate: func(_ context.Context, r error) { reason = r }}, actor.SpawnOptions{})
			return err
		}}, actor.SpawnOptions{})
		pid.Exit(actor.ErrKilled)
		synctest.Wait()
		if reason != actor.ErrShutdown {
			t.Errorf("Terminate of the child got %v, want ErrShutdown", reason)
		}
		if child.Alive() {
			t.Error("the child of a killed process lives on")
			child.Exit(actor.ErrKilled) // or the end of the test would wait for it
		}
	})
}

// Spawn waits for an Init no longer than its ctx lives; the process ends then, with a Terminate, as soon as Init has
// returned.
func TestSpawn_ctx(t *testing.T) {
	for name, spawn := range map[string]func(t *testing.T, sys *actor.System, ctx func(context.Context) context.Context, a actor.Actor) error{
		"System.Spawn": func(t *testing.T, sys *actor.System, ctx func(context.Context) context.Context, a actor.Actor) error {
			_, err := sys.Spawn(ctx(t.Context()), a, actor.SpawnOptions{})
			return err
		},
		"Spawn": func(t *testing.T, sys *actor.System, ctx func(context.Context) context.Context, a actor.Actor) (err error) {
			inside(t, newInbox(t, sys, actor.SpawnOptions{}).pid, func(own context.Context) {
				_, err = actor.Spawn(ctx(own), a, actor.SpawnOptions{})
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{ShutdownTimeout: time.Hour})
				free, terminated, self := make(chan struct{}), make(chan error, 1), make(chan actor.PID, 1)
				a := &behaviour{
					init:      func(ctx context.Context) error { self <- actor.Self(ctx); <-free; return nil },
					terminate: func(_ context.Context, reason error) { terminated <- reason },
				}
				start := time.Now()
				err := spawn(t, sys, func(ctx context.Context) context.Context {
					ctx, cancel := context.WithTimeoutCause(ctx, time.Second, errBoom)
					t.Cleanup(cancel)
					return ctx
				}, a)
				if took := time.Since(start); !errors.Is(err, errBoom) || took != time.Second {
					t.Errorf("Spawn: %v after %v, want %v after 1s", err, took, errBoom)
				}
				close(free)
				if reason := <-terminated; !errors.Is(reason, actor.ErrShutdown) {
					t.Errorf("Terminate got %v, want ErrShutdown", reason)
				}
				synctest.Wait()
				if pid := <-self; pid.Alive() {
					t.Error("the process lives on, and nobody knows its PID")
				}
			})
		})
	}
	sys, _ := newSystem(t, actor.Config{})
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sys.Spawn(done, &behaviour{init: func(context.Context) error { t.Error("Init runs"); return nil }}, actor.SpawnOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Spawn with a ctx that is done: %v, want %v", err, context.Canceled)
	}
}
