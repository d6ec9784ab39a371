package registry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

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
