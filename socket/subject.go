package socket

import (
	"container/list"
	"sync"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/socket/internal/conn"
)

// SubjectPolicy says what becomes of an upgrade whose subject has Config.MaxPerSubject sockets.
type SubjectPolicy uint8

const (
	// RefuseNewest answers it with 429 and a spread Retry-After. A client whose network is gone cannot come back before the
	// server knows that, which may take IdleTimeout.
	RefuseNewest SubjectPolicy = iota
	// ReplaceOldest lets it in, and ends the oldest of the subject's sockets with websock.ErrReplaced: 4001 "replaced".
	ReplaceOldest
)

// subjects knows the sockets of each subject, and who is on the way to become one.
//
// An upgrade goes through it like this: begin, before the application is asked; sit, when it has a subject and a process;
// leave, when its end is decided, or when it has failed. Under mu, revoke finds each of them: who has sat is in of, or in
// replaced, and who has begun, but not sat, will look into revoked when it sits. So none is missed.
type subjects struct {
	most    int // of one subject; 0: no limit
	replace bool

	mu       sync.Mutex
	of       host.Map[string, *subject] // the sockets that most is about
	replaced host.Map[string, *subject] // those that have lost their seat to a newer one, and whose end is not decided yet
	begun    list.List                  // of uint64: the upgrades that have not sat yet, each with the number of the last revocation before it
	revoked  []revoked                  // since the oldest of begun, in order; at most mostRevoked
	last     uint64                     // number of the last revocation
	dropped  uint64                     // number of the last revocation that was dropped although somebody may ask for it
}

// mostRevoked bounds the revocations that are kept for upgrades whose newHandler takes long.
const mostRevoked = 1024

// revoked is a call of Revoke.
type revoked struct {
	number  uint64
	subject string
}

// subject is somebody with sockets in a table: subjects.of, or subjects.replaced.
type subject struct {
	name        string
	in          *host.Map[string, *subject]
	first, last *seat // the oldest, the newest
	n           int
}

// seat is the place of one socket among those of its subject in a table. subjects.mu guards it.
type seat struct {
	conn       *conn.Conn
	of         *subject // nil: it was given back
	prev, next *seat
}

// upgrading is an upgrade that has begun; nil: the Server knows no subjects.
type upgrading = *list.Element

// begin notes that an upgrade begins.
func (t *subjects) begin() upgrading {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun.PushBack(t.last)
}

// over ends an upgrade, which may have sat.
func (t *subjects) over(u upgrading) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end(u)
}

// end is over; t.mu is held. The revocations for which nobody can ask any more are dropped.
func (t *subjects) end(u upgrading) {
	t.begun.Remove(u) // nothing, when it was removed before
	oldest := t.begun.Front()
	if oldest == nil {
		t.revoked = nil
		return
	}
	for len(t.revoked) > 0 && t.revoked[0].number <= oldest.Value.(uint64) {
		t.revoked = t.revoked[1:]
	}
}

// sit gives c the newest seat of its subject. out is the socket that has lost the oldest one for it. The error says why c
// gets none.
func (t *subjects) sit(c *conn.Conn, sc *conn.Scope, u upgrading) (out *conn.Conn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.end(u)
	if sc.Subject == "" {
		return nil, nil
	}
	if err := t.since(u.Value.(uint64), sc.Subject); err != nil {
		return nil, err
	}
	if of := t.of.Get(sc.Subject); t.most > 0 && of != nil && of.n >= t.most {
		if !t.replace {
			return nil, errPerSubject
		}
		oldest := of.first
		oldest.leave()
		oldest.enter(&t.replaced, of.name)
		out = oldest.conn
	}
	st := &seat{conn: c}
	st.enter(&t.of, sc.Subject)
	c.SetTag(st)
	return out, nil
}

// since tells whether a subject was revoked after the revocation of this number. t.mu is held.
func (t *subjects) since(number uint64, subject string) error {
	for i := len(t.revoked) - 1; i >= 0 && t.revoked[i].number > number; i-- {
		if t.revoked[i].subject == subject {
			return errRevoked
		}
	}
	if number < t.dropped {
		return errUnknown
	}
	return nil
}

// leave gives back the seat of c, if it has one. It may be called more than once.
func (t *subjects) leave(c *conn.Conn) {
	st, ok := c.Tag().(*seat)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if st.of != nil {
		st.leave()
	}
}

// enter makes st, which is in no table, the newest of a subject in one. subjects.mu is held.
func (st *seat) enter(to *host.Map[string, *subject], name string) {
	of := to.Get(name)
	if of == nil {
		of = &subject{name: name, in: to}
		to.Put(name, of)
	}
	st.of, st.prev = of, of.last
	if of.n++; of.last == nil {
		of.first = st
	} else {
		of.last.next = st
	}
	of.last = st
}

// leave takes st out of its table. subjects.mu is held.
func (st *seat) leave() {
	of := st.of
	if st.prev == nil {
		of.first = st.next
	} else {
		st.prev.next = st.next
	}
	if st.next == nil {
		of.last = st.prev
	} else {
		st.next.prev = st.prev
	}
	st.of, st.prev, st.next = nil, nil, nil
	if of.n--; of.n == 0 {
		of.in.Delete(of.name)
	}
}

// revoke notes that a subject is revoked, for those who have begun, and returns its sockets.
func (t *subjects) revoke(name string) []*conn.Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	if t.begun.Len() > 0 {
		t.revoked = append(t.revoked, revoked{t.last, name})
	}
	if len(t.revoked) > mostRevoked {
		t.dropped = t.revoked[0].number
		t.revoked = t.revoked[1:]
	}
	return append(t.replaced.Get(name).conns(), t.of.Get(name).conns()...)
}

// conns is the sockets of a subject, which may be nil, the oldest first. subjects.mu is held.
func (of *subject) conns() []*conn.Conn {
	if of == nil {
		return nil
	}
	cs := make([]*conn.Conn, 0, of.n)
	for st := of.first; st != nil; st = st.next {
		cs = append(cs, st.conn)
	}
	return cs
}
