package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// wantHolder says who holds a name, as each of these nodes sees it; nil: nobody.
func (c *registries) wantHolder(t testing.TB, name string, holder *member, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		pid, _, ok := c.regs[i].Whereis(name)
		if holder == nil && ok || holder != nil && (!ok || pid != c.At(i, holder.pid)) {
			t.Errorf("on node %d Whereis(%q) = %v, %t; want %v", i, name, pid, ok, holder)
		}
	}
}

func TestNames_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond}, nil)
		a, b, w := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 2)
		if err := c.regs[2].WatchName("room", w.pid); err != nil {
			t.Fatal(err)
		}
		if err := c.regs[0].Register("room", a.pid, "first"); err != nil {
			t.Fatal(err)
		}
		c.arrived()
		c.wantHolder(t, "room", a, 0, 1, 2)
		var taken *registry.TakenError
		err := c.regs[1].Register("room", b.pid, nil)
		if !errors.As(err, &taken) || taken.PID != c.At(1, a.pid) || taken.Meta != "first" {
			t.Errorf("Register on another node: %v, want a TakenError of %v with its meta", err, a.pid)
		}
		if err := c.regs[1].Register("other", c.At(1, a.pid), nil); !errors.Is(err, registry.ErrNoProcess) {
			t.Errorf("Register of a process of another node: %v, want ErrNoProcess", err)
		}
		if err := c.regs[0].Register("room", a.pid, "second"); err != nil {
			t.Fatal(err)
		}
		c.arrived()
		if _, meta, _ := c.regs[1].Whereis("room"); meta != "second" {
			t.Errorf("meta on another node = %v, want the new one", meta)
		}
		for name, pid := range c.regs[1].Names() {
			if name != "room" || pid != c.At(1, a.pid) {
				t.Errorf("Names yields %q, %v", name, pid)
			}
		}
		c.regs[1].Unregister("room", c.At(1, a.pid))
		c.arrived()
		c.wantHolder(t, "room", a, 0, 1, 2)
		c.regs[0].Unregister("room", a.pid)
		c.arrived()
		c.wantHolder(t, "room", nil, 0, 1, 2)
		if err := c.regs[1].Register("room", b.pid, nil); err != nil {
			t.Errorf("Register of a name that is free again: %v", err)
		}
		c.arrived()
		end(t, b.pid, actor.ErrNormal)
		c.arrived()
		c.wantHolder(t, "room", nil, 0, 1, 2)
		pid := func(m *member) actor.PID { return c.At(2, m.pid) }
		wantGot(t, w, registry.NameFree{Name: "room"}, registry.NameTaken{Name: "room", PID: pid(a), Meta: "first"},
			registry.NameTaken{Name: "room", PID: pid(a), Meta: "second"}, registry.NameFree{Name: "room"},
			registry.NameTaken{Name: "room", PID: pid(b)}, registry.NameFree{Name: "room"})
		for i := range 3 {
			if _, n, _ := c.regs[i].Records(); n != 0 {
				t.Errorf("node %d keeps %d names", i, n)
			}
		}
		long := strings.Repeat("x", 4097)
		if err := c.regs[0].Register(long, a.pid, nil); err == nil || !strings.Contains(err.Error(), "4097 bytes") {
			t.Errorf("Register of a long name: %v", err)
		}
		if _, err := c.regs[0].Replace("room", a.pid, make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Replace with a meta that cannot cross: %v", err)
		}
		if _, err := c.regs[0].Ensure(context.Background(), long, nil); err == nil || !strings.Contains(err.Error(), "4097 bytes") {
			t.Errorf("Ensure of a long name: %v", err)
		}
		c.wantHolder(t, "room", nil, 0, 1, 2)
	})
}

// A name is free when its node is lost, and not taken again by who comes back too late.
func TestNames_cluster_nodeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		a, w := c.spawn(t, 1), c.spawn(t, 0)
		c.regs[1].Register("room", a.pid, nil)
		settle()
		c.regs[0].WatchName("room", w.pid)
		away := c.At(0, a.pid)
		c.Kill(1)
		time.Sleep(10 * time.Second)
		c.wantHolder(t, "room", nil, 0)
		settle()
		wantGot(t, w, registry.NameTaken{Name: "room", PID: away}, registry.NameFree{Name: "room"})
		if err := c.regs[0].Register("room", w.pid, nil); err != nil {
			t.Errorf("Register after the node was lost: %v", err)
		}
	})
}

func (m *member) String() string {
	if m == nil {
		return "nobody"
	}
	return m.pid.String()
}

// A node that comes while a holder is ending is told so.
func TestNames_cluster_endingInASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		old := spawnWith(t, c.System(1), &member{terminate: func(context.Context) { time.Sleep(4 * time.Second) }}, actor.SpawnOptions{})
		c.regs[1].Register("room", old.pid, nil)
		c.Stop(0)
		old.pid.Exit(actor.ErrNormal)
		c.Restart(0)
		c.Connect()
		time.Sleep(100 * time.Millisecond)
		c.wantHolder(t, "room", nil, 0)
		other := c.spawn(t, 0)
		if err := c.regs[0].Register("room", other.pid, nil); err == nil {
			t.Error("the name of a process that is ending was given away")
		}
		time.Sleep(5 * time.Second)
		if err := c.regs[0].Register("room", other.pid, nil); err != nil {
			t.Errorf("Register after the end: %v", err)
		}
	})
}
