package cluster_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// A process that is killed from another node handles nothing that was sent after the Exit.
func TestExit_killsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		var after journal[any]
		for range 100 {
			pid := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
				after.add(msg)
				return nil
			}}, actor.SpawnOptions{}))
			pid.Exit(actor.ErrKilled)
			for i := range 10 {
				pid.Send(i)
			}
		}
		synctest.Wait()
		if n := len(after.all()); n > 0 {
			t.Errorf("%d messages that were sent after an Exit(ErrKilled) were handled, want none", n)
		}
	})
}
