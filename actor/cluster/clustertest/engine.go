package clustertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster"
)

// Engine checks, in some twenty subtests, that an engine does what [cluster.Engine] and [cluster.Conn] ask of it. start makes
// one medium, such as a server, and ends it by t.Cleanup; open then makes an engine on that medium, for one more node.
// Every subtest has a medium of its own.
//
// What the nodes publish to each other while nothing is wrong must arrive, all but a few in a hundred, and in order; so
// give it an engine without faults. It runs in real time, some seconds, and sends some hundred megabytes to a node that does
// not take them.
func Engine(t *testing.T, start func(t testing.TB) (open func() cluster.Engine)) {
	engineSuite(t, start, time.Minute)
}

// engineSuite is Engine with another patience: how long it waits for what must happen before it says that it does not.
func engineSuite(t *testing.T, start func(t testing.TB) (open func() cluster.Engine), patience time.Duration) {
	for _, test := range []struct {
		name string
		run  func(*medium)
	}{
		{"one node", (*medium).oneNode},
		{"all nodes but itself", (*medium).allButItself},
		{"all 64 bits of a node count", (*medium).allBits},
		{"clusters are apart", (*medium).apart},
		{"a node that is not there", (*medium).notThere},
		{"sizes up to MaxDatagram", (*medium).sizes},
		{"a datagram over MaxDatagram is an error", (*medium).tooLong},
		{"Publish does not keep the datagram", (*medium).notKept},
		{"the bytes are valid during recv", (*medium).validDuringRecv},
		{"order between two nodes", (*medium).order},
		{"several goroutines publish", (*medium).concurrent},
		{"a receiver that stands still blocks nobody", (*medium).standsStill},
		{"no recv after Close", (*medium).noRecvAfterClose},
		{"Close waits for recv", (*medium).closeWaits},
		{"after Close", (*medium).afterClose},
		{"a node that is opened again", (*medium).openedAgain},
		{"nodes come and go", (*medium).comeAndGo},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(&medium{T: t, open: start(t), patience: patience})
		})
	}
}

// medium is what one subtest works with.
type medium struct {
	*testing.T
	open     func() cluster.Engine
	patience time.Duration
	marks    atomic.Int64 // of settle
}

// place is one node on the medium, with what it has received since it was connected.
type place struct {
	m    *medium
	conn cluster.Conn
	self uint64

	closed atomic.Bool // Close has returned
	late   atomic.Bool // recv ran after that

	mu      sync.Mutex
	met     map[uint64]bool // nodes whose greetings have come
	got     []string
	changed chan struct{} // closed at the next change
	recv    func([]byte)  // instead of got; nil: none
}

// greeting begins the datagrams that connect publishes; the node that does it follows.
const greeting = "\x00greeting"

// join opens a node, which leaves at the end of the test.
func (m *medium) join(name string, self uint64) *place {
	m.Helper()
	p := &place{m: m, self: self, met: map[uint64]bool{}, changed: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), m.patience)
	defer cancel()
	conn, err := m.open().Open(ctx, name, self, p.receive)
	if err != nil {
		m.Fatalf("Open(%q, %#x): %v", name, self, err)
	}
	p.conn = conn
	m.Cleanup(func() {
		if !p.closed.Load() {
			p.close()
		}
	})
	return p
}

func (p *place) receive(datagram []byte) {
	if p.closed.Load() {
		p.late.Store(true)
	}
	if from, ok := bytes.CutPrefix(datagram, []byte(greeting)); ok {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(from) == 8 {
			p.met[binary.LittleEndian.Uint64(from)] = true
			p.change()
		}
		return
	}
	p.mu.Lock()
	recv := p.recv
	if recv == nil {
		p.got = append(p.got, string(datagram))
		p.change()
	}
	p.mu.Unlock()
	if recv != nil {
		recv(datagram)
	}
}

// change wakes who waits; mu is held.
func (p *place) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// instead has recv called with each datagram, which is not kept.
func (p *place) instead(recv func([]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recv = recv
}

func (p *place) close() {
	p.m.Helper()
	p.m.within("Close", func() {
		if err := p.conn.Close(); err != nil {
			p.m.Errorf("Close: %v", err)
		}
		p.closed.Store(true)
	})
}

// publish publishes what must not fail.
func (p *place) publish(to uint64, datagram string) {
	p.m.Helper()
	if err := p.conn.Publish(to, []byte(datagram)); err != nil {
		p.m.Errorf("Publish of %d bytes to %#x: %v", len(datagram), to, err)
	}
}

// within fails the test when f does not return.
func (m *medium) within(what string, f func()) {
	m.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(m.patience):
		m.Fatalf("%s does not return within %v", what, m.patience)
	}
}

// until waits until what holds of p; each is called every 20 ms meanwhile. It is false when that does not come.
func (p *place) until(holds func() bool, each func()) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(p.m.patience); ; {
		p.mu.Lock()
		ok, changed := holds(), p.changed
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-tick.C:
			if each != nil {
				each()
			}
		case <-end:
			return false
		}
	}
}

// connect waits until each node reaches each other one, once: an engine may need a moment for that, and lose or repeat what is
// published before.
func (m *medium) connect(ps ...*place) {
	m.Helper()
	for _, from := range ps {
		hello := binary.LittleEndian.AppendUint64([]byte(greeting), from.self)
		for _, to := range ps {
			if from == to {
				continue
			}
			var err error
			say := func() { err = from.conn.Publish(to.self, hello) }
			say()
			if !to.until(func() bool { return to.met[from.self] }, say) {
				m.Fatalf("what %#x publishes to %#x does not arrive within %v; the last error: %v", from.self, to.self, m.patience, err)
			}
		}
	}
	for _, from := range ps {
		for _, to := range ps {
			if from != to {
				m.calm(from, to)
			}
		}
	}
}

// calm waits until what one node publishes to another arrives no more than once.
func (m *medium) calm(from, to *place) {
	m.Helper()
	const n = 20
	for end := time.Now().Add(m.patience); ; time.Sleep(10 * time.Millisecond) {
		for range n {
			from.publish(to.self, "calm")
		}
		got := len(from.settle(to))
		if got <= n {
			return
		}
		if time.Now().After(end) {
			m.Fatalf("of %d datagrams that %#x publishes to %#x %d arrive, and so for %v", n, from.self, to.self, got, m.patience)
		}
	}
}

// arrives waits for n datagrams at p, and takes them.
func (p *place) arrives(n int) []string {
	p.m.Helper()
	if !p.until(func() bool { return len(p.got) >= n }, nil) {
		p.m.Errorf("at %#x arrived %d of %d datagrams within %v: %.200q", p.self, len(p.take()), n, p.m.patience, p.got)
	}
	return p.take()
}

// take returns what has arrived, and forgets it.
func (p *place) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// last begins the datagrams that settle publishes.
const last = "\x00last"

// settle publishes a last datagram from one node to others and waits for it, so that what went before has arrived, or is lost.
// What has come to the first of them is returned; to the others nothing may have come.
func (p *place) settle(others ...*place) []string {
	p.m.Helper()
	var first []string
	for i, o := range others {
		mark := fmt.Sprint(last, p.m.marks.Add(1))
		say := func() { _ = p.conn.Publish(o.self, []byte(mark)) }
		say()
		if !o.until(func() bool { return slices.Contains(o.got, mark) }, say) {
			p.m.Fatalf("a datagram from %#x does not arrive at %#x within %v", p.self, o.self, p.m.patience)
		}
		got := slices.DeleteFunc(o.take(), func(d string) bool { return strings.HasPrefix(d, last) })
		if i == 0 {
			first = got
		} else if len(got) > 0 {
			p.m.Errorf("at %#x arrived %.200q, which is not for it", o.self, got)
		}
	}
	return first
}
