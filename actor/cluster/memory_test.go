package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/actor/cluster"
)

// memory is an Engine for nodes in one process: what is published waits, bounded, for a goroutine of its receiver.
type memory struct {
	mu    sync.Mutex
	nodes map[string]map[uint64]*place // by cluster and node
}

// place is a node's Conn.
type place struct {
	engine  *memory
	cluster string
	self    uint64
	in      chan []byte
	ended   chan struct{}
}

func (e *memory) Open(_ context.Context, name string, self uint64, recv func([]byte)) (cluster.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nodes == nil {
		e.nodes = make(map[string]map[uint64]*place)
	}
	if e.nodes[name] == nil {
		e.nodes[name] = make(map[uint64]*place)
	}
	if e.nodes[name][self] != nil {
		return nil, fmt.Errorf("memory: %x is there already", self)
	}
	p := &place{e, name, self, make(chan []byte, 4096), make(chan struct{})}
	e.nodes[name][self] = p
	go func() {
		defer close(p.ended)
		for b := range p.in {
			recv(b)
		}
	}()
	return p, nil
}

func (p *place) Publish(to uint64, datagram []byte) error {
	p.engine.mu.Lock()
	defer p.engine.mu.Unlock()
	for node, other := range p.engine.nodes[p.cluster] {
		if node == p.self || to != 0 && to != node {
			continue
		}
		select {
		case other.in <- slices.Clone(datagram):
		default: // it does not keep up: the datagram is lost
		}
	}
	return nil
}

func (p *place) MaxDatagram() int { return 1 << 20 }

func (p *place) Close() error {
	p.engine.mu.Lock()
	delete(p.engine.nodes[p.cluster], p.self)
	close(p.in)
	p.engine.mu.Unlock()
	<-p.ended
	return nil
}
