package cluster_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// teller is a Channel that tells a process of the other node, as soon as that can be reached, and says what it was told.
type teller struct {
	journal[string]
	up func(p *cluster.Peer)
}

func (c *teller) Up(p *cluster.Peer) iter.Seq[[]byte] {
	c.up(p)
	return func(yield func([]byte) bool) { yield([]byte("snapshot")) }
}
func (c *teller) Receive(_ *cluster.Peer, rec []byte) { c.add(string(rec)) }
func (c *teller) Down(*cluster.Peer)                  {}

// No process reaches another node before the channels have told that node what they have to tell.
func TestChannel_aheadOfProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *clustertest.Cluster
		var order journal[string]
		var in actor.PID // a process of node 1
		early := false
		tellers := make([]*teller, 2)
		c = clustertest.New(t, clustertest.Config{
			Nodes: 2, Seed: 3, Delay: 20 * time.Millisecond,
			Start: func(i int, n *cluster.Node) {
				tellers[i] = &teller{}
				tellers[i].up = func(*cluster.Peer) {
					if i == 0 && in != (actor.PID{}) {
						early = early || c.At(0, in).Alive() || c.At(0, in).Send("early")
					}
				}
				if _, err := n.Channel("test", tellers[i]); err != nil {
					t.Fatal(err)
				}
			},
		})
		in = spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
			order.add(fmt.Sprint(msg, " after ", len(tellers[1].all())))
			return nil
		}}, actor.SpawnOptions{})
		c.Cut(0, 1)
		time.Sleep(10 * time.Second)
		before := len(tellers[1].all())
		go func() { // sends in the first moment that it can
			for !c.At(0, in).Send("message") {
				time.Sleep(100 * time.Microsecond)
			}
		}()
		c.Heal(0, 1)
		c.Connect()
		time.Sleep(time.Second)
		if want := []string{fmt.Sprint("message after ", before+1)}; early || !slices.Equal(order.all(), want) {
			t.Errorf("reached within Up: %t; %q, want %q: the snapshot goes first", early, order.all(), want)
		}
	})
}
