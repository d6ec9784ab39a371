package clustertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/actor/host"
)

// Config says what a Cluster is like. Loss, Dup and Reorder are probabilities for each datagram, from 0 to 1.
type Config struct {
	// Nodes is how many there are. 0: 3.
	Nodes int
	// Seed decides all that is random in the network. A test that fails prints it.
	Seed uint64
	// Loss is how likely a datagram is lost, Dup how likely it comes twice: soon after, or up to 3 s later. What is lost is sent
	// again, at last every 2 s. From a Loss of 0.1 on all heartbeats within DownAfter may be lost now and then, which ends the link.
	Loss, Dup float64
	// Delay is how long a datagram takes at most. It keeps the order between two nodes.
	Delay time.Duration
	// Reorder is how likely a datagram is late, so that later ones overtake it.
	Reorder float64
	// Node is the configuration of node i, without its Engine. It is asked for at each start of the node, so Types that need its
	// System can be made here. nil: the zero Config. Without a Logger nothing is logged.
	Node func(i int, sys *actor.System) cluster.Config
	// System is the configuration of the System of node i, without its Node. nil: the zero Config. Without a Logger nothing is
	// logged.
	System func(i int) actor.Config
	// Start runs at each start of node i, before it is served: the place to add channels. nil: nothing.
	Start func(i int, n *cluster.Node)
}

// Cluster is some nodes in one process. Its methods are for the test's goroutine.
type Cluster struct {
	t     testing.TB
	cfg   Config
	net   *seednet.Network
	nodes []*node
	cuts  map[[2]int]bool // from, to: they last while the nodes are restarted
	ends  sync.WaitGroup  // of nodes that were killed
}

// node is one of them, in its present boot.
type node struct {
	sys    *actor.System
	node   *cluster.Node
	boot   uint64
	cancel context.CancelFunc
	served chan error
	frozen bool
}

// New starts a Cluster whose nodes are named n0, n1 and so on, and returns when all are connected. It ends with the test. In a
// bubble of testing/synctest this takes no time; outside of it the faults take their real time.
func New(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	c := &Cluster{t: t, cfg: cfg, nodes: make([]*node, cfg.Nodes), cuts: make(map[[2]int]bool), net: seednet.New(seednet.Config{
		Seed: cfg.Seed, Loss: cfg.Loss, Dup: cfg.Dup, Reorder: cfg.Reorder, Delay: cfg.Delay,
	})}
	t.Cleanup(func() {
		for i := range c.nodes {
			c.Stop(i)
		}
		c.ends.Wait()
		c.net.Close()
		if t.Failed() {
			t.Logf("clustertest: the seed is %d", cfg.Seed)
		}
	})
	for i := range c.nodes {
		c.start(i)
	}
	c.Connect()
	return c
}

// name is that of node i.
func name(i int) string { return fmt.Sprintf("n%d", i) }

var silent = slog.New(slog.DiscardHandler)

func (c *Cluster) start(i int) {
	c.t.Helper()
	systemConfig, nodeConfig := actor.Config{}, cluster.Config{}
	if c.cfg.System != nil {
		systemConfig = c.cfg.System(i)
	}
	systemConfig.Node = name(i)
	if systemConfig.Logger == nil {
		systemConfig.Logger = silent
	}
	sys, err := actor.NewSystem(systemConfig)
	if err != nil {
		c.t.Fatalf("clustertest: node %d: %v", i, err)
	}
	if c.cfg.Node != nil {
		nodeConfig = c.cfg.Node(i, sys)
	}
	nodeConfig.Engine = engine{c.net}
	if nodeConfig.Logger == nil {
		nodeConfig.Logger = silent
	}
	n, err := cluster.New(sys, nodeConfig)
	if err != nil {
		c.t.Fatalf("clustertest: node %d: %v", i, err)
	}
	if c.cfg.Start != nil {
		c.cfg.Start(i, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, boot := host.Identity(sys)
	made := &node{sys: sys, node: n, boot: boot, cancel: cancel, served: make(chan error, 1)}
	c.nodes[i] = made
	for cut := range c.cuts {
		c.cut(cut[0], cut[1])
	}
	go func() { made.served <- n.Serve(ctx) }()
}

// engine is the network as the cluster.Engine of one node.
type engine struct{ net *seednet.Network }

func (e engine) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	return e.net.Open(name, self, recv)
}

// Node is node i in its present boot.
func (c *Cluster) Node(i int) *cluster.Node { return c.at(i).node }

// System is that of node i in its present boot.
func (c *Cluster) System(i int) *actor.System { return c.at(i).sys }

// at is node i, which must not be stopped or killed.
func (c *Cluster) at(i int) *node {
	c.t.Helper()
	if c.nodes[i] == nil {
		c.t.Fatalf("clustertest: node %d does not run: Restart starts it", i)
	}
	return c.nodes[i]
}

// At is p as node i knows it: what it would have got if p had come to it over the network.
func (c *Cluster) At(i int, p actor.PID) actor.PID {
	c.t.Helper()
	node, boot, num := host.Parts(p)
	return host.PIDOf(c.at(i).sys, node, boot, num)
}

// patience is how long Connect waits.
const patience = 10 * time.Minute

// Connect waits until each two nodes that run and are not frozen are connected, as after Heal. After ten minutes the test
// fails.
func (c *Cluster) Connect() {
	c.t.Helper()
	for start, pause := time.Now(), time.Millisecond; ; time.Sleep(pause) {
		missing := c.missing()
		if missing == "" {
			return
		}
		if time.Since(start) > patience {
			c.t.Fatalf("clustertest: %s after %v (seed %d)", missing, patience, c.cfg.Seed)
		}
		pause = min(time.Since(start)/64+time.Millisecond, 100*time.Millisecond) // a link may wait for long: see package cluster
	}
}

// missing says which two nodes are not connected; "": all are.
func (c *Cluster) missing() string {
	for i, a := range c.nodes {
		for j, b := range c.nodes {
			if i == j || a == nil || b == nil || a.frozen || b.frozen {
				continue
			}
			if !host.PIDOf(a.sys, name(j), b.boot, 1).Alive() {
				return fmt.Sprintf("node %d is not connected to node %d", i, j)
			}
		}
	}
	return ""
}

// Cut cuts the network between nodes i and j, in both directions: what is on its way is lost, and so is what they send until
// [Cluster.Heal], even when one of them is restarted meanwhile.
func (c *Cluster) Cut(i, j int) {
	c.CutOneWay(i, j)
	c.CutOneWay(j, i)
}

// CutOneWay cuts the network from one node to another; what is sent the other way still arrives.
func (c *Cluster) CutOneWay(from, to int) {
	c.cuts[[2]int{from, to}] = true
	c.cut(from, to)
}

// cut cuts the network between the present boots of two nodes, if both run.
func (c *Cluster) cut(from, to int) {
	if a, b := c.nodes[from], c.nodes[to]; a != nil && b != nil {
		c.net.CutOneWay(a.boot, b.boot)
	}
}

// Heal undoes Cut and CutOneWay, in both directions. It does not wait: see [Cluster.Connect].
func (c *Cluster) Heal(i, j int) {
	delete(c.cuts, [2]int{i, j})
	delete(c.cuts, [2]int{j, i})
	if a, b := c.nodes[i], c.nodes[j]; a != nil && b != nil {
		c.net.Heal(a.boot, b.boot)
	}
}

// Quiet has the network lose, repeat and reorder nothing while it is on: for the end of a scenario.
func (c *Cluster) Quiet(on bool) { c.net.Quiet(on) }

// Kill ends node i without a word, as kill -9 does: nothing of it reaches the others any more, and no Terminate runs in it.
func (c *Cluster) Kill(i int) {
	n := c.at(i)
	c.nodes[i] = nil
	c.net.Kill(n.boot)
	for p := range n.sys.Processes() {
		p.PID.Exit(actor.ErrKilled)
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_ = n.sys.Shutdown(now) // says what it has left
	n.cancel()
	c.ends.Go(func() { c.ended(i, n) }) // it waits for acknowledgements that do not come
}

// Stop ends node i in order: its processes get Exit(ErrShutdown), then it says goodbye. It does nothing when the node does
// not run.
func (c *Cluster) Stop(i int) {
	n := c.nodes[i]
	if n == nil {
		return
	}
	c.Thaw(i)
	c.nodes[i] = nil
	if err := n.sys.Shutdown(context.Background()); err != nil {
		c.t.Errorf("clustertest: node %d: %v", i, err)
	}
	n.cancel()
	c.ended(i, n)
}

func (c *Cluster) ended(i int, n *node) {
	if err := <-n.served; err != nil && !errors.Is(err, context.Canceled) {
		c.t.Errorf("clustertest: node %d: %v", i, err)
	}
}

// Restart starts node i anew, in another boot with a System of its own. One that runs is stopped before. It does not wait until
// it is connected: see [Cluster.Connect].
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	c.Stop(i)
	c.start(i)
}

// Freeze has the network hold all that node i sends and gets, as if its process stood still. Thaw lets it pass. The processes
// and the timers of the node go on, unlike those of a process that is stopped.
func (c *Cluster) Freeze(i int) {
	n := c.at(i)
	n.frozen = true
	c.net.Freeze(n.boot)
}

// Thaw undoes Freeze.
func (c *Cluster) Thaw(i int) {
	if n := c.at(i); n.frozen {
		n.frozen = false
		c.net.Thaw(n.boot)
	}
}
