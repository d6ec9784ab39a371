package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// starts counts how often a room was started.
type starts struct {
	mu      sync.Mutex
	started []actor.PID
}

func (s *starts) on(c *registries, i int, name string) func(ctx context.Context) (actor.PID, error) {
	return func(ctx context.Context) (actor.PID, error) {
		pid, err := c.System(i).Spawn(ctx, &roomOf{c.regs[i], name}, actor.SpawnOptions{})
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.started = append(s.started, pid)
		}
		return pid, err
	}
}

// Several nodes want one room at the same moment: one starts it, and all get it. Each of many names has one of the nodes as owner.
func TestEnsure_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.05, Delay: 10 * time.Millisecond}, nil)
		s := &starts{}
		const n = 20
		got := make([][]actor.PID, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			got[i] = make([]actor.PID, n)
			for k := range n {
				wg.Go(func() {
					var err error
					name := fmt.Sprint("room ", k)
					if got[i][k], err = c.regs[i].Ensure(context.Background(), name, s.on(c, i, name)); err != nil {
						t.Errorf("Ensure %q on node %d: %v", name, i, err)
					}
				})
			}
		}
		wg.Wait()
		for k := range n {
			for i := range 3 {
				if got[i][k] != c.At(i, got[0][k]) {
					t.Errorf("room %d is %v on node %d, and %v on node 0", k, got[i][k], i, got[0][k])
				}
			}
		}
		if len(s.started) != n {
			t.Errorf("%d rooms were started, want %d", len(s.started), n)
		}
		c.arrived()
		where := make(map[string]int)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for k := range n {
			text, err := registry.Ask[string](ctx, c.regs[k%3], fmt.Sprint("room ", k), nil, "hello")
			if want := fmt.Sprint("hello on ", got[0][k]); err != nil || text != want {
				t.Errorf("Ask = %q, %v; want %q", text, err, want)
			}
			_, node, _ := strings.Cut(got[0][k].String(), "@")
			where[node]++
		}
		if len(where) < 2 {
			t.Errorf("the rooms are on %v", where)
		}
		for i := range 3 {
			if n := c.regs[i].Leases(); n != 0 {
				t.Errorf("node %d keeps %d leases", i, n)
			}
		}
	})
}

// While one node starts a room the others wait, each no longer than its ctx; the start that fails, or whose node is lost, is
// followed by the next.
func TestEnsure_cluster_nextIsGranted(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		end  func(c *registries, i int, fail func(error)) // of the start on node i
	}{
		{"it fails", func(_ *registries, _ int, fail func(error)) { fail(boom) }},
		{"its node is lost", func(c *registries, i int, fail func(error)) {
			c.Kill(i)
			fail(boom)
			time.Sleep(7 * time.Second)
		}},
	} {
		for first := range 3 { // whoever is the owner
			t.Run(fmt.Sprintf("%s on node %d", tt.name, first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, clustertest.Config{Seed: 1, Delay: 10 * time.Millisecond}, nil)
					failed := make(chan error, 1)
					begun := false
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					go c.regs[first].Ensure(ctx, "room", func(context.Context) (actor.PID, error) {
						begun = true
						return actor.PID{}, <-failed
					})
					settle()
					if !begun {
						t.Fatal("the first start has not begun")
					}
					second, third := (first+1)%3, (first+2)%3
					short, cancelShort := context.WithTimeout(ctx, time.Second)
					defer cancelShort()
					s := &starts{}
					if _, err := c.regs[second].Ensure(short, "room", s.on(c, second, "room")); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Ensure while another node starts: %v, want DeadlineExceeded", err)
					}
					got := make(chan actor.PID, 1)
					go func() {
						pid, err := c.regs[third].Ensure(ctx, "room", s.on(c, third, "room"))
						if err != nil {
							t.Errorf("Ensure after the first start: %v", err)
						}
						got <- pid
					}()
					settle()
					if len(s.started) != 0 {
						t.Fatal("the second start has begun while the first one runs")
					}
					tt.end(c, first, func(err error) { failed <- err })
					settle()
					select {
					case pid := <-got:
						if len(s.started) != 1 || s.started[0] != pid {
							t.Errorf("Ensure = %v, started %v", pid, s.started)
						}
					default:
						t.Error("the second Ensure still waits")
					}
					settle()
					for _, i := range []int{second, third} {
						if n := c.regs[i].Leases(); n != 0 {
							t.Errorf("node %d keeps %d leases", i, n)
						}
					}
				})
			})
		}
	}
}

// While a room is ending, whose Terminate saves what the next one loads, no node finds it, none can take its name, and Ensure
// waits on all.
func TestEnsure_cluster_waitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 10 * time.Millisecond}, nil)
		old := spawnWith(t, c.System(1), &member{terminate: func(context.Context) { time.Sleep(3 * time.Second) }}, actor.SpawnOptions{})
		if err := c.regs[1].Register("room", old.pid, nil); err != nil {
			t.Fatal(err)
		}
		settle()
		c.wantHolder(t, "room", old, 0, 1, 2)
		start := time.Now()
		old.pid.Exit(actor.ErrNormal)
		time.Sleep(50 * time.Millisecond)
		c.wantHolder(t, "room", nil, 0, 1, 2)
		other := c.spawn(t, 0)
		var taken *registry.TakenError
		if err := c.regs[0].Register("room", other.pid, nil); !errors.As(err, &taken) {
			t.Errorf("Register while the holder is ending: %v, want a TakenError", err)
		}
		c.Cut(0, 1) // what node 0 is told anew must say it, too
		time.Sleep(100 * time.Millisecond)
		c.Heal(0, 1)
		s := &starts{}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, err := c.regs[i].Ensure(context.Background(), "room", s.on(c, i, "room")); err != nil {
					t.Errorf("Ensure on node %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if waited := time.Since(start); len(s.started) != 1 || waited < 3*time.Second {
			t.Errorf("started %v after %v, want one after the end of the old one", s.started, waited)
		}
	})
}

// Ask tries again when the callee was gone before the request: on another node, too.
func TestAsk_cluster_triesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 20 * time.Millisecond}, nil)
		s := &starts{}
		if _, err := c.regs[1].Ensure(context.Background(), "room", s.on(c, 1, "room")); err != nil {
			t.Fatal(err)
		}
		settle()
		s.started[0].Exit(actor.ErrNormal) // node 0 hears of it after it has asked
		text, err := registry.Ask[string](context.Background(), c.regs[0], "room", s.on(c, 0, "room"), "hello")
		if len(s.started) != 2 || err != nil || text != fmt.Sprint("hello on ", s.started[1]) {
			t.Errorf("Ask = %q, %v; started %v", text, err, s.started)
		}
	})
}
