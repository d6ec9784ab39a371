package conn

import (
	"reflect"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// recordLen is how many moments a recorder keeps.
const recordLen = 64

// Moment is something that has happened to a connection; see socket.Recorded.
type Moment struct {
	At      time.Duration // since the process was made
	Took    time.Duration // of a callback; negative: it has not returned
	What    string
	Size    int32 // bytes of a message or frame
	Waiting int32 // messages in the mailbox when a callback began
	Sent    bool  // a frame of ours; else a callback
}

// recorder keeps what has happened to one connection last. Its mutex is below that of the writer, and no other is taken under
// it.
type recorder struct {
	began time.Time

	mu   sync.Mutex
	n    uint64 // moments there have been
	ring [recordLen]Moment
}

// records tells whether the n-th connection is recorded, the first being 1.
func (g *Group) records(n uint32) bool { return g.opts.Record > 0 && (n-1)%uint32(g.opts.Record) == 0 }

// recorder is that of the connection, or nil.
func (c *Conn) recorder() *recorder {
	if c.scope == nil {
		return nil
	}
	return c.scope.recorder
}

// Record is what has happened last, the oldest first; nil when the connection is not recorded.
func (c *Conn) Record() []Moment {
	if r := c.recorder(); r != nil {
		return r.moments()
	}
	return nil
}

// add keeps m, and returns its number.
func (r *recorder) add(m Moment) uint64 {
	m.At = time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.n
	r.ring[n%recordLen] = m
	r.n++
	return n
}

// begins notes in r that a callback begins, and returns what returned needs.
func (c *Conn) begins(r *recorder, what string, size int) uint64 {
	waiting, _, _ := c.port.Load()
	return r.add(Moment{What: what, Size: int32(min(size, 1<<30)), Waiting: int32(min(waiting, 1<<30)), Took: -1})
}

// returned notes that the callback with this number has returned, if that is still kept.
func (r *recorder) returned(n uint64) {
	at := time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n-n <= recordLen {
		m := &r.ring[n%recordLen]
		m.Took = at - m.At
	}
}

func (r *recorder) moments() []Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := min(r.n, recordLen)
	all := make([]Moment, 0, kept)
	for n := r.n - kept; n < r.n; n++ {
		all = append(all, r.ring[n%recordLen])
	}
	return all
}

// Crossed implements wire.Watcher. What comes from the peer is recorded when it is handled.
func (r *recorder) Crossed(in bool, op websock.Opcode, payload []byte) {
	if !in {
		r.add(Moment{What: opName(op), Size: int32(min(len(payload), 1<<30)), Sent: true})
	}
}

func opName(op websock.Opcode) string {
	if op == wire.OpClose {
		return "close"
	}
	return op.String()
}

// Gone implements wire.Watcher.
func (r *recorder) Gone() {}

// nameOf says what a message is, without allocating: the kind of a frame, or a type.
func nameOf(msg any) (what string, size int) {
	switch m := msg.(type) {
	case *frame:
		return m.msg.Opcode.String(), len(m.msg.Data)
	case *readEnd:
		return endOfReading, 0
	case websock.Message:
		return "websock.Message to the client", len(m.Data)
	case actor.Down:
		return "actor.Down", 0
	case nil:
		return "nil", 0
	}
	return reflect.TypeOf(msg).String(), 0
}
