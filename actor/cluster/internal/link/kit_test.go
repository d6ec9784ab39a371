package link_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// node is a Mesh on a seeded network. It keeps what its callbacks are told and checks their order.
type node struct {
	t    testing.TB
	boot uint64
	mesh *link.Mesh
	conn *seednet.Conn
	stop func() // ends Run without a goodbye, and waits

	onUp     func(p *link.Peer)
	onRecord func(p *link.Peer, rec []byte)

	mu       sync.Mutex
	sessions []*session
	events   []link.Event
}

// session is what a node was told of one session.
type session struct {
	peer    *link.Peer
	upAt    time.Time
	records []string // by keep
	ended   bool
	downAt  time.Time
	reason  error
	inside  bool // a callback runs
}

// network makes a seeded network that lasts for the test.
func network(t testing.TB, cfg seednet.Config) *seednet.Network {
	t.Helper()
	n := seednet.New(cfg)
	t.Cleanup(n.Close)
	return n
}

// start makes a node and runs it. Its name is "a" for boot 1, and so on, unless change says something else.
func start(t testing.TB, net *seednet.Network, boot uint64, change func(*link.Options)) *node {
	t.Helper()
	n := prepare(t, net, boot, change)
	n.run()
	return n
}

// prepare makes a node that does not run.
func prepare(t testing.TB, net *seednet.Network, boot uint64, change func(*link.Options)) *node {
	t.Helper()
	n := &node{t: t, boot: boot, stop: func() {}}
	o := link.Options{
		Name: string(rune('a' + (boot-1)%26)), Boot: boot,
		Publish: func(to uint64, b []byte) error { return n.conn.Publish(to, b) },
		Up:      n.up, Record: n.record, Down: n.down, Event: n.event,
	}
	if change != nil {
		change(&o)
	}
	var err error
	if n.mesh, err = link.New(o); err != nil {
		t.Fatalf("New(%+v): %v", o, err)
	}
	if net != nil {
		if n.conn, err = net.Open("test", boot, n.mesh.Receive); err != nil {
			t.Fatalf("Open(%d): %v", boot, err)
		}
	}
	return n
}

func (n *node) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.mesh.Run(ctx); err != nil {
			n.t.Errorf("Run of node %d: %v", n.boot, err)
		}
	}()
	n.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, s := range n.sessions {
			if !s.ended {
				n.t.Errorf("node %d: Run has returned without a Down of session %d", n.boot, s.peer.Session())
			}
		}
	})
	n.t.Cleanup(n.stop)
}

// enter notes a callback; it returns the session.
func (n *node) enter(p *link.Peer, what string) *session {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := p.State.(*session)
	switch {
	case !ok:
		n.t.Errorf("node %d: %s without Up", n.boot, what)
		return &session{peer: p}
	case s.inside:
		n.t.Errorf("node %d: %s during another callback", n.boot, what)
	case s.ended:
		n.t.Errorf("node %d: %s after Down", n.boot, what)
	}
	s.inside = true
	return s
}

func (n *node) leave(s *session) {
	n.mu.Lock()
	s.inside = false
	n.mu.Unlock()
}

func (n *node) up(p *link.Peer) {
	n.mu.Lock()
	for _, s := range n.sessions {
		if s.peer.Boot() == p.Boot() && !s.ended {
			n.t.Errorf("node %d: Up of session %d with %d, session %d has not ended", n.boot, p.Session(), p.Boot(), s.peer.Session())
		}
		if s.peer.Boot() == p.Boot() && s.peer.Session() >= p.Session() {
			n.t.Errorf("node %d: session %d with %d after session %d", n.boot, p.Session(), p.Boot(), s.peer.Session())
		}
	}
	s := &session{peer: p, upAt: time.Now()}
	p.State = s
	n.sessions = append(n.sessions, s)
	n.mu.Unlock()
	s = n.enter(p, "Up")
	if n.onUp != nil {
		n.onUp(p)
	}
	n.leave(s)
}

func (n *node) record(p *link.Peer, rec []byte, own bool) {
	s := n.enter(p, "Record")
	if n.onRecord != nil {
		n.onRecord(p, rec)
	} else {
		n.mu.Lock()
		s.records = append(s.records, string(rec))
		n.mu.Unlock()
	}
	if own { // it belongs to us: the link must not care
		clear(rec)
	}
	n.leave(s)
}

func (n *node) down(p *link.Peer, reason error) {
	s := n.enter(p, "Down")
	n.mu.Lock()
	defer n.mu.Unlock()
	s.inside, s.ended, s.downAt, s.reason = false, true, time.Now(), reason
}

func (n *node) event(e link.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
}

// all is a copy of the sessions.
func (n *node) all() []session {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ss []session
	for _, s := range n.sessions {
		c := *s
		c.records = slices.Clone(s.records)
		ss = append(ss, c)
	}
	return ss
}

// with are the sessions with one boot.
func (n *node) with(boot uint64) []session {
	return slices.DeleteFunc(n.all(), func(s session) bool { return s.peer.Boot() != boot })
}

// kinds are the Events of one kind.
func (n *node) kinds(k link.Kind) []link.Event {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.events), func(e link.Event) bool { return e.Kind != k })
}

// peer is the Peer of the session with boot that lasts; the test ends if there is none.
func (n *node) peer(boot uint64) *link.Peer {
	n.t.Helper()
	for _, p := range n.mesh.Peers() {
		if p.Boot() == boot {
			return p
		}
	}
	n.t.Fatalf("node %d has no session with %d; it had %v", n.boot, boot, n.history(boot))
	return nil
}

// history says what sessions there were with a node.
func (n *node) history(boot uint64) (h []string) {
	for _, s := range n.with(boot) {
		h = append(h, fmt.Sprintf("session %d: %d records, ended %v, %v", s.peer.Session(), len(s.records), s.ended, s.reason))
	}
	return h
}

// offer sends a record, and ends the test when it is refused.
func (n *node) offer(to uint64, rec string) {
	n.t.Helper()
	if !n.peer(to).Offer([]byte(rec)) {
		n.t.Fatalf("node %d: Offer of %d bytes to %d = false, want true; %+v", n.boot, len(rec), to, n.peer(to).Stats())
	}
}

// wantRecords checks what came in the only session with a node, or in the last one.
func (n *node) wantRecords(from uint64, want ...string) {
	n.t.Helper()
	ss := n.with(from)
	if len(ss) == 0 {
		n.t.Fatalf("node %d had no session with %d, want records %s", n.boot, from, short(want))
	}
	if got := ss[len(ss)-1].records; !slices.Equal(got, want) {
		n.t.Errorf("node %d: records of %d = %s, want %s", n.boot, from, short(got), short(want))
	}
}

// wantDown checks that the last session with a node has ended.
func (n *node) wantDown(boot uint64, reason error) {
	n.t.Helper()
	ss := n.with(boot)
	if len(ss) == 0 {
		n.t.Fatalf("node %d had no session with %d, want one that ended with %v", n.boot, boot, reason)
	}
	if s := ss[len(ss)-1]; !s.ended || !errors.Is(s.reason, reason) {
		n.t.Errorf("node %d: last session with %d ended = %v with %v, want the end with %v", n.boot, boot, s.ended, s.reason, reason)
	}
}

// short is a list of records for messages.
func short(recs []string) string {
	var out []string
	for i, r := range recs {
		if i == 10 {
			out = append(out, fmt.Sprintf("... %d in all", len(recs)))
			break
		}
		if len(r) > 20 {
			r = fmt.Sprintf("%s... %d bytes", r[:20], len(r))
		}
		out = append(out, fmt.Sprintf("%q", r))
	}
	return fmt.Sprint(out)
}

// wait lets time pass on the fake clock, until everything has come to rest.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// goodbye has a node leave in order.
func (n *node) goodbye(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return n.mesh.Goodbye(ctx)
}
