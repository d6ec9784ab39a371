package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestAsync(t *testing.T) {
	tests := []struct {
		name string
		f    func(ctx context.Context) (int, error)
		want int
		err  func(error) bool
	}{
		{"a value", func(context.Context) (int, error) { return 7, nil }, 7, is(nil)},
		{"an error, with a value", func(context.Context) (int, error) { return 7, errBoom }, 7, is(errBoom)},
		{"a panic", func(context.Context) (int, error) { panic(errBoom) }, 0, func(err error) bool {
			p, ok := err.(*actor.PanicError)
			return ok && p.Value == errBoom && strings.Contains(string(p.Stack), "async_test.go")
		}},
		{"Goexit", func(context.Context) (int, error) { runtime.Goexit(); return 7, nil }, 0, func(err error) bool {
			return err != nil && strings.Contains(err.Error(), "Goexit")
		}},
		{"Self and Call work", func(ctx context.Context) (int, error) {
			if actor.Self(ctx) == (actor.PID{}) {
				return 0, errors.New("Self is zero")
			}
			return 7, ctx.Err()
		}, 7, is(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{})
				ref := actor.Async(in.ctx, tt.f)
				synctest.Wait()
				got := in.all()
				if len(got) != 1 {
					t.Fatalf("received %v, want one Done", got)
				}
				if d, ok := got[0].(actor.Done[int]); !ok || d.Ref != ref || d.Value != tt.want || !tt.err(d.Err) {
					t.Errorf("received %#v, want a Done of %d", got[0], tt.want)
				}
				if !in.pid.Alive() {
					t.Errorf("the process ended")
				}
			})
		})
	}
}

func TestAsync_ctxIsCancelled(t *testing.T) {
	tests := []struct {
		name   string
		cancel func(in *inbox, ref actor.TaskRef)
		cause  error
		done   int
	}{
		{"by Cancel", func(_ *inbox, ref actor.TaskRef) { ref.Cancel(); ref.Cancel() }, context.Canceled, 1},
		{"by an end", func(in *inbox, _ actor.TaskRef) { in.pid.Exit(errBoom) }, errBoom, 0},
		{"by a kill", func(in *inbox, _ actor.TaskRef) { in.pid.Exit(actor.ErrKilled) }, actor.ErrKilled, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{})
				causes := make(chan error, 1)
				ref := actor.Async(in.ctx, func(ctx context.Context) (string, error) {
					<-ctx.Done()
					causes <- context.Cause(ctx)
					return "", ctx.Err()
				})
				synctest.Wait()
				tt.cancel(in, ref)
				if got := <-causes; got != tt.cause {
					t.Errorf("cause %v, want %v", got, tt.cause)
				}
				synctest.Wait()
				if got := in.len(); got != tt.done {
					t.Errorf("received %v, want %d Done", in.all(), tt.done)
				}
			})
		})
	}
	actor.TaskRef{}.Cancel()
}

func TestAsync_isBounded(t *testing.T) {
	const started = 300
	for _, tt := range []struct {
		max, want int // of 300
	}{
		{0, 128}, {1, 1}, {7, 7}, {-1, started}, {-5, started},
	} {
		t.Run(fmt.Sprint(tt.max), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{MaxAsync: tt.max, MailboxLimit: 1})
				var running atomic.Int64
				release := make(chan error)
				work := func(context.Context) (int, error) {
					running.Add(1)
					defer running.Add(-1)
					return 7, <-release
				}
				refs := make(map[actor.TaskRef]bool)
				for range started {
					refs[actor.Async(in.ctx, work)] = true
				}
				if len(refs) != started {
					t.Errorf("%d different TaskRefs, want %d", len(refs), started)
				}
				synctest.Wait()
				if n := int(running.Load()); n != tt.want {
					t.Errorf("of %d Asyncs %d run, want %d", started, n, tt.want)
				}
				// done takes the Dones that have come since it was called last.
				seen := 0
				done := func(what string, n int, err error) {
					t.Helper()
					synctest.Wait()
					got := in.all()[seen:]
					seen += len(got)
					if len(got) != n {
						t.Errorf("%s: %d messages came, want %d Dones", what, len(got), n)
					}
					for _, msg := range got {
						d, ok := msg.(actor.Done[int])
						if !ok || !refs[d.Ref] || !errors.Is(d.Err, err) {
							t.Fatalf("%s: got %#v, want a Done with the error %v", what, msg, err)
						}
						delete(refs, d.Ref)
						d.Ref.Cancel() // of one that has not run, too
					}
				}
				done("beyond the limit", started-tt.want, actor.ErrOverload)
				if tt.want == started {
					close(release)
					done("released", started, nil)
					return
				}
				release <- errBoom
				done("one has returned", 1, errBoom)
				for range 2 {
					refs[actor.Async(in.ctx, work)] = true
				}
				done("two more for one place", 1, actor.ErrOverload)
				if n := int(running.Load()); n != tt.want {
					t.Errorf("%d run, want %d", n, tt.want)
				}
				close(release)
				done("released", tt.want, nil)
			})
		})
	}
}

// Who gets a Done may start the next: its place is free by then. Others ask for the process meanwhile, so that the
// goroutine of the Async, and the one that handles its Done, wait for each other.
func TestStress_asyncsOneAfterTheOther(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	n := rounds()
	over := make(chan error, 1)
	done := 0
	next := func(ctx context.Context) {
		actor.Async(ctx, func(context.Context) (int, error) { return 0, nil })
	}
	pid := spawn(t, sys, &behaviour{
		init: func(ctx context.Context) error { next(ctx); return nil },
		receive: func(ctx context.Context, msg any) error {
			err := msg.(actor.Done[int]).Err
			if done++; err != nil || done == n {
				over <- err
				return nil
			}
			next(ctx)
			return nil
		},
	}, actor.SpawnOptions{MaxAsync: 1})
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					actor.Inspect(pid)
				}
			}
		})
	}
	err := <-over
	close(stop)
	asking.Wait()
	if err != nil {
		t.Errorf("Async number %d, when the one before it was done: %v", done, err)
	}
}

func TestAsync_answersACallOfItsCallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		pid := server(t, sys, func(ctx context.Context, msg any) error {
			if _, ok := msg.(actor.Done[struct{}]); ok {
				return nil
			}
			from, _ := actor.Caller(ctx)
			actor.Async(ctx, func(ctx context.Context) (struct{}, error) {
				time.Sleep(time.Second)
				from.Reply("slow answer")
				return struct{}{}, nil
			})
			return nil
		})
		if got, err := actor.Call[string](context.Background(), pid, "hi"); got != "slow answer" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}
