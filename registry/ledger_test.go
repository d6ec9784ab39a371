package registry_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// The ledger of docs/explanation/delivery.md, which quotes ledgerTypes.

type entry struct {
	ID   int64
	Text string
}

// since is the Call of a socket that begins: what came after that entry?
type since struct{ ID int64 }

type ledger struct {
	reg     *registry.Registry
	last    int64
	entries []entry // the last 1000
}

func (l *ledger) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case string:
		l.last++
		e := entry{l.last, m}
		l.entries = append(l.entries, e)
		if len(l.entries) > 1000 {
			l.entries = slices.Delete(l.entries, 0, 1)
		}
		l.reg.Broadcast("ledger", websock.JSON(e))
	case since:
		actor.Reply(ctx, slices.DeleteFunc(slices.Clone(l.entries), func(e entry) bool { return e.ID <= m.ID }))
	}
	return nil
}

func ledgerTypes(types *cluster.Types) {
	cluster.Register[since](types, "ledger.since")
	cluster.Register[[]entry](types, "ledger.entries")
}

// A viewer of another node than the ledger's joins, then asks: what was there before is in the answer, and what comes after that
// is broadcast to it.
func TestLedger_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			types := newTypes()
			ledgerTypes(types)
			return cluster.Config{Types: types}
		}}, nil)
		l, err := c.System(0).Spawn(context.Background(), &ledger{reg: c.regs[0]}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"one", "two", "three"} {
			l.Send(text)
		}
		settle()
		var missed []entry
		viewer := spawnWith(t, c.System(1), &member{init: func(ctx context.Context) error {
			if err := c.regs[1].Join("ledger", actor.Self(ctx), nil); err != nil {
				return err
			}
			missed, err = actor.Call[[]entry](ctx, c.At(1, l), since{1})
			return err
		}}, actor.SpawnOptions{})
		if want := []entry{{2, "two"}, {3, "three"}}; !slices.Equal(missed, want) {
			t.Errorf("the answer is %v, want %v", missed, want)
		}
		l.Send("four")
		settle()
		got := viewer.take()
		if m, ok := got[0].(websock.Message); len(got) != 1 || !ok || string(m.Data) != `{"ID":4,"Text":"four"}` {
			t.Errorf("the viewer got %v, want the fourth entry", got)
		}
	})
}
