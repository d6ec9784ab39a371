package registry_test

import (
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// In a cluster the names, groups and members are those of the node, whose sum over all nodes is right; topics and who is present are
// those of all nodes, on each.
func TestRegistry_Stats_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		a, b, other := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 1)
		if err := c.regs[0].Register("a", a.pid, nil); err != nil {
			t.Fatal(err)
		}
		for i, m := range []*member{a, b} {
			c.regs[i].Join("room", m.pid, nil)
			if err := c.regs[i].Track("lobby", m.pid, []string{"ann", "bob"}[i], nil); err != nil {
				t.Fatal(err)
			}
		}
		c.regs[1].Join("room", other.pid, nil)
		settle()
		for i, want := range []registry.Stats{
			{Names: 1, Groups: 1, Members: 1, Topics: 1, Present: 2},
			{Names: 0, Groups: 1, Members: 2, Topics: 1, Present: 2},
		} {
			if got := c.regs[i].Stats(); got != want {
				t.Errorf("node %d: got %+v, want %+v", i, got, want)
			}
		}
	})
}
