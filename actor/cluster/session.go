package cluster

import (
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
)

const (
	// maxCalls is how many Calls to one node may wait for their answer. A node that sends more gets errors.
	maxCalls = 1 << 16
	// maxMonitors is how many processes of one node may be monitored from here, each Monitor counted.
	maxMonitors = 1 << 18
)

// session is what this node has to do with another one while their link lasts. All of it belongs to the session: the next
// one starts from nothing.
//
// What the other node says is handled by receive, one record after the other, on one goroutine at a time. mu guards the
// tables and is held for a moment only: never while something else of ours, or of the user, is called.
type session struct {
	n        *Node
	peer     *link.Peer
	node     string
	boot     uint64
	bootText string

	// These are set by the first record, and belong to the goroutine that receives.
	types    *codec.Peer
	channels []*channelPeer // by the numbers of the other node; nil: there is no such channel here
	broken   bool           // a record made no sense: those after it are not handled

	lost        atomic.Uint64 // values that could not be decoded
	undelivered atomic.Uint64 // messages that no mailbox took

	mu       sync.Mutex
	over     bool
	last     uint64                        // id of a call or monitor
	calls    table[func(v any, err error)] // that wait for an answer from there
	monitors table[func(reason error)]     // of processes there
	asked    table[*asked]                 // Calls from there that wait for an answer from here
	watched  table[*asked]                 // monitors from there, of processes here
}

// asked is a Call or a monitor of the other node that lasts. cancel is set once the process here has been asked: it may have
// answered before.
type asked struct{ cancel func() }

func newSession(n *Node, p *link.Peer) *session {
	return &session{n: n, peer: p, node: p.Name(), boot: p.Boot(), bootText: bootText(p.Boot())}
}

// control sends a record that is not refused. What is too long for the other node, which says itself how long its records
// may be, ends the session.
func (s *session) control(rec []byte) {
	if s.fits(rec) {
		s.peer.Control(rec)
	} else {
		s.peer.Reset(s.tooLong("a record", len(rec)))
	}
}

func (s *session) fits(rec []byte) bool { return len(rec) <= s.peer.MaxRecord() }

func (s *session) tooLong(what string, n int) error {
	return fmt.Errorf("cluster: %s of %d bytes is longer than node %s takes: see Config.MaxMessage", what, n, s.node)
}

// offer sends a record with a message of the user's, if the window has room for it.
func (s *session) offer(rec []byte, msg any) error {
	switch {
	case !s.fits(rec):
		return &codec.EncodeError{Type: fmt.Sprintf("%T", msg), Err: s.tooLong("a message", len(rec))}
	case !s.peer.Offer(rec):
		return actor.ErrMailboxFull
	}
	return nil
}

// bootText is a boot as it stands in PIDs.
func bootText(boot uint64) string {
	const digits = 16
	s := strconv.FormatUint(boot, 16)
	return "0000000000000000"[:digits-len(s)] + s
}

func (s *session) attrs() []slog.Attr {
	return []slog.Attr{slog.String("node", s.n.name), slog.String("peer", s.node), slog.String("boot", s.bootText),
		slog.Uint64("session", s.peer.Session())}
}

// end ends all that waits for the other node, once nothing is received from it any more. The channels are first: whoever is
// told by a Down finds that they have forgotten the node, and can take a name that one of its processes had.
func (s *session) end() {
	for _, c := range s.channels {
		c.down()
	}
	s.mu.Lock()
	s.over = true
	calls, monitors, here, watched := s.calls.take(), s.monitors.take(), s.asked.take(), s.watched.take()
	s.mu.Unlock()
	for _, a := range here {
		a.stop(s)
	}
	for _, a := range watched {
		a.stop(s)
	}
	for _, answer := range calls {
		answer(nil, actor.ErrNodeDown)
	}
	for _, down := range monitors {
		down(actor.ErrNodeDown)
	}
}

// stop cancels what a lasts for.
func (a *asked) stop(s *session) {
	s.mu.Lock()
	cancel := a.cancel
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// begun keeps what cancels a, which is in t under id, or cancels it when it is not there any more: the answer has come, or
// the session has ended.
func (s *session) begun(t *table[*asked], id uint64, a *asked, cancel func()) {
	s.mu.Lock()
	there := t.m[id] == a
	a.cancel = cancel
	s.mu.Unlock()
	if !there {
		cancel()
	}
}

// table keeps what waits, by id. It gives its memory back when it is empty after it was large. The mu of its session guards
// it.
type table[T any] struct {
	m    map[uint64]T
	most int
}

const largeTable = 1 << 10

func (t *table[T]) put(id uint64, v T) {
	if t.m == nil {
		t.m = make(map[uint64]T)
	}
	t.m[id] = v
	t.most = max(t.most, len(t.m))
}

// remove takes out what is there under id.
func (t *table[T]) remove(id uint64) (v T, ok bool) {
	if v, ok = t.m[id]; ok {
		delete(t.m, id)
		if len(t.m) == 0 && t.most > largeTable {
			t.m, t.most = nil, 0
		}
	}
	return v, ok
}

// take takes everything out.
func (t *table[T]) take() map[uint64]T {
	m := t.m
	t.m = nil
	return m
}
