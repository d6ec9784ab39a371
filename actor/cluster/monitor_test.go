package cluster_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// No Monitor is forgotten, at whatever moment of it the network is cut, both ways or one way: it has one Down, for what has ended
// or for the node.
func TestMonitor_cutAtEveryMoment(t *testing.T) {
	step := 1
	if raceEnabled {
		step = 8
	}
	for _, cut := range []struct {
		name string
		cut  func(c *clustertest.Cluster)
	}{
		{"both ways", func(c *clustertest.Cluster) { c.Cut(0, 1) }},
		{"there", func(c *clustertest.Cluster) { c.CutOneWay(0, 1) }},
		{"back", func(c *clustertest.Cluster) { c.CutOneWay(1, 0) }},
		{"killed", func(c *clustertest.Cluster) { c.Kill(1) }},
	} {
		for _, ends := range []bool{false, true} {
			for at := 0; at < 40; at += step { // ms: the Monitor takes 10 there, the Down 10 back, their acknowledgements as much
				t.Run(fmt.Sprintf("%s, the process ends = %t, after %d ms", cut.name, ends, at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: uint64(at), Delay: 10 * time.Millisecond})
						wait(time.Second)
						in, p := newInbox(t, c.System(0)), newInbox(t, c.System(1))
						ref := actor.Monitor(in.ctx, c.At(0, p.pid))
						if ends {
							p.pid.Exit(actor.ErrOverload)
						}
						wait(time.Duration(at) * time.Millisecond)
						cut.cut(c)
						wait(10 * time.Second)
						got := in.all()
						if len(got) != 1 {
							t.Fatalf("received %v, want one Down", got)
						}
						d := got[0].(actor.Down)
						ok := errors.Is(d.Reason, actor.ErrNodeDown) || ends && (errors.Is(d.Reason, actor.ErrOverload) || errors.Is(d.Reason, actor.ErrNoProcess))
						if d.Ref != ref || !ok {
							t.Errorf("received %v", d)
						}
					})
				})
			}
		}
	}
}
