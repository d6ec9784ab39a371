package registry_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// What a node tells of its processes is not refused by a full window: a broadcast is, but who is a member, present and has a name comes
// as soon as the other node takes anything, and so does who is not any more.
func TestCluster_fullWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{Window: 64 << 10, MaxMessage: 8 << 10}
		}}, nil)
		a, b := c.spawn(t, 0), c.join(t, 1, "fill")
		reg, other := c.regs[0], c.regs[1]
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(reg.Join("old room", a.pid, nil))
		must(reg.Track("lobby", a.pid, "old", nil))
		must(reg.Register("old name", a.pid, nil))
		must(reg.Register("changed", a.pid, "before"))
		settle()
		c.wantInterest(t, 1, 1)
		c.Freeze(1) // for less than DownAfter
		refused := func() (n uint64) {
			for p := range c.Node(0).Peers() {
				n += p.Refused
			}
			return n
		}
		for n := 0; refused() == 0; n++ {
			if n > 100_000 {
				t.Fatal("the window is not full")
			}
			reg.Broadcast("fill", "x")
		}
		must(reg.Join("new room", a.pid, nil))
		must(reg.Track("lobby", a.pid, "new", nil))
		must(reg.Register("new name", a.pid, nil))
		must(reg.Register("changed", a.pid, "after"))
		reg.Leave("old room", a.pid)
		reg.Untrack("lobby", a.pid, "old")
		reg.Unregister("old name", a.pid)
		before := refused()
		reg.Broadcast("fill", "x")
		if refused() == before {
			t.Error("the window has room: the test shows nothing")
		}
		c.Thaw(1)
		settle()
		b.take()
		if n := other.Interest(); n != 1 {
			t.Errorf("the other node knows of %d groups, want 1: the new one", n)
		}
		other.Broadcast("new room", "hello")
		settle()
		wantGot(t, a, "hello")
		c.wantPresent(t, 1, "lobby", map[string]string{"new": "<nil>"})
		c.wantHolder(t, "new name", a, 1)
		c.wantHolder(t, "old name", nil, 1)
		if _, meta, _ := other.Whereis("changed"); meta != "after" {
			t.Errorf("the meta of a name is %v on the other node, want the new one", meta)
		}
		end(t, a.pid, actor.ErrNormal)
		time.Sleep(time.Second)
		synctest.Wait()
		if p, n, g := other.Records(); n != 0 || g != 1 {
			t.Errorf("in the end the other node keeps %d processes, %d names and %d groups, want no name, and its own group", p, n, g)
		}
	})
}
