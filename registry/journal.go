package registry

import (
	"sync"

	"github.com/troupe-dev/troupe/actor/host"
)

// journal exists while a group is watched. It records what has happened to the group's members and to those who are
// present, each change once, however many watch. Each reader has a place in it. When something happens, the readers
// that have read everything get one message that there is more; when that message has its turn in their mailbox, they
// read on from their place to the end. So a change costs as much as there are readers that wait for one, a reader pays
// for what has changed since it last looked, and at most one message waits in a mailbox, which says everything.
//
// mu is taken after all other locks of the registry. Changes are noted under the lock of the part that they are about.
type journal struct {
	mu      sync.RWMutex
	members changes[*member]
	present changes[*track]
	now     map[string]current // of the keys in present
	readers int
}

// current is all metas of a key, after its last change.
type current struct {
	metas []Meta
	place uint64
}

// maxChanges is how many changes a journal keeps for readers that have not read them. A reader that has missed more
// reads the whole state instead.
const maxChanges = 1 << 14

// changes is one half of a journal. A change's number is its place; a reader's place is the number of the last change
// it has read.
type changes[T comparable] struct {
	base uint64 // the place just before the list
	list []change[T]
	came map[T]uint64 // the places of those that came within the list, and are there
	idle []*reader
}

// change says that one came or went. New meta is both: went, and came.
type change[T comparable] struct {
	what  T
	went  bool
	since uint64 // of one that went: where it came, when that stands, or stood, in the list
	until uint64 // of one that came: where it went, 0 when it is there
}

func (c *changes[T]) end() uint64 { return c.base + uint64(len(c.list)) }

// Of the methods below those that write need journal.mu for writing, the others for reading.

func (c *changes[T]) cameIn(what T) {
	if c.came == nil {
		c.came = make(map[T]uint64)
	}
	c.list = append(c.list, change[T]{what: what})
	c.came[what] = c.end()
}

func (c *changes[T]) wentOut(what T) {
	since := c.came[what]
	delete(c.came, what)
	c.list = append(c.list, change[T]{what: what, went: true, since: since})
	if since > c.base {
		c.list[since-c.base-1].until = c.end()
	}
}

// since returns what has come after that place and is there, and what was there at that place and has gone; with all
// set, also what has both come and gone since. ok is false when the list does not go back that far.
func (c *changes[T]) since(place uint64, all bool) (came, went []T, ok bool) {
	if place < c.base {
		return nil, nil, false
	}
	for _, ch := range c.list[place-c.base:] {
		switch {
		case !ch.went && ch.until == 0:
			came = append(came, ch.what)
		case ch.went && (all || ch.since <= place):
			went = append(went, ch.what)
		}
	}
	return came, went, true
}

// drop forgets the oldest n changes.
func (c *changes[T]) drop(n int) {
	c.base += uint64(n)
	for _, ch := range c.list[:n] {
		if c.came[ch.what] <= c.base {
			delete(c.came, ch.what)
		}
	}
	c.list = append([]change[T](nil), c.list[n:]...)
	if len(c.list) == 0 {
		c.list, c.came = nil, nil
	}
}

// reader is the part of a watcher that reads one half of the journal. It is a host.Deferred: the message, of which at
// most one waits, and whose content is what there is to tell when its turn comes.
//
// Only its process uses place, begun and rest, in its turn; at is guarded by journal.mu.
type reader struct {
	*watcher
	presence bool
	begun    bool   // it has been told the whole state
	place    uint64 // up to which it has read
	rest     any    // what it has read and not told yet
	at       int32  // in changes.idle, from 1; 0: a message is on its way to it
}

// cursor is what the two halves of a journal have in common for a reader.
type cursor interface {
	end() uint64
	wait(r *reader)
	away(r *reader)
	keep(most int)
	wake() []*reader
}

func (j *journal) half(r *reader) cursor {
	if r.presence {
		return &j.present
	}
	return &j.members
}

// wait notes a reader that has read everything.
func (c *changes[T]) wait(r *reader) {
	c.idle = append(c.idle, r)
	r.at = int32(len(c.idle))
}

// away takes a waiting reader off the list.
func (c *changes[T]) away(r *reader) {
	if r.at == 0 {
		return
	}
	last := len(c.idle) - 1
	c.idle[r.at-1] = c.idle[last]
	c.idle[r.at-1].at = r.at
	c.idle[last] = nil
	c.idle = host.Shrink(c.idle[:last])
	r.at = 0
}

// wake returns those that wait: the caller tells each of them, when it holds no lock, that there is something to read.
func (c *changes[T]) wake() []*reader {
	idle := c.idle
	c.idle = nil
	for _, r := range idle {
		r.at = 0
	}
	return idle
}

// keep forgets the oldest changes until that many are left; half of them at once, so that it costs little each time.
func (c *changes[T]) keep(most int) {
	if len(c.list) > most {
		c.drop(len(c.list) - most/2)
	}
}

// joined notes that m is a member, and left that it no longer is; its part is locked. They return whom to tell.
func (j *journal) joined(m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.cameIn(m)
	return j.noted(&j.members)
}

func (j *journal) left(m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.wentOut(m)
	return j.noted(&j.members)
}

func (j *journal) renewed(old, m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.wentOut(old)
	j.members.cameIn(m)
	return j.noted(&j.members)
}

// tracked notes that tr has taken the place of old, if there was one; metas are those of their key now.
func (j *journal) tracked(old, tr *track, key string, metas []Meta) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old != nil {
		j.present.wentOut(old)
	}
	if tr != nil {
		j.present.cameIn(tr)
	}
	if j.now == nil {
		j.now = make(map[string]current)
	}
	j.now[key] = current{metas, j.present.end()}
	return j.noted(&j.present)
}

func (j *journal) noted(c cursor) []*reader {
	wake := c.wake()
	c.keep(maxChanges)
	if c == cursor(&j.present) {
		j.forgetKeys()
	}
	return wake
}

// forgetKeys forgets the keys of changes that are forgotten.
func (j *journal) forgetKeys() {
	if len(j.now) <= 2*len(j.present.list) {
		return
	}
	for key, now := range j.now {
		if now.place <= j.present.base {
			delete(j.now, key)
		}
	}
	if len(j.now) == 0 {
		j.now = nil
	}
}

// readOn ends a reader's turn: it waits or, when more has happened meanwhile or something is left to tell, has another
// message sent. When all readers have read everything, nothing needs to be kept.
func (j *journal) readOn(r *reader) {
	j.mu.Lock()
	c := j.half(r)
	more := r.rest != nil || r.place != c.end()
	if !more && !r.stopped.Load() {
		c.wait(r)
		j.trim()
	}
	j.mu.Unlock()
	if more {
		r.ref.Notify(r)
	}
}

// trim forgets what all readers have read.
func (j *journal) trim() {
	if len(j.members.idle) == j.readers {
		j.members.drop(len(j.members.list))
	}
	if len(j.present.idle) == j.readers {
		j.present.drop(len(j.present.list))
		j.now = nil
	}
}

// enroll and dismiss count the watchers; their shard is locked for writing. last says that nobody watches any more.
func (j *journal) enroll() {
	j.mu.Lock()
	j.readers++
	j.mu.Unlock()
}

func (j *journal) dismiss(w *watcher) (last bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers--
	j.members.away(&w.members)
	j.present.away(&w.present)
	j.trim()
	return j.readers == 0
}

// tell sends each reader the message that it waits for. No lock is held.
func tell(readers []*reader) {
	for _, r := range readers {
		r.ref.Notify(r)
	}
}

var _ host.Deferred = (*reader)(nil)
