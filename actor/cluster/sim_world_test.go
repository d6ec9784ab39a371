package cluster_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/host"
)

// What agents send. All of it says for whom it is and who has sent it, as PIDs in text, and counts what the one has sent to
// the other, from 1.
type (
	letter struct {
		To, From string
		Seq      uint64
		Size     int // bytes that follow on the wire
	}
	question struct { // a Call
		To, From string // From: "" when no order is kept
		Seq      uint64
		ID       uint64
		Mode     uint64 // what the callee does
	}
	dismissal struct { // an exit reason
		To, From string
		Seq      uint64
		Kill     bool
	}
	leaving struct { // an exit reason of one's own, and an answer that is an error
		Who string
		Why uint64
	}
)

func (d *dismissal) Error() string { return fmt.Sprintf("dismissed by %s (%d)", d.From, d.Seq) }

// Unwrap makes it a kill.
func (d *dismissal) Unwrap() error {
	if d.Kill {
		return actor.ErrKilled
	}
	return nil
}

func (l *leaving) Error() string { return fmt.Sprintf("%s leaves for the reason %d", l.Who, l.Why) }

func simTypes() *cluster.Types {
	t := &cluster.Types{}
	cluster.RegisterFunc(t, "letter", func(b []byte, l letter) ([]byte, error) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, l.Seq), uint64(l.Size))
		b = append(binary.AppendUvarint(b, uint64(len(l.To))), l.To...)
		b = append(binary.AppendUvarint(b, uint64(len(l.From))), l.From...)
		for i := range l.Size {
			b = append(b, byte(i)+byte(l.Seq))
		}
		return b, nil
	}, func(b []byte) (l letter, err error) {
		number := func() uint64 {
			v, n := binary.Uvarint(b)
			b = b[n:]
			return v
		}
		text := func() string {
			n := number()
			s := string(b[:n])
			b = b[n:]
			return s
		}
		l.Seq, l.Size = number(), int(number())
		l.To, l.From = text(), text()
		if len(b) != l.Size {
			return l, fmt.Errorf("letter %d of %s has %d bytes, want %d", l.Seq, l.From, len(b), l.Size)
		}
		for i, c := range b {
			if c != byte(i)+byte(l.Seq) {
				return l, fmt.Errorf("letter %d of %s is damaged at byte %d", l.Seq, l.From, i)
			}
		}
		return l, nil
	})
	cluster.Register[question](t, "question")
	cluster.Register[*dismissal](t, "dismissal")
	cluster.Register[*leaving](t, "leaving")
	return t
}

// world is one simulation. rnd, c and down belong to the test's goroutine; mu guards all that is noted.
type world struct {
	t         *testing.T
	rnd       *rand.Rand
	c         *clustertest.Cluster
	start     time.Time
	down      [simNodes]bool
	waiters   sync.WaitGroup
	endWaits  chan struct{}
	quietFrom time.Duration // from then on nothing goes wrong any more

	mu       sync.Mutex
	boots    map[string]*nodeNote
	agents   []*agent // of all boots
	byPID    map[string]*agent
	calls    []*callNote
	waits    []*waitNote
	channels []*simChannel // of all boots
	feeds    []*feed
	ran      map[uint64]int // Calls that were handled
	faults   int            // problems that were reported
}

// nodeNote is a node from its start to its end.
type nodeNote struct {
	node            int
	text            string
	killed, stopped time.Duration // when that began; never: it did not
	links           map[string][]*linkNote
	self            linkNote // within the node
	frozen          bool     // at some time
}

// linkNote is a session with another boot, as its own node has been told.
type linkNote struct{ up, down time.Duration }

// never is a time that has not come.
const never = time.Duration(1<<63 - 1)

func newWorld(t *testing.T, rnd *rand.Rand, cfg clustertest.Config, node cluster.Config) *world {
	w := &world{
		t: t, rnd: rnd, start: time.Now(), endWaits: make(chan struct{}), quietFrom: never,
		boots: make(map[string]*nodeNote), byPID: make(map[string]*agent), ran: make(map[uint64]int),
	}
	cfg.Node = func(i int, sys *actor.System) cluster.Config {
		node := node
		node.Types = simTypes()
		b := w.boots[w.addBoot(i, sys)]
		node.OnEvent = func(e cluster.Event) { w.event(b, e) }
		return node
	}
	cfg.Start = func(_ int, n *cluster.Node) { w.channel(n) }
	w.c = clustertest.New(t, cfg)
	t.Cleanup(w.stopWaits)
	return w
}

func (w *world) now() time.Duration { return time.Since(w.start) }

func bootOf(sys *actor.System) string {
	_, b := host.Identity(sys)
	return fmt.Sprintf("%016x", b)
}

func (w *world) addBoot(i int, sys *actor.System) string {
	text := bootOf(sys)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boots[text] = &nodeNote{node: i, text: text, killed: never, stopped: never, links: make(map[string][]*linkNote), self: linkNote{-1, never}}
	return text
}

// boot is the present one of node i.
func (w *world) boot(i int) *nodeNote {
	text := bootOf(w.c.System(i))
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.boots[text]
}

// event notes the sessions of b.
func (w *world) event(b *nodeNote, e cluster.Event) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	switch ss := b.links[e.Boot]; e.Kind {
	case cluster.EventNodeUp:
		if len(ss) > 0 && ss[len(ss)-1].down == never {
			w.problem("node %s: up with %s, which is up", b, e.Boot)
		}
		b.links[e.Boot] = append(ss, &linkNote{now, never})
	case cluster.EventNodeDown:
		if len(ss) == 0 || ss[len(ss)-1].down != never {
			w.problem("node %s: down with %s, which is not up", b, e.Boot)
			return
		}
		ss[len(ss)-1].down = now
	case cluster.EventUndecodable:
		w.problem("node %s: undecodable: %v", b, e.Err)
	}
}

func (b *nodeNote) String() string { return fmt.Sprintf("n%d/%s", b.node, b.text) }

// sessionAt is the session with other that lasts at a time. sure is false when one begins or ends at that very moment.
func (b *nodeNote) sessionAt(other string, at time.Duration) (s *linkNote, sure bool) {
	for _, s := range b.links[other] {
		if s.up == at || s.down == at {
			return s, false
		}
		if s.up < at && at < s.down {
			return s, true
		}
	}
	return nil, true
}

// problem reports what breaks a guarantee; w.mu is held.
func (w *world) problem(format string, args ...any) {
	w.t.Helper()
	if w.faults++; w.faults <= 8 {
		w.t.Errorf("%12v  %s", w.now(), fmt.Sprintf(format, args...))
	}
}

// living are the agents that have not ended, of nodes that run.
func (w *world) living() []*agent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.agents), func(a *agent) bool { return a.gone() })
}

func (w *world) count(i int) int {
	b := w.boot(i)
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, a := range w.agents {
		if a.boot == b && !a.gone() {
			n++
		}
	}
	return n
}

// bounded checks what waits for other nodes: at most the grant, and as much again or the longest record.
func (w *world) bounded() {
	const most = simWindow + 76<<10 // records that are not refused have at least 72 KiB; and the heads of frames
	for i := range simNodes {
		if !w.runs(i) {
			continue
		}
		for p := range w.c.Node(i).Peers() {
			if p.InUse > most {
				w.mu.Lock()
				w.problem("node %d: %d bytes wait for %s, want at most %d", i, p.InUse, p.Node, most)
				w.mu.Unlock()
			}
		}
	}
}

// atRest checks that nothing waits once nothing happens any more.
func (w *world) atRest() {
	for i := range simNodes {
		n := 0
		for p := range w.c.Node(i).Peers() {
			n++
			if p.InUse != 0 {
				w.mu.Lock()
				w.problem("node %d: %d bytes wait for %s at rest", i, p.InUse, p.Node)
				w.mu.Unlock()
			}
		}
		if n != simNodes-1 {
			w.mu.Lock()
			w.problem("node %d is connected with %d nodes at rest, want %d", i, n, simNodes-1)
			w.mu.Unlock()
		}
	}
}

// stopWaits ends the Waits that still wait.
func (w *world) stopWaits() {
	w.mu.Lock()
	select {
	case <-w.endWaits:
	default:
		close(w.endWaits)
	}
	w.mu.Unlock()
	w.waiters.Wait()
}
