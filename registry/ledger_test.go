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
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// The ledger of docs/explanation/delivery.md, which quotes all but the test.

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

type viewer struct {
	reg    *registry.Registry
	ledger actor.PID
	since  int64 // from the request
}

func (v *viewer) Init(ctx context.Context) websock.Result {
	// Do slow work, such as a query, before the Join: what is broadcast after it waits until Init returns.
	if err := v.reg.Join("ledger", actor.Self(ctx), nil); err != nil {
		return websock.Stop(err)
	}
	missed, err := actor.Call[[]entry](ctx, v.ledger, since{v.since})
	if err != nil {
		return websock.Stop(err)
	}
	var push []websock.Message
	for _, e := range missed {
		push = append(push, websock.JSON(e))
	}
	return websock.Push(push...)
}

func (*viewer) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (*viewer) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// farViewer is a viewer whose ledger may be on another node.
type farViewer struct{ viewer }

func (v *farViewer) Init(ctx context.Context) websock.Result {
	actor.Monitor(ctx, v.ledger) // before the Join: nothing is missed without a Down
	return v.viewer.Init(ctx)
}

func (v *farViewer) HandleInfo(_ context.Context, msg any) websock.Result {
	if _, ok := msg.(actor.Down); ok { // the ledger has ended, or is not connected: something may be missing
		return websock.Stop(websock.ErrRestart) // 1012: the client comes back, with the number of the last entry that it has
	}
	return websock.OK()
}

func ledgerTypes(types *cluster.Types) {
	cluster.Register[since](types, "ledger.since")
	cluster.Register[[]entry](types, "ledger.entries")
}

// A viewer of another node than the ledger's joins, then asks: what was there before is in the answer, and what comes after that
// is broadcast to it. When the link ends, what it has missed meanwhile is in the answer to the next viewer of that client.
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
		say := func(texts ...string) {
			for _, text := range texts {
				l.Send(text)
			}
			settle()
		}
		connect := func(since int64) *sockettest.Conn {
			v := &farViewer{viewer{c.regs[1], c.At(1, l), since}}
			conn := sockettest.Serve(t, socket.Config{System: c.System(1), PingInterval: -1, IdleTimeout: -1}, v)
			settle()
			return conn
		}
		want := func(conn *sockettest.Conn, from int64, texts ...string) {
			t.Helper()
			for i, text := range texts {
				conn.Want(websock.JSON(entry{from + int64(i), text}))
			}
		}
		say("one", "two", "three")
		first := connect(1)
		want(first, 2, "two", "three")
		say("four")
		want(first, 4, "four")
		c.Cut(0, 1)
		say("five") // is lost on its way: the link ends
		first.WantClose(1012, "")
		connect(4).WantClose(1011, "") // the ledger cannot be asked
		c.Heal(0, 1)
		c.Connect()
		settle()
		second := connect(4)
		want(second, 5, "five")
		say("six")
		want(second, 6, "six")
		second.WantNothing(time.Minute)
	})
}
