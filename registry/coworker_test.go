package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// docs/how-to/show-who-is-online.md quotes coworker.

type coworker struct {
	office *office
	user   string
	device device
}

func (c *coworker) Init(ctx context.Context) websock.Result {
	me, reg := actor.Self(ctx), c.office.reg
	if err := errors.Join(reg.Track("office", me, c.user, c.device), reg.Join("office", me, nil), reg.WatchName("roster", me)); err != nil {
		return websock.Stop(err)
	}
	return websock.OK() // the watch tells at once whether there is a roster
}

func (c *coworker) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg.(type) {
	case registry.NameFree, registry.NameTaken:
	default:
		return websock.OK()
	}
	whole, err := c.office.roll(ctx) // starts one when there is none
	if err != nil {
		return websock.Stop(err) // it comes back
	}
	if _, free := msg.(registry.NameFree); free {
		return websock.OK() // a NameTaken comes
	}
	return websock.Push(whole)
}

func (*coworker) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

// screen is a client of a handler, without a wire: it applies what the handler pushes and what is broadcast, in order.
type screen struct {
	t   testing.TB
	h   websock.Handler
	pid actor.PID

	mu    sync.Mutex
	users map[string]int // how many devices of each are shown
}

func (s *screen) Init(ctx context.Context) error { return s.show(s.h.Init(ctx)) }

func (s *screen) Receive(ctx context.Context, msg any) error {
	if m, ok := msg.(websock.Message); ok {
		return s.show(websock.Push(m))
	}
	return s.show(s.h.HandleInfo(ctx, msg))
}

func (s *screen) show(r websock.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range r.Push {
		apply(s.t, s.users, m)
	}
	return r.Stop
}

// coworkers are one coworker on each of three nodes.
func coworkers(t *testing.T, seed uint64) (c *registries, screens []*screen, trees *trees) {
	c = newCluster(t, clustertest.Config{Seed: seed, Loss: 0.05, Delay: 20 * time.Millisecond, Node: func(int, *actor.System) cluster.Config {
		types := newTypes()
		officeTypes(types)
		return cluster.Config{Types: types}
	}, System: func(int) actor.Config {
		// After a heal a node may be linked to one that knows where the roster is 5 s before it is linked to that node. A socket
		// that gives up meanwhile ends, and its client comes back. A screen does not, so it waits longer than that.
		return actor.Config{CallTimeout: 15 * time.Second}
	}}, nil)
	offices := make([]*office, 3)
	trees = serve(t, 3, func(i int) []supervisor.ChildSpec {
		rosters, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rosters"})
		if err != nil {
			t.Fatal(err)
		}
		offices[i] = &office{c.System(i), c.regs[i], rosters}
		return []supervisor.ChildSpec{{ID: "rosters", Service: rosters}}
	})
	synctest.Wait()
	for i := range 3 {
		s := &screen{t: t, h: &coworker{offices[i], fmt.Sprint("user ", i), device{Kind: "phone"}}, users: map[string]int{}}
		var err error
		if s.pid, err = c.System(i).Spawn(context.Background(), s, actor.SpawnOptions{}); err != nil {
			t.Fatal(err)
		}
		screens = append(screens, s)
	}
	return c, screens, trees
}

// wantShown waits, and says whom these screens show, besides whom they should.
func wantShown(t testing.TB, when string, screens []*screen, users []int, on ...int) {
	t.Helper()
	time.Sleep(20 * time.Second)
	synctest.Wait()
	want := make(map[string]int)
	for _, i := range users {
		want[fmt.Sprint("user ", i)] = 1
	}
	for _, i := range on {
		s := screens[i]
		s.mu.Lock()
		if !s.pid.Alive() || !maps.Equal(s.users, want) {
			t.Errorf("%s: on node %d, alive: %t, is shown %v, want %v", when, i, s.pid.Alive(), s.users, want)
		}
		s.mu.Unlock()
	}
}

// Everybody is shown everywhere, and still is when the node of the roster is lost.
func TestCoworker_cluster_nodeIsLost(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, screens, trees := coworkers(t, seed)
				wantShown(t, "at first", screens, []int{0, 1, 2}, 0, 1, 2)
				at := 0
				for i := range 3 {
					if pid, _, _ := c.regs[i].Whereis("roster"); c.System(i).Owns(pid) {
						at = i
					}
				}
				others := []int{(at + 1) % 3, (at + 2) % 3}
				c.Kill(at)
				wantShown(t, "after its node was lost", screens, others, others...)
				trees.want(t, at)
			})
		})
	}
}

// Each side of a partition shows its own, and all show all when it has healed: of two rosters one is left.
func TestCoworker_cluster_partition(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, screens, trees := coworkers(t, seed)
				wantShown(t, "at first", screens, []int{0, 1, 2}, 0, 1, 2)
				apart := int(seed) % 3
				others := []int{(apart + 1) % 3, (apart + 2) % 3}
				for _, i := range others {
					c.Cut(apart, i)
				}
				wantShown(t, "behind the cut", screens, []int{apart}, apart)
				wantShown(t, "on the other side", screens, others, others...)
				for _, i := range others {
					c.Heal(apart, i)
				}
				c.Connect()
				wantShown(t, "after the heal", screens, []int{0, 1, 2}, 0, 1, 2)
				trees.want(t)
			})
		})
	}
}
