package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// Watch: the nodes that are up, then what comes and goes, in order; a node that is going when Watch is called is not told of.
func TestNode_Watch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		in := newInbox(t, c.System(0))
		c.Node(0).Watch(in.pid)
		c.Node(0).Watch(in.pid)                       // twice is once
		c.Node(0).Watch(newInbox(t, c.System(1)).pid) // of another System: nothing
		c.Node(0).Watch(actor.PID{})
		dead := newInbox(t, c.System(0))
		dead.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		c.Node(0).Watch(dead.pid)
		synctest.Wait()
		news := func() (text []string) {
			for _, m := range in.all() {
				switch m := m.(type) {
				case cluster.NodeUp:
					text = append(text, "up "+m.Node)
				case cluster.NodeDown:
					text = append(text, fmt.Sprint("down ", m.Node, " ", m.Reason == actor.ErrShutdown))
				default:
					text = append(text, fmt.Sprint(m))
				}
			}
			return text
		}
		got := news()
		slices.Sort(got)
		if !slices.Equal(got, []string{"up n1", "up n2"}) {
			t.Fatalf("at first %q, want up n1, up n2", got)
		}
		in.forget()
		c.Restart(1)
		c.Connect()
		c.Kill(2)
		wait(10 * time.Second)
		if got, want := news(), []string{"down n1 true", "up n1", "down n2 false"}; !slices.Equal(got, want) {
			t.Errorf("then %q, want %q", got, want)
		}
	})
}

// Whoever begins to watch while a node goes is not told of the end of what it was not told the beginning of; and whoever was
// is told before the node can be up anew.
func TestNode_Watch_whileANodeGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var during *inbox
		r := &replica{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Start: func(i int, n *cluster.Node) {
			ch := cluster.Channel(&replica{})
			if i == 0 {
				ch = downHook{r, func() { n.Watch(during.pid) }} // the session is over, and its NodeDown not told yet
			}
			if _, err := n.Channel("test", ch); err != nil {
				t.Fatal(err)
			}
		}})
		during = newInbox(t, c.System(0))
		before := newInbox(t, c.System(0))
		c.Node(0).Watch(before.pid)
		wait(time.Second)
		c.Cut(0, 1)
		wait(10 * time.Second)
		c.Heal(0, 1)
		c.Connect()
		wait(time.Second)
		var got []string
		for _, m := range during.all() {
			got = append(got, fmt.Sprintf("%T", m))
		}
		if want := []string{"cluster.NodeUp", "cluster.NodeDown", "cluster.NodeUp"}; !slices.Equal(got, want) && !slices.Equal(got, want[2:]) {
			t.Errorf("who began while the node went was told %q, want each NodeDown after its NodeUp", got)
		}
		got = nil
		for _, m := range before.all() {
			got = append(got, fmt.Sprintf("%T", m))
		}
		if want := []string{"cluster.NodeUp", "cluster.NodeDown", "cluster.NodeUp"}; !slices.Equal(got, want) {
			t.Errorf("who watched before was told %q, want %q", got, want)
		}
	})
}

// downHook calls f in Down.
type downHook struct {
	*replica
	f func()
}

func (h downHook) Down(p *cluster.Peer) { h.f(); h.replica.Down(p) }

// A process that does not handle its news ends.
func TestNode_Watch_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a, b := newNode(t, "a", cluster.Config{Engine: onNet{net: net}}), newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
		serve(t, a)
		release := make(chan struct{})
		slow := spawn(t, a.System(), &behaviour{receive: func(context.Context, any) error { <-release; return nil }}, actor.SpawnOptions{})
		a.Watch(slow)
		var reason error
		slow.OnExit(func(r error) { reason = r })
		sessions := 0
		for slow.Alive() && sessions < 2100 { // an up and a down each
			stop := serve(t, b)
			wait(time.Second)
			stop()
			synctest.Wait()
			sessions++
		}
		if sessions != 2048 && sessions != 2049 { // one message is being handled
			t.Errorf("the process has ended after %d sessions, want 2,049", sessions)
		}
		close(release)
		synctest.Wait()
		if !errors.Is(reason, actor.ErrOverload) {
			t.Errorf("then the process has ended with %v, want ErrOverload", reason)
		}
	})
}
