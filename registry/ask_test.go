package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// answering is a process that registers itself and answers each request by a function.
type answering struct {
	reg    *registry.Registry
	name   string
	answer func(ctx context.Context, req any) error
}

func (a *answering) Init(ctx context.Context) error {
	return a.reg.Register(a.name, actor.Self(ctx), nil)
}

func (a *answering) Receive(ctx context.Context, msg any) error { return a.answer(ctx, msg) }

// starter is a start function that counts.
func starter(sys *actor.System, starts *atomic.Int64, newActor func(n int64) actor.Actor) func(context.Context) (actor.PID, error) {
	return func(context.Context) (actor.PID, error) {
		return sys.Spawn(context.Background(), newActor(starts.Add(1)), actor.SpawnOptions{})
	}
}

// TestAsk has one row for each outcome.
func TestAsk(t *testing.T) {
	tests := []struct {
		name    string
		before  func(t *testing.T, reg *registry.Registry, sys *actor.System, start func(context.Context) (actor.PID, error))
		answer  func(n int64) func(ctx context.Context, req any) error // of the process that was started as number n
		start   func() (actor.PID, error)
		timeout time.Duration
		want    string
		err     error
		starts  int64
		handled int64
		after   time.Duration
	}{
		{name: "starts and asks", want: "answer 1", starts: 1, handled: 1},
		{name: "finds and asks", before: func(t *testing.T, reg *registry.Registry, _ *actor.System, start func(context.Context) (actor.PID, error)) {
			if _, err := start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, want: "answer 1", starts: 1, handled: 1},
		{name: "the holder has an end before it", before: func(t *testing.T, reg *registry.Registry, _ *actor.System, start func(context.Context) (actor.PID, error)) {
			pid, err := start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			release := make(chan struct{})
			pid.Send(func(context.Context) error { <-release; return errBoom }) // it ends while the request waits
			go func() {
				time.Sleep(time.Second)
				close(release)
			}()
			synctest.Wait()
		}, want: "answer 2", starts: 2, handled: 1, after: time.Second},
		{name: "the callee ends while it handles the request", answer: func(n int64) func(context.Context, any) error {
			return func(context.Context, any) error { return errBoom }
		}, err: actor.ErrNoProcess, starts: 1, handled: 1},
		{name: "the callee does not reply", answer: func(int64) func(context.Context, any) error {
			return func(context.Context, any) error { return nil }
		}, err: actor.ErrNoReply, starts: 1, handled: 1},
		{name: "the callee replies with an error", answer: func(int64) func(context.Context, any) error {
			return func(ctx context.Context, _ any) error { actor.Reply(ctx, errBoom); return nil }
		}, err: errBoom, starts: 1, handled: 1},
		{name: "start fails", start: func() (actor.PID, error) { return actor.PID{}, errBoom }, err: errBoom},
		{name: "start says that there is no process", start: func() (actor.PID, error) { return actor.PID{}, actor.ErrNoProcess },
			err: actor.ErrNoProcess},
		{name: "what is started is gone each time", start: func() (actor.PID, error) { return actor.PID{}, nil },
			timeout: time.Second, err: context.DeadlineExceeded, after: time.Second},
		{name: "the same without a deadline", start: func() (actor.PID, error) { return actor.PID{}, nil },
			err: context.DeadlineExceeded, after: 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				var starts, handled atomic.Int64
				start := starter(sys, &starts, func(n int64) actor.Actor {
					return &answering{reg, "x", func(ctx context.Context, req any) error {
						if f, ok := req.(func(context.Context) error); ok {
							return f(ctx)
						}
						handled.Add(1)
						if tt.answer != nil {
							return tt.answer(n)(ctx, req)
						}
						actor.Reply(ctx, fmt.Sprint("answer ", n))
						return nil
					}}
				})
				if tt.start != nil {
					start = func(context.Context) (actor.PID, error) { return tt.start() }
				}
				if tt.before != nil {
					tt.before(t, reg, sys, start)
				}
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				began := time.Now()
				got, err := registry.Ask[string](ctx, reg, "x", start, "request")
				if got != tt.want || !errors.Is(err, tt.err) || tt.err == nil && err != nil {
					t.Errorf("Ask = %q, %v; want %q, %v", got, err, tt.want, tt.err)
				}
				if starts.Load() != tt.starts || handled.Load() != tt.handled {
					t.Errorf("%d starts, the request was handled %d times; want %d and %d", starts.Load(), handled.Load(), tt.starts, tt.handled)
				}
				if d := time.Since(began); d != tt.after {
					t.Errorf("it took %v, want %v", d, tt.after)
				}
			})
		})
	}
}

// Two rooms whose Inits Ensure each other end with an error, within the ctx, or within CallTimeout when it has no deadline.
func TestEnsure_eachOther(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"deadline": time.Second, "no deadline": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				var start func(name, other string) func(context.Context) (actor.PID, error)
				start = func(name, other string) func(context.Context) (actor.PID, error) {
					return func(context.Context) (actor.PID, error) {
						return sys.Spawn(context.Background(), &member{init: func(ctx context.Context) error {
							if timeout > 0 {
								var cancel context.CancelFunc
								ctx, cancel = context.WithTimeout(ctx, timeout)
								defer cancel()
							}
							if _, err := reg.Ensure(ctx, other, start(other, name)); err != nil {
								return err
							}
							return reg.Register(name, actor.Self(ctx), nil)
						}}, actor.SpawnOptions{})
					}
				}
				began := time.Now()
				_, err := reg.Ensure(t.Context(), "a", start("a", "b"))
				want := timeout
				if want == 0 {
					want = 5 * time.Second
				}
				if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != want {
					t.Errorf("Ensure: %v after %v, want the deadline after %v", err, took, want)
				}
				synctest.Wait()
				if p, n, _ := reg.Records(); p+n != 0 {
					t.Errorf("records of %d processes and %d names are left", p, n)
				}
			})
		})
	}
}

// Ensure returns a process that has had its name and has ended normally meanwhile, as Whereis would have before.
func TestEnsure_endedMeanwhile(t *testing.T) {
	reg, sys := newRegistry(t)
	var started actor.PID
	got, err := reg.Ensure(t.Context(), "x", func(context.Context) (actor.PID, error) {
		m := spawnWith(t, sys, &member{init: func(ctx context.Context) error { return reg.Register("x", actor.Self(ctx), nil) }},
			actor.SpawnOptions{})
		end(t, m.pid, actor.ErrNormal)
		started = m.pid
		return m.pid, nil
	})
	if got != started || err != nil {
		t.Errorf("Ensure = %v, %v; want %v", got, err, started)
	}
	if _, err := reg.Ensure(t.Context(), "x", func(context.Context) (actor.PID, error) { return started, nil }); !errors.Is(err, registry.ErrNoProcess) {
		t.Errorf("Ensure of a process that ended long before: %v, want ErrNoProcess", err)
	}
}

// When the process that was started finds its name taken by one that ends at that moment, Ensure tries again.
func TestEnsure_takenBySomebodyWhoGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		starts := 0
		got, err := reg.Ensure(t.Context(), "x", func(ctx context.Context) (actor.PID, error) {
			starts++
			if starts < 4 {
				other := spawn(t, sys)
				if err := reg.Register("x", other.pid, nil); err != nil {
					t.Fatal(err)
				}
				defer end(t, other.pid, actor.ErrNormal)
			}
			return sys.Spawn(ctx, &member{init: func(ctx context.Context) error { return reg.Register("x", actor.Self(ctx), nil) }},
				actor.SpawnOptions{})
		})
		if err != nil || starts != 4 {
			t.Errorf("Ensure = %v, %v after %d starts; want a process after 4", got, err, starts)
		}
		wantHolder(t, reg, "x", got, nil)
		stale := &registry.TakenError{Name: "y", PID: got}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := reg.Ensure(ctx, "y", func(context.Context) (actor.PID, error) { return actor.PID{}, stale }); !errors.Is(err, stale) {
			t.Errorf("Ensure with a start that says so without end: %v, want what it says", err)
		}
		if stale.Holder() != got {
			t.Errorf("Holder = %v, want %v", stale.Holder(), got)
		}
	})
}

// The nodes do not find out at the same moment that one is lost. While an owner of a name still knows the process there, a node that has
// lost it gets that process from the owner, which its Call cannot reach. Ask tries again, and starts the next one as soon as the
// owner knows, too.
func TestAsk_cluster_ownerIsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 5 * time.Millisecond}, nil)
		const n = 20
		rooms := &starts{}
		for k := range n {
			name := fmt.Sprint("room ", k)
			if _, err := c.regs[0].Ensure(context.Background(), name, rooms.on(c, 0, name)); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		c.Cut(0, 1)
		time.Sleep(3 * time.Second)
		c.Kill(0)
		time.Sleep(3 * time.Second) // node 1 knows, node 2 does not
		if _, _, ok := c.regs[1].Whereis("room 0"); ok {
			t.Fatal("node 1 still sees the rooms of node 0")
		}
		if _, _, ok := c.regs[2].Whereis("room 0"); !ok {
			t.Fatal("node 2 sees the rooms of node 0 no more")
		}
		var wg sync.WaitGroup
		for k := range n {
			name := fmt.Sprint("room ", k)
			wg.Go(func() {
				got, err := registry.Ask[string](context.Background(), c.regs[1], name, rooms.on(c, 1, name), "hello")
				if err != nil || !strings.HasPrefix(got, "hello on ") || !strings.HasSuffix(got, "@n1") {
					t.Errorf("Ask %q on node 1 = %q, %v; want hello from a new process there", name, got, err)
				}
			})
		}
		wg.Wait()
		if len(rooms.started) != 2*n {
			t.Errorf("%d rooms were started, want %d on each of two nodes", len(rooms.started), n)
		}
	})
}

// Node 1 is cut off from the node of a room, and the node between them is not. As long as that lasts Ensure waits: the room lives. Its
// error says what it has waited for, also to those who have waited with it and whose own time is not over.
func TestEnsure_cluster_holderBeyondTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 5 * time.Millisecond}, nil)
		rooms := &starts{}
		room, err := c.regs[0].Ensure(context.Background(), "room", rooms.on(c, 0, "room"))
		if err != nil {
			t.Fatal(err)
		}
		settle()
		c.Cut(0, 1)
		time.Sleep(7 * time.Second)
		ensure := func(d time.Duration) (actor.PID, error) {
			ctx, cancel := context.WithTimeout(context.Background(), d)
			defer cancel()
			return c.regs[1].Ensure(ctx, "room", rooms.on(c, 1, "room"))
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if pid, err := ensure(3 * time.Second); !errors.Is(err, actor.ErrNodeDown) {
				t.Errorf("Ensure within 3 s, while the node is cut off = %v, %v; want ErrNodeDown", pid, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if pid, err := ensure(time.Minute); err != nil || pid != c.At(1, room) {
				t.Errorf("Ensure that lasts until after the heal = %v, %v; want %v", pid, err, room)
			}
		})
		time.Sleep(10 * time.Second)
		c.Heal(0, 1)
		wg.Wait()
		if len(rooms.started) != 1 {
			t.Errorf("%d rooms were started, want one", len(rooms.started))
		}
	})
}
