package seednet

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Errors of Publish and Open.
var (
	ErrClosed = errors.New("seednet: closed")
	ErrKilled = errors.New("seednet: the node was killed")
)

// Config says what a Network does to datagrams. The zero value delivers all of them at once.
type Config struct {
	Seed               uint64
	Loss, Dup, Reorder float64       // probabilities of each datagram to each receiver; Dup: again soon, or up to 3 s later; Reorder: it comes late, after others
	Delay              time.Duration // each takes up to this; the order between two nodes is kept
	MaxDatagram        int           // bytes; 0: 1 MiB. Publish of more is an error
	Limit              int           // when more bytes wait for one node, all of them are lost, as at a NATS server that cuts a slow client off; 0: 64 MiB
}

// Stats are the numbers of a Network.
type Stats struct {
	Published, Delivered, Lost, Duplicated, Reordered uint64
	Cutoffs                                           int // times that Config.Limit was exceeded
	MaxWaiting                                        int // the most bytes that ever waited for one node
}

// Network connects nodes. All methods may be called from any goroutine.
type Network struct {
	cfg Config

	mu      sync.Mutex
	idle    *sync.Cond // a delivery has ended
	nodes   map[address]*Conn
	edges   map[[2]address]*edge
	cut     map[[2]uint64]bool
	frozen  map[uint64]chan struct{} // closed when the node goes on
	killed  map[uint64]bool
	waiting map[address]int // bytes
	quiet   bool
	closed  bool
	stats   Stats
}

// address is a node within a cluster.
type address struct {
	cluster string
	boot    uint64
}

// New makes a Network without nodes.
func New(cfg Config) *Network {
	cfg.MaxDatagram = cmp.Or(cfg.MaxDatagram, 1<<20)
	cfg.Limit = cmp.Or(cfg.Limit, 64<<20)
	n := &Network{
		cfg: cfg, nodes: make(map[address]*Conn), edges: make(map[[2]address]*edge), cut: make(map[[2]uint64]bool),
		frozen: make(map[uint64]chan struct{}), killed: make(map[uint64]bool), waiting: make(map[address]int),
	}
	n.idle = sync.NewCond(&n.mu)
	return n
}

// Close ends the Network: nothing is delivered after it has returned. It must not be called while a node delivers to the caller.
func (n *Network) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for boot := range n.frozen {
		n.thaw(boot)
	}
	for _, e := range n.edges {
		n.drop(e)
	}
	n.wait(func(*edge) bool { return true })
}

// wait waits for the deliveries of some edges; mu is held.
func (n *Network) wait(of func(*edge) bool) {
	busy := func() bool {
		for _, e := range n.edges {
			if e.delivering && of(e) {
				return true
			}
		}
		return false
	}
	for busy() {
		n.idle.Wait()
	}
}

// Conn is one node's end of the Network.
type Conn struct {
	net    *Network
	self   address
	recv   func([]byte)
	closed bool
}

// Open adds a node. recv gets what is sent to it and to all, one datagram at a time from each node, from several nodes at
// once; the bytes are overwritten after the call.
func (n *Network) Open(cluster string, self uint64, recv func(datagram []byte)) (*Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := address{cluster, self}
	switch {
	case n.closed:
		return nil, ErrClosed
	case n.killed[self]:
		return nil, ErrKilled
	case n.nodes[a] != nil:
		return nil, fmt.Errorf("seednet: node %016x of cluster %q is open", self, cluster)
	}
	c := &Conn{net: n, self: a, recv: recv}
	n.nodes[a] = c
	return c, nil
}

// MaxDatagram is the longest datagram that Publish takes.
func (c *Conn) MaxDatagram() int { return c.net.cfg.MaxDatagram }

// Close removes the node: nothing is delivered to it after Close has returned. It must not be called by recv.
func (c *Conn) Close() error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	n.remove(c)
	n.wait(func(e *edge) bool { return e.to == c.self })
	return nil
}

// remove takes a node out; mu is held.
func (n *Network) remove(c *Conn) {
	c.closed = true
	if n.nodes[c.self] == c {
		delete(n.nodes, c.self)
		for _, e := range n.edges {
			if e.to == c.self {
				n.drop(e)
			}
		}
	}
}

// Publish sends a datagram to one node, or to all for 0. It blocks only while this node is frozen.
func (c *Conn) Publish(to uint64, datagram []byte) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for ch := n.frozen[c.self.boot]; ch != nil; ch = n.frozen[c.self.boot] {
		n.mu.Unlock()
		<-ch
		n.mu.Lock()
	}
	switch {
	case n.killed[c.self.boot]:
		return ErrKilled
	case n.closed || c.closed:
		return ErrClosed
	case len(datagram) > n.cfg.MaxDatagram:
		return fmt.Errorf("seednet: datagram of %d bytes exceeds Config.MaxDatagram %d", len(datagram), n.cfg.MaxDatagram)
	}
	n.stats.Published++
	for a := range n.nodes {
		if a.cluster == c.self.cluster && a != c.self && (to == 0 || a.boot == to) {
			n.send(n.edge(c.self, a), datagram)
		}
	}
	return nil
}

// edge is the way from one node to another. Its packets stand in the order of their arrival.
type edge struct {
	from, to   address
	rnd        *rand.Rand
	packets    []packet
	last       time.Time // the latest arrival of those that keep the order
	timer      *time.Timer
	delivering bool
}

type packet struct {
	at time.Time
	b  []byte
}

func (n *Network) edge(from, to address) *edge {
	k := [2]address{from, to}
	e := n.edges[k]
	if e == nil {
		e = &edge{from: from, to: to, rnd: rand.New(rand.NewPCG(n.cfg.Seed, from.boot*0x9e3779b97f4a7c15+to.boot))}
		n.edges[k] = e
	}
	return e
}

// send decides the fate of a datagram; mu is held. It always draws as many random numbers, so that the next one's fate
// does not depend on this one's.
func (n *Network) send(e *edge, b []byte) {
	lost, dup, late := e.rnd.Float64() < n.cfg.Loss, e.rnd.Float64() < n.cfg.Dup, e.rnd.Float64() < n.cfg.Reorder
	delay, again := e.rnd.Float64(), e.rnd.Float64()
	switch {
	case n.cut[[2]uint64{e.from.boot, e.to.boot}], lost && !n.quiet:
		n.stats.Lost++
		return
	case late && !n.quiet:
		n.stats.Reordered++
		n.put(e, b, time.Now().Add(n.after(delay)+n.after(again)+time.Millisecond))
		return
	}
	at := time.Now().Add(n.after(delay))
	if at.Before(e.last) {
		at = e.last
	}
	e.last = at
	n.put(e, b, at)
	if dup && !n.quiet {
		n.stats.Duplicated++
		n.put(e, b, at.Add(n.again(again)))
	}
}

// lateness is how late a repetition may come: after the end of the session that it belongs to.
const lateness = 3 * time.Second

// again is how much later a repetition comes: soon, or one in four long after.
func (n *Network) again(share float64) time.Duration {
	if share < 0.75 {
		return n.after(share)
	}
	return time.Duration((share - 0.75) * 4 * float64(lateness))
}

func (n *Network) after(share float64) time.Duration {
	return time.Duration(share * float64(n.cfg.Delay))
}

// put has a copy of b arrive; mu is held.
func (n *Network) put(e *edge, b []byte, at time.Time) {
	i, _ := slices.BinarySearchFunc(e.packets, at, func(p packet, t time.Time) int {
		if p.at.After(t) {
			return 1
		}
		return -1 // after those of the same time
	})
	e.packets = slices.Insert(e.packets, i, packet{at, slices.Clone(b)})
	n.waiting[e.to] += len(b)
	n.stats.MaxWaiting = max(n.stats.MaxWaiting, n.waiting[e.to])
	if n.waiting[e.to] > n.cfg.Limit {
		n.stats.Cutoffs++
		for _, other := range n.edges {
			if other.to == e.to {
				n.drop(other)
			}
		}
		return
	}
	n.schedule(e)
}

// drop loses what is on its way; mu is held.
func (n *Network) drop(e *edge) {
	for _, p := range e.packets {
		n.waiting[e.to] -= len(p.b)
		n.stats.Lost++
	}
	e.packets = nil
	e.stop()
}

// stop has no timer deliver what waits; the mu of the Network is held.
func (e *edge) stop() {
	if e.timer != nil {
		e.timer.Stop()
	}
}

// schedule has the next packet delivered in its time; mu is held.
func (n *Network) schedule(e *edge) {
	if e.delivering || len(e.packets) == 0 || n.frozen[e.to.boot] != nil {
		return
	}
	switch d := time.Until(e.packets[0].at); {
	case d <= 0:
		// Not by a timer: in a bubble one that is due at once is run by whoever sets it, and in that Go 1.26 has crashed with the
		// race detector.
		e.stop()
		go n.deliver(e)
	case e.timer == nil:
		e.timer = time.AfterFunc(d, func() { n.deliver(e) })
	default:
		e.timer.Reset(d)
	}
}

// deliver gives the receiver what has arrived.
func (n *Network) deliver(e *edge) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.delivering {
		return
	}
	e.delivering = true
	for len(e.packets) > 0 && n.frozen[e.to.boot] == nil && !e.packets[0].at.After(time.Now()) {
		p := e.packets[0]
		e.packets = slices.Delete(e.packets, 0, 1)
		n.waiting[e.to] -= len(p.b)
		c := n.nodes[e.to]
		if c == nil {
			n.stats.Lost++
			continue
		}
		n.stats.Delivered++
		n.mu.Unlock()
		c.recv(p.b)
		for i := range p.b {
			p.b[i] = 0xa5
		}
		n.mu.Lock()
	}
	e.delivering = false
	n.schedule(e)
	n.idle.Broadcast()
}
