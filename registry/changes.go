package registry

import "github.com/troupe-dev/troupe/actor/host"

// changes is one half of a journal. Changes are numbered in the order in which they happen.
//
// Its methods need journal.mu, for writing when they change anything.
type changes[T comparable] struct {
	base uint64 // the number of the last change that was forgotten
	list []change[T]
	came map[T]uint64 // for each that is there and came within the list: the number of that change
	idle []*reader    // those that have read everything
}

// change says that one came or went. New meta is two changes: the old one went, and a new one came.
type change[T comparable] struct {
	what  T
	went  bool
	since uint64 // of one that went: the number with which it came; 0: it came before the list began
	until uint64 // of one that came: the number with which it went; 0: it is there
}

// end is the number of the last change.
func (c *changes[T]) end() uint64 { return c.base + uint64(len(c.list)) }

// cameIn and wentOut note a change.
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

// since returns what has come since the change of that number and is there, and what was there then and has gone; with
// all set, also what has both come and gone since. ok is false when the list does not go back that far.
func (c *changes[T]) since(after uint64, all bool) (came, went []T, ok bool) {
	if after < c.base {
		return nil, nil, false
	}
	for _, ch := range c.list[after-c.base:] {
		switch {
		case !ch.went && ch.until == 0:
			came = append(came, ch.what)
		case ch.went && (all || ch.since <= after):
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

// keep forgets the oldest changes when there are more than most: it keeps half of that, so that it is rarely needed.
func (c *changes[T]) keep(most int) {
	if len(c.list) > most {
		c.drop(len(c.list) - most/2)
	}
}

// addIdle notes a reader that has read everything.
func (c *changes[T]) addIdle(r *reader) {
	c.idle = append(c.idle, r)
	r.at = int32(len(c.idle))
}

// removeIdle takes a reader off that list, if it is on it.
func (c *changes[T]) removeIdle(r *reader) {
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

// takeIdle returns those that had read everything: the caller tells each of them, when it holds no lock, that there is
// something to read.
func (c *changes[T]) takeIdle() []*reader {
	idle := c.idle
	c.idle = nil
	for _, r := range idle {
		r.at = 0
	}
	return idle
}

// maxChanges is how many changes a journal keeps for readers that have not read them. A reader that has missed more
// reads the whole state instead.
const maxChanges = 1 << 14

// cursor is what a reader needs of its half of a journal.
type cursor interface {
	end() uint64
	addIdle(r *reader)
	removeIdle(r *reader)
	keep(most int)
	takeIdle() []*reader
}
