package clustertest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// This is the test of docs/how-to/run-on-several-nodes.md.

type vote struct{ For string }

// tally is a process that one node has, and all nodes use.
type tally struct{ votes int }

func (y *tally) Receive(ctx context.Context, msg any) error {
	if _, ok := msg.(vote); ok {
		y.votes++
		return nil
	}
	actor.Reply(ctx, y.votes)
	return nil
}

func TestTally_partition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		types := &cluster.Types{}
		cluster.Register[vote](types, "vote")
		c := clustertest.New(t, clustertest.Config{
			Nodes: 3, Seed: 1, Loss: 0.05, Delay: 20 * time.Millisecond, // of each datagram
			Node: func(int, *actor.System) cluster.Config { return cluster.Config{Types: types} },
		})
		pid, err := c.System(0).Spawn(t.Context(), &tally{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		away := c.At(1, pid) // as node 1 knows it
		for range 100 {
			if !away.Send(vote{"red"}) {
				t.Fatal("Send = false between linked nodes")
			}
		}
		if n, err := actor.Call[int](t.Context(), away, "how many?"); n != 100 || err != nil {
			t.Errorf("%d votes, %v; want 100: nothing is lost, nothing comes twice", n, err)
		}

		c.Cut(0, 1)
		time.Sleep(10 * time.Second) // on the clock of the bubble
		if away.Send(vote{"red"}) {
			t.Error("node 1 still reaches node 0")
		}
		if !c.At(2, pid).Send(vote{"blue"}) {
			t.Error("node 2 does not reach node 0")
		}

		c.Heal(0, 1)
		c.Connect()
		if n, err := actor.Call[int](t.Context(), away, "how many?"); n != 101 || err != nil {
			t.Errorf("%d votes, %v; want 101", n, err)
		}
	})
}
