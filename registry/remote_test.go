package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// TestRegistry_sameNumber: the PID of a process on another node may have the number of one on this node. It is not that one.
func TestRegistry_sameNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2})
		own, err := c.System(0).Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id := func(p actor.PID) string { number, _, _ := strings.Cut(p.String(), "."); return number }
		var away actor.PID
		for id(away) != id(own) {
			pid, err := c.System(1).Spawn(t.Context(), idle{}, actor.SpawnOptions{})
			if err != nil || len(id(pid)) > len(id(own)) {
				t.Fatalf("Spawn: %v, error %v; want a process with the number of %v", pid, err, own)
			}
			away = c.At(0, pid)
		}
		reg := registry.New(c.System(0))
		if err := reg.Join("group", own, "own"); err != nil {
			t.Fatal(err)
		}
		for r := range reg.Of(away) {
			t.Errorf("Of(%v) yields %+v, of %v; want nothing", away, r, own)
		}
		if err := reg.Join("group", away, "away"); !errors.Is(err, registry.ErrNoProcess) {
			t.Errorf("Join of %v: %v, want ErrNoProcess", away, err)
		}
		reg.Leave("group", away)
		for pid, meta := range reg.Members("group") {
			if pid != own || meta != "own" {
				t.Errorf("a member is %v, %v; want %v, own", pid, meta, own)
			}
		}
		if n := reg.Count("group"); n != 1 {
			t.Errorf("Count = %d, want 1", n)
		}
	})
}

type idle struct{}

func (idle) Receive(context.Context, any) error { return nil }

// A registry has the processes of its own node only, linked or not.
func TestRegistry_refusesProcessesOfOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2})
		pid, err := c.System(1).Spawn(t.Context(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		away := c.At(0, pid)
		if !away.Alive() {
			t.Fatal("the process cannot be reached")
		}
		reg := registry.New(c.System(0))
		_, replaced := reg.Replace("name", away, nil)
		for what, err := range map[string]error{
			"Join":     reg.Join("group", away, nil),
			"Register": reg.Register("name", away, nil),
			"Replace":  replaced,
			"Track":    reg.Track("topic", away, "key", nil),
			"Watch":    reg.Watch("group", away),
		} {
			if !errors.Is(err, registry.ErrNoProcess) {
				t.Errorf("%s of a process of another node: %v, want ErrNoProcess", what, err)
			}
		}
		if n := reg.Count("group"); n != 0 {
			t.Errorf("Count = %d, want 0", n)
		}
		if _, err := actor.Inspect(away); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Inspect: %v, want ErrNoProcess", err)
		}
		if _, ok := away.OnExit(func(error) {}); ok {
			t.Error("OnExit takes a function")
		}
	})
}
