package clustertest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

type echo struct{}

func (echo) Receive(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil }

// A test of what a program makes of a node that is cut off, on a network that loses one of twenty datagrams. It takes no time.
func ExampleNew() {
	_ = func(t *testing.T) { // TestCall_toANodeThatIsCutOff
		synctest.Test(t, func(t *testing.T) {
			c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Loss: 0.05, Delay: 5 * time.Millisecond})
			pid, err := c.System(1).Spawn(context.Background(), echo{}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			away := c.At(0, pid) // as node 0 knows it
			if v, err := actor.Call[string](context.Background(), away, "hi"); v != "hi" {
				t.Errorf(`Call = %q, %v; want "hi"`, v, err)
			}
			c.Cut(0, 1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if _, err := actor.Call[string](ctx, away, "hi"); !errors.Is(err, actor.ErrNodeDown) {
				t.Errorf("Call to a node that is cut off = %v, want ErrNodeDown", err)
			}
			c.Heal(0, 1)
			c.Connect()
			if !away.Send("again") {
				t.Error("Send after the heal = false")
			}
		})
	}
}
