package cluster_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/websock"
)

// A flood to a node that stands still is refused, not queued, and costs the others no more than their share of its window. They
// are not slowed among each other, an Exit gets through, and when the node goes on nothing is lost that was not refused.
func TestSlowNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window, size, flood = 8 << 20, 1000, 400_000
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{
			Nodes: 3, Seed: 1, Delay: 2 * time.Millisecond,
			Node: func(int, *actor.System) cluster.Config { return cluster.Config{Window: window, OnEvent: ev.add} },
		})
		got := 0
		slow := spawn(t, c.System(2), &behaviour{receive: counting(&got)}, actor.SpawnOptions{MailboxLimit: -1})
		kicked := newInbox(t, c.System(2))
		echo := spawn(t, c.System(1), &behaviour{receive: echoing}, actor.SpawnOptions{})
		watcher := newInbox(t, c.System(0))
		away := c.At(0, kicked.pid)
		actor.Monitor(watcher.ctx, away)
		wait(time.Second)
		ev.forget()

		c.Freeze(2)
		before, taken := heap(), 0
		for _, from := range []int{0, 1} {
			to, msg := c.At(from, slow), make([]byte, size)
			for range flood {
				if to.Send(msg) {
					taken++
				}
			}
		}
		synctest.Wait()
		// At the two senders their shares, and as much again on the network.
		if grown := int64(heap()) - int64(before); grown > 3*window {
			t.Errorf("a flood of %d MB to a node that stands still costs %d MB, want at most %d", 2*flood*size>>20, grown>>20, 3*window>>20)
		}
		if most := window / size; taken > most || taken < most*8/10 {
			t.Errorf("%d of %d messages were taken, want the window: about %d", taken, 2*flood, most)
		}
		for _, i := range []int{0, 1} {
			for p := range c.Node(i).Peers() {
				if p.Node == "n2" && (p.InUse > p.Window || p.Window != window/2 || p.Refused == 0) {
					t.Errorf("node %d: %+v, want at most the window in use", i, p)
				}
			}
		}
		for range 100 {
			start := time.Now()
			if _, err := ask(c.At(0, echo), 1); err != nil || time.Since(start) > 5*time.Millisecond {
				t.Fatalf("a Call between the other nodes = %v after %v, want a reply within 5 ms", err, time.Since(start))
			}
		}
		for c.At(0, slow).Send(nil) { // fills what of the window is left: less than the Exit needs
			taken++
		}
		if away.Send(nil) {
			t.Error("Send = true, want false")
		}
		kick := &websock.CloseError{Code: 4001, Reason: "kicked"}
		if !away.Exit(kick) {
			t.Error("Exit = false while Sends are refused, want true")
		}
		if k := ev.kinds(); !slices.Equal(k, []string{"slow n2", "slow n2"}) {
			t.Errorf("events %q, want slow n2 of both", k)
		}
		wait(2 * time.Second)
		c.Thaw(2)
		wait(time.Second)
		if got != taken {
			t.Errorf("%d messages arrived, %d were taken", got, taken)
		}
		downs := watcher.all()
		var closed *websock.CloseError
		if len(downs) != 1 || !errors.As(downs[0].(actor.Down).Reason, &closed) || closed.Code != 4001 || len(kicked.all()) > 0 {
			t.Errorf("the Exit led to %v", downs)
		}
		if k := ev.kinds(); len(k) != 2 {
			t.Errorf("events %q: a session has ended", k)
		}
		if !c.At(0, slow).Send(make([]byte, size)) {
			t.Error("Send after that = false, want true")
		}
	})
}

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Eight nodes flood one that stands still for less than DownAfter: what is on its way to it stays below what a NATS server keeps
// for a client, so it is not cut off, and nothing is lost.
func TestFlood_ofEightNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes, size = 9, 1000
		net := network(t, seednet.Config{Seed: 1, Delay: time.Millisecond, Limit: 64 << 20})
		var all []*cluster.Node
		ev := &events{}
		for i := range nodes {
			n := newNode(t, fmt.Sprint("n", i), cluster.Config{Engine: onNet{net: net}, OnEvent: ev.add})
			serve(t, n)
			all = append(all, n)
		}
		wait(10 * time.Second)
		if k := ev.kinds(); len(k) != nodes*(nodes-1) {
			t.Fatalf("%d nodes up, want %d", len(k), nodes*(nodes-1))
		}
		ev.forget()
		victim := all[0]
		got := make([]uint32, nodes) // of each node: how many have come, in order
		in := spawn(t, victim.System(), &behaviour{receive: func(_ context.Context, msg any) error {
			b := msg.([]byte)
			if from, n := b[0], binary.LittleEndian.Uint32(b[1:]); n != got[from]+1 {
				t.Errorf("of node %d came %d after %d", from, n, got[from])
			}
			got[b[0]]++
			return nil
		}}, actor.SpawnOptions{MailboxLimit: -1})

		net.Freeze(boot(victim.System()))
		taken, refused := make([]uint32, nodes), 0
		for range 400 { // each 10 ms, for 4 s
			for i := 1; i < nodes; i++ {
				to, err := all[i].System().ParsePID(in.String())
				if err != nil {
					t.Fatal(err)
				}
				for range 50 {
					b := make([]byte, size)
					b[0] = byte(i)
					binary.LittleEndian.PutUint32(b[1:], taken[i]+1)
					if to.Send(b) {
						taken[i]++
					} else {
						refused++
					}
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		net.Thaw(boot(victim.System()))
		wait(5 * time.Second)
		s := net.Stats()
		if s.Cutoffs > 0 || s.MaxWaiting > 40<<20 {
			t.Errorf("up to %d MB have waited for the node, and it was cut off %d times; want at most 40 MB, and never", s.MaxWaiting>>20, s.Cutoffs)
		}
		if !slices.Equal(got, taken) {
			t.Errorf("of each node came %d, and were taken %d", got, taken)
		}
		if refused == 0 || s.MaxWaiting < 20<<20 {
			t.Errorf("%d were refused and %d MB have waited: that was no flood", refused, s.MaxWaiting>>20)
		}
		for _, k := range ev.kinds() {
			if k != "slow n0" {
				t.Errorf("event %q, want slow n0 only", k)
			}
		}
	})
}

func echoing(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil }

// counting counts messages.
func counting(n *int) func(context.Context, any) error {
	return func(context.Context, any) error { *n++; return nil }
}
