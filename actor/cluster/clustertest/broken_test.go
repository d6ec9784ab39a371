package clustertest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// broken are faults of an engine, which subtest of Engine finds each, what that says, and whether it waits before it does.
var broken = []struct {
	fault, by, finds string
	waits            bool
}{
	{"sends to all what is for one", "one node", "which is not for it", false},
	{"delivers to itself what it sends to all", "all nodes but itself", "which it has published to all itself", false},
	{"delivers twice", "one node", "of 20 datagrams that 0x1 publishes to 0x2 40 arrive", true},
	{"knows nodes by 32 bits", "all 64 bits of a node count", "what 0x1 publishes to 0x100000001 does not arrive", true},
	{"knows no clusters", "clusters are apart", "at a node of another cluster arrived", false},
	{"is slow for a node that is not there", "a node that is not there", "Publish to a node that is not there does not return", true},
	{"loses what is long", "sizes up to MaxDatagram", "arrived 0 of 1 datagrams within", true},
	{"cuts what is long", "sizes up to MaxDatagram", "or others of its length", false},
	{"takes what is too long", "a datagram over MaxDatagram is an error", "returns no error", false},
	{"keeps the datagram", "Publish does not keep the datagram", "after Publish had returned", false},
	{"has one buffer for all", "the bytes are valid during recv", "had changed when recv returned", false},
	{"reorders", "order between two nodes", "have come after later ones", false},
	{"loses one of ten", "several goroutines publish", "are lost", false},
	{"waits for the receiver", "a receiver that stands still blocks nobody", "Publish to a node that stands still does not return", true},
	{"has no bound", "a receiver that stands still blocks nobody", "are kept, want a bound", false},
	{"receives after Close", "no recv after Close", "recv ran after Close had returned", false},
	{"does not wait in Close", "Close waits for recv", "Close has returned while recv runs", false},
	{"never ends Close", "one node", "Close does not return", true},
	{"publishes after Close", "after Close", "after Close returns no error", false},
	{"opens a node once", "a node that is opened again", "has been here", false},
	{"leaves its goroutines", "nodes come and go", "20 nodes have come and gone", true},
}

// TestEngine_findsWhatIsBroken runs the suite in a process of its own for each fault, because it is to fail there.
func TestEngine_findsWhatIsBroken(t *testing.T) {
	for _, b := range broken {
		t.Run(b.fault, func(t *testing.T) {
			t.Parallel()
			run := "^TestBrokenEngine$/^" + strings.ReplaceAll(b.by, " ", "_") + "$"
			var out []byte
			for range 3 { // the patience with those that hang is too short for a machine that stands still
				cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.timeout=5m")
				cmd.Env = append(os.Environ(), "TROUPE_BROKEN="+b.fault)
				var err error
				out, err = cmd.CombinedOutput()
				if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && strings.Contains(string(out), b.finds) {
					return
				}
			}
			t.Errorf("the suite does not fail with %q:\n%s", b.finds, out)
		})
	}
}

// TestBrokenEngine is the suite over a hub, with the fault that the test above names, or with none.
func TestBrokenEngine(t *testing.T) {
	fault, patience := os.Getenv("TROUPE_BROKEN"), time.Minute
	for _, b := range broken {
		if b.fault == fault && b.waits {
			patience = 2 * time.Second // what it waits for does not come
		}
	}
	clustertest.EngineWithin(t, func(testing.TB) func() cluster.Engine {
		h := &hub{fault: fault, nodes: map[hubNode]*hubConn{}, been: map[uint64]bool{}}
		return func() cluster.Engine { return h }
	}, patience)
}

// hub is an engine in memory that can have a fault.
type hub struct {
	fault string

	mu    sync.Mutex
	nodes map[hubNode]*hubConn
	been  map[uint64]bool
	count int
}

type hubNode struct {
	cluster string
	self    uint64
}

type hubConn struct {
	hub   *hub
	node  hubNode
	recv  func([]byte)
	done  sync.WaitGroup
	mu    sync.Mutex
	some  *sync.Cond
	queue [][]byte
	bytes int
	ended bool
	swap  []byte // for "reorders"
}

const (
	hubMax   = 64 << 10
	hubQueue = 16 << 20 // bytes
)

var errHub = errors.New("hub: lost")

func (h *hub) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault == "opens a node once" && h.been[self] {
		return nil, errors.New("hub: this node has been here")
	}
	h.been[self] = true
	switch h.fault {
	case "knows nodes by 32 bits":
		self = uint64(uint32(self))
	case "knows no clusters":
		name = ""
	}
	c := &hubConn{hub: h, node: hubNode{name, self}, recv: recv}
	if old := h.nodes[c.node]; old != nil { // two clusters, or two nodes of the same 32 bits
		first := old.recv
		old.recv = func(b []byte) { first(b); recv(b) }
		return &hubConn{hub: h, node: c.node}, nil
	}
	c.some = sync.NewCond(&c.mu)
	h.nodes[c.node] = c
	c.done.Go(c.run)
	return c, nil
}

func (c *hubConn) run() {
	buffer := make([]byte, hubMax)
	for {
		c.mu.Lock()
		for len(c.queue) == 0 && (!c.ended || c.hub.fault == "leaves its goroutines") {
			c.some.Wait()
		}
		if c.ended {
			c.mu.Unlock()
			return
		}
		d := c.queue[0]
		c.queue = c.queue[1:]
		c.bytes -= len(d)
		recv := c.recv
		c.mu.Unlock()
		if c.hub.fault == "has one buffer for all" {
			d = buffer[:copy(buffer, d)]
			c.done.Go(func() { recv(d) })
			continue
		}
		recv(d)
	}
}

func (c *hubConn) MaxDatagram() int { return hubMax }

func (c *hubConn) Publish(to uint64, datagram []byte) error {
	h, fault := c.hub, c.hub.fault
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	switch {
	case ended && fault != "publishes after Close":
		return errHub
	case len(datagram) > hubMax && fault != "takes what is too long":
		return errHub
	case len(datagram) > 32<<10 && fault == "loses what is long":
		return nil
	case len(datagram) > 32<<10 && fault == "cuts what is long":
		datagram = datagram[:32<<10]
	case fault == "sends to all what is for one":
		to = 0
	case fault == "knows nodes by 32 bits":
		to = uint64(uint32(to))
	}
	if fault != "keeps the datagram" {
		datagram = bytes.Clone(datagram)
	}
	h.mu.Lock()
	h.count++
	lose := h.count%10 == 0 && fault == "loses one of ten"
	var targets []*hubConn
	for node, other := range h.nodes {
		if node.cluster == c.node.cluster && (node.self == to || to == 0) && (other != c || fault == "delivers to itself what it sends to all") {
			targets = append(targets, other)
		}
	}
	h.mu.Unlock()
	if len(targets) == 0 && fault == "is slow for a node that is not there" {
		time.Sleep(10 * time.Millisecond)
	}
	for _, other := range targets {
		if !lose {
			other.take(datagram)
		}
		if fault == "delivers twice" {
			other.take(datagram)
		}
	}
	return nil
}

// take queues a datagram.
func (c *hubConn) take(datagram []byte) {
	for {
		c.mu.Lock()
		full := c.bytes+len(datagram) > hubQueue
		if !full || c.ended || c.hub.fault != "waits for the receiver" {
			break
		}
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	defer c.mu.Unlock()
	if c.bytes+len(datagram) > hubQueue && c.hub.fault != "has no bound" {
		return
	}
	if c.hub.fault == "reorders" && len(datagram) > 100 { // every second one follows the next one
		if c.swap == nil {
			c.swap = datagram
			return
		}
		c.queue = append(c.queue, datagram)
		c.bytes += len(datagram) + len(c.swap)
		datagram, c.swap = c.swap, nil
	} else {
		c.bytes += len(datagram)
	}
	c.queue = append(c.queue, datagram)
	c.some.Signal()
}

func (c *hubConn) Close() error {
	if c.some == nil {
		return nil
	}
	switch c.hub.fault {
	case "never ends Close":
		select {}
	case "receives after Close":
		return nil
	}
	c.hub.mu.Lock()
	delete(c.hub.nodes, c.node)
	c.hub.mu.Unlock()
	c.mu.Lock()
	c.ended = true
	c.some.Signal()
	c.mu.Unlock()
	if f := c.hub.fault; f != "does not wait in Close" && f != "leaves its goroutines" {
		c.done.Wait()
	}
	return nil
}
