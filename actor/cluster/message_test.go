package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/websock"
)

// A message longer than MaxMessage is refused and told of; one as long as that crosses, over many datagrams.
func TestSend_maxMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3 << 20
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Loss: 0.05, Delay: time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{MaxMessage: most, OnEvent: ev.add}
		}})
		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		if !away.Send("before") || !away.Send(make([]byte, most-1)) {
			t.Error("Send of a message of MaxMessage = false, want true")
		}
		if away.Send(make([]byte, most)) || away.Send(websock.Binary(make([]byte, most))) || away.Send(strings.Repeat("x", most)) {
			t.Error("Send of a message longer than MaxMessage = true, want false")
		}
		away.Send("after")
		wait(time.Minute)
		got := in.all()
		if len(got) != 3 || got[0] != "before" || len(got[1].([]byte)) != most-1 || got[2] != "after" {
			t.Errorf("%d messages arrived, want 3", len(got))
		}
		if got := ev.kinds(); fmt.Sprint(got) != "[node up n1 node up n0 refused []uint8 refused websock.Message refused string]" &&
			fmt.Sprint(got) != "[node up n0 node up n1 refused []uint8 refused websock.Message refused string]" {
			t.Errorf("events %q", got)
		}
	})
}

// Two nodes with a different MaxMessage: what was taken arrives, what does not arrive was refused and told of at the sender.
func TestSend_differentMaxMessage(t *testing.T) {
	sizes := []int{1, 10 << 10, 16<<10 - 1, 16 << 10, 20 << 10, 60 << 10, 69 << 10, 72 << 10, 74 << 10, 100 << 10, 1<<20 - 1, 1 << 20}
	for _, tt := range []struct{ from, to, arrive int }{
		{1 << 20, 16 << 10, 72<<10 + 512}, // a record has room for 73,792 bytes, whatever MaxMessage is
		{16 << 10, 1 << 20, 16<<10 - 1},
		{1 << 20, 99 << 10, 100 << 10},
	} {
		t.Run(fmt.Sprintf("%d to %d", tt.from, tt.to), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ev := &events{}
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
					if i == 0 {
						return cluster.Config{MaxMessage: tt.from, OnEvent: ev.add}
					}
					return cluster.Config{MaxMessage: tt.to}
				}})
				got := make(chan int, 1)
				away := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
					switch m := msg.(type) {
					case string:
						got <- len(m)
					case []byte:
						actor.Reply(ctx, len(m))
					}
					return nil
				}}, actor.SpawnOptions{}))
				ev.forget()
				for _, size := range sizes {
					sent := away.Send(strings.Repeat("x", size))
					answer, err := ask(away, make([]byte, size))
					wait(time.Second)
					arrived := 0
					select {
					case arrived = <-got:
					default:
					}
					told := fmt.Sprint(ev.kinds())
					ev.forget()
					if size > tt.arrive {
						if sent || arrived != 0 || err == nil || told != "[refused string refused []uint8]" {
							t.Errorf("%d bytes: Send = %t, %d arrived, Call = %v, %v, told %s; want it refused", size, sent, arrived, answer, err, told)
						}
					} else if !sent || arrived != size || err != nil || answer != size || told != "[]" {
						t.Errorf("%d bytes: Send = %t, %d arrived, Call = %v, %v, told %s; want it taken and delivered", size, sent, arrived, answer, err, told)
					}
				}
				for p := range c.Node(1).Peers() {
					if p.Undecodable != 0 {
						t.Errorf("%d messages were lost after they had been taken", p.Undecodable)
					}
				}
			})
		})
	}
}
