package clustertest_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/troupe-dev/troupe/actor/cluster"
)

// tcpNet is an engine without anything in between: each node listens on loopback, and connects to those that it sends to.
// It exists for tests: what holds over it and over NATS is not owed to NATS, and what fails over both is a fault of the link.
// One tcpNet is the engine of all nodes of a test; the addresses are known by this map.
type tcpNet struct {
	mu    sync.Mutex
	nodes map[tcpNode]string // addresses
}

type tcpNode struct {
	cluster string
	self    uint64
}

const (
	tcpMax   = 64 << 10 // bytes of a datagram
	tcpQueue = 512      // datagrams that wait for one node
)

var errTCPFull, errTCPClosed = errors.New("tcp: the node takes nothing"), errors.New("tcp: closed")

type tcpConn struct {
	net    *tcpNet
	node   tcpNode
	recv   func([]byte)
	listen net.Listener
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	peers map[string]chan []byte // by address
}

func (n *tcpNet) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &tcpConn{net: n, node: tcpNode{name, self}, recv: recv, listen: l, peers: map[string]chan []byte{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	n.mu.Lock()
	n.nodes[c.node] = l.Addr().String()
	n.mu.Unlock()
	c.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.read(in) })
		}
	})
	return c, nil
}

// read receives what one node sends, until Close or until it goes.
func (c *tcpConn) read(in net.Conn) {
	defer context.AfterFunc(c.ctx, func() { in.Close() })()
	defer in.Close()
	b, buffered := make([]byte, tcpMax), bufio.NewReaderSize(in, 64<<10)
	for {
		var length [4]byte
		if _, err := io.ReadFull(buffered, length[:]); err != nil {
			return
		}
		n := binary.LittleEndian.Uint32(length[:])
		if n > tcpMax {
			return
		}
		if _, err := io.ReadFull(buffered, b[:n]); err != nil || c.ctx.Err() != nil {
			return
		}
		c.recv(b[:n])
	}
}

func (c *tcpConn) Publish(to uint64, datagram []byte) error {
	if c.ctx.Err() != nil {
		return errTCPClosed
	}
	if len(datagram) > tcpMax {
		return fmt.Errorf("tcp: a datagram of %d bytes exceeds %d", len(datagram), tcpMax)
	}
	var addrs []string
	c.net.mu.Lock()
	for node, addr := range c.net.nodes {
		if node.cluster == c.node.cluster && (node.self == to || to == 0) && node != c.node {
			addrs = append(addrs, addr)
		}
	}
	c.net.mu.Unlock()
	framed := append(binary.LittleEndian.AppendUint32(nil, uint32(len(datagram))), datagram...)
	var full error
	for _, addr := range addrs {
		select {
		case c.peer(addr) <- framed:
		default:
			full = errTCPFull
		}
	}
	return full
}

// peer is the queue for an address, whose goroutine writes.
func (c *tcpConn) peer(addr string) chan<- []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	queue := c.peers[addr]
	if queue == nil && c.ctx.Err() == nil {
		queue = make(chan []byte, tcpQueue)
		c.peers[addr] = queue
		c.wg.Go(func() { c.write(addr, queue) })
	}
	return queue // nil after Close: nothing can be sent to it
}

// write sends what waits for an address, until Close or until the node there goes. Then what waits is lost.
func (c *tcpConn) write(addr string, queue <-chan []byte) {
	defer func() {
		c.mu.Lock()
		delete(c.peers, addr)
		c.mu.Unlock()
	}()
	out, err := (&net.Dialer{}).DialContext(c.ctx, "tcp", addr)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	c.wg.Go(func() { // ends when the other node goes: it never says anything here
		_, _ = io.Copy(io.Discard, out)
		cancel()
	})
	defer context.AfterFunc(ctx, func() { out.Close() })()
	defer out.Close()
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case framed := <-queue:
			if _, err := out.Write(framed); err != nil {
				return
			}
		}
	}
}

func (c *tcpConn) MaxDatagram() int { return tcpMax }

func (c *tcpConn) Close() error {
	c.net.mu.Lock()
	if c.net.nodes[c.node] == c.listen.Addr().String() {
		delete(c.net.nodes, c.node)
	}
	c.net.mu.Unlock()
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	err := c.listen.Close()
	c.wg.Wait()
	return err
}
