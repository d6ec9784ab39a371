package registry_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
)

// What must be there once in the whole cluster, although nobody asks for it. docs/explanation/across-nodes.md quotes this.

// sweeper does the work. It registers itself, so that whoever starts a second one has it ended.
type sweeper struct{ reg *registry.Registry }

func (s *sweeper) Init(ctx context.Context) error {
	return s.reg.Register("sweeper", actor.Self(ctx), nil)
}

func (s *sweeper) Receive(context.Context, any) error { return nil }

// keeper has a sweeper started whenever the cluster has none. Each node has one.
type keeper struct {
	sys      *actor.System
	reg      *registry.Registry
	sweepers *supervisor.Dynamic // a child of the same tree, before the keeper
}

type look struct{}

func (k *keeper) Init(ctx context.Context) error {
	return k.reg.WatchName("sweeper", actor.Self(ctx))
}

func (k *keeper) Receive(ctx context.Context, msg any) error {
	switch msg.(type) {
	case registry.NameFree: // a second later, so that one that always fails is started once a second
		actor.SendAfter(ctx, time.Second, look{})
	case look: // the keepers of all nodes do this; one start runs
		_, err := k.reg.Ensure(ctx, "sweeper", k.start)
		return err
	}
	return nil
}

func (k *keeper) start(ctx context.Context) (actor.PID, error) {
	newSweeper := func() actor.Actor { return &sweeper{k.reg} }
	return k.sweepers.Spawn(ctx, "", k.sys, newSweeper, actor.SpawnOptions{Label: "sweeper"})
}

// trees are supervisors, one on each node, which end with the test, and before that with an error only.
type trees struct {
	sups  []*supervisor.Supervisor
	ended []error // nil: it is served
}

// serve serves a tree on each node, whose children are permanent.
func serve(t testing.TB, nodes int, children func(i int) []supervisor.ChildSpec) *trees {
	t.Helper()
	trees := &trees{make([]*supervisor.Supervisor, nodes), make([]error, nodes)}
	for i := range nodes {
		sup, err := supervisor.New(supervisor.Config{}, children(i)...)
		if err != nil {
			t.Fatal(err)
		}
		trees.sups[i] = sup
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan struct{})
		t.Cleanup(func() { cancel(); <-served })
		go func() {
			defer close(served)
			if err := sup.Serve(ctx); ctx.Err() == nil {
				trees.ended[i] = err
			}
		}()
	}
	return trees
}

// want fails the test when a tree has ended; down are the nodes whose trees are not looked at.
func (ts *trees) want(t testing.TB, down ...int) {
	t.Helper()
	for i, err := range ts.ended {
		if err != nil && !slices.Contains(down, i) {
			t.Errorf("the tree of node %d has ended: %v", i, err)
		}
	}
}

// A child that has lost its name is not started again, and does not take the tree with it, whatever its Restart is: the one that
// has the name does the work.
func TestConflictError_endsOneChild(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Permanent, supervisor.Transient, supervisor.Temporary} {
		t.Run(restart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, nil)
				c.Cut(0, 1)
				time.Sleep(10 * time.Second)
				trees := serve(t, 2, func(i int) []supervisor.ChildSpec {
					newActor := func() actor.Actor { return &sweeper{c.regs[i]} }
					return []supervisor.ChildSpec{
						{ID: "sweeper", Service: supervisor.Actor(c.System(i), newActor, actor.SpawnOptions{}), Restart: restart},
						{ID: "other", Service: supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })},
					}
				})
				settle()
				c.Heal(0, 1)
				c.Connect()
				settle()
				trees.want(t)
				running := 0
				for i, sup := range trees.sups {
					for _, child := range sup.Children() {
						switch {
						case child.ID == "sweeper" && child.State == supervisor.StateRunning:
							running++
						case child.ID == "sweeper" && child.State != supervisor.StateStopped, child.Restarts != 0:
							t.Errorf("on node %d %s is %v, after %d restarts, the last reason %v", i, child.ID, child.State, child.Restarts, child.Last)
						}
					}
				}
				if running != 1 {
					t.Errorf("%d nodes run it, want 1", running)
				}
			})
		})
	}
}

// There is one, whatever becomes of the nodes, and no tree ends for it.
func TestEnsure_cluster_keeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, nil)
		trees := serve(t, 3, func(i int) []supervisor.ChildSpec {
			sweepers, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "sweepers"})
			if err != nil {
				t.Fatal(err)
			}
			sys, reg := c.System(i), c.regs[i]
			newKeeper := func() actor.Actor { return &keeper{sys, reg, sweepers} }
			return []supervisor.ChildSpec{
				{ID: "sweepers", Service: sweepers},
				{ID: "keeper", Service: supervisor.Actor(sys, newKeeper, actor.SpawnOptions{})},
			}
		})
		var down []int
		wantOne := func(when string) (node int) {
			t.Helper()
			time.Sleep(10 * time.Second)
			synctest.Wait()
			trees.want(t, down...)
			var on []int
			for i := range 3 {
				if slices.Contains(down, i) {
					continue
				}
				if pid, _, ok := c.regs[i].Whereis("sweeper"); ok && c.System(i).Owns(pid) {
					on = append(on, i)
				}
				if s := trees.sups[i].Children(); s[1].Restarts != 0 {
					t.Errorf("%s: the keeper of node %d was restarted: %v", when, i, s[1].Last)
				}
			}
			if len(on) != 1 {
				t.Fatalf("%s: there is one on the nodes %v, want one", when, on)
			}
			return on[0]
		}
		at := wantOne("at first")
		first, _, _ := c.regs[at].Whereis("sweeper")
		end(t, first, errBoom)
		at = wantOne("after it has failed")
		c.Cut(at, (at+1)%3)
		c.Cut(at, (at+2)%3)
		time.Sleep(10 * time.Second)
		other, _, ok := c.regs[(at+1)%3].Whereis("sweeper")
		if !ok || c.System(at).Owns(other) {
			t.Errorf("there is no other one on the other side of a cut: %v, %t", other, ok)
		}
		c.Heal(at, (at+1)%3)
		c.Heal(at, (at+2)%3)
		c.Connect()
		at = wantOne("after the cut")
		down = append(down, at)
		c.Kill(at)
		wantOne("after its node was lost")
	})
}
