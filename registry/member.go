package registry

import (
	"fmt"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// member is a process in a group. The lock of its part guards at, that of its shard seat; the rest does not change once
// others can see it: new meta makes another member.
//
// A million sockets may each be one, so the size counts: 48 bytes are a size class.
type member struct {
	who   host.Ref
	meta  any
	group *group
	at    int32  // in part.members
	since uint32 // group.left when it joined
	seat  uint8  // in which part of a large group it is
}

func (m *member) key() registrationKey {
	return registrationKey{kind: RegisteredMember, name: m.group.name}
}

// Join makes pid a member of the group, once; a group exists while it has members. A process may be in many groups. meta
// is for [Registry.Members], [Registry.BroadcastWhere] and the watchers; a Join of a member gives it the new meta.
// What is broadcast after Join has returned reaches the process. The error is [ErrNoProcess].
//
// When a callback calls Join, what is broadcast from then on waits in the mailbox until that callback returns. A process
// with slow work to do before it can handle messages does that first, then joins, and then asks for what it has missed.
func (r *Registry) Join(group string, pid actor.PID, meta any) error {
	if err := r.long(group); err != nil {
		return fmt.Errorf("registry: join by %v: %w", pid, err)
	}
	e := r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: join %q by %v: %w", group, pid, ErrNoProcess)
	}
	var n news
	m := &member{who: e.ref, meta: meta}
	if old, ok := e.find(registrationKey{kind: RegisteredMember, name: group}).(*member); ok {
		n = r.renew(old, m)
		e.replace(old, m)
	} else {
		n = r.enter(group, m)
		e.add(m)
	}
	e.mu.Unlock()
	r.deliver(n)
	return nil
}

// Leave takes pid out of the group. Once it has returned, the process gets nothing more from it: no broadcast that
// begins later, and none that was made before and waits in its mailbox, which is dropped when its turn comes. What a
// socket was given to write before that is written. Leave does nothing when pid is no member.
func (r *Registry) Leave(group string, pid actor.PID) {
	r.vacate(registrationKey{kind: RegisteredMember, name: group}, pid)
}

// enter makes m a member of the group of that name.
func (r *Registry) enter(name string, m *member) news {
	t := r.groupShard(name)
	t.mu.RLock()
	if g := t.m.Get(name); g != nil {
		if readers, ok := g.admit(m, false); ok {
			t.mu.RUnlock()
			return news{readers: readers}
		}
	}
	t.mu.RUnlock()

	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.group(name)
	readers, _ := g.admit(m, true)
	var n news
	if g.count() == 1 {
		n = g.announce(t.listeners, true)
		if r.others != nil {
			r.others.opened(name)
		}
	}
	n.readers = readers
	g.divide()
	return n
}

// admit adds m. Unless the shard is locked for writing, it refuses to add the first member, or one more than a small
// group may have.
func (g *group) admit(m *member, writing bool) ([]*reader, bool) {
	if g.parts() != nil {
		m.seat = g.more.seat()
	}
	pt := g.part(uint64(m.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	switch {
	case g.parts() != nil:
		if !addFrom(&g.more.count, 1, writing) {
			return nil, false
		}
	case !writing && (len(pt.members) == 0 || len(pt.members) >= smallGroup):
		return nil, false
	}
	m.group, m.at, m.since = g, int32(len(pt.members)), g.left.Load()
	pt.members = append(pt.members, m)
	if g.watched() {
		return g.more.journal.joined(m), true
	}
	return nil, true
}

// addFrom adds d to count. Without force it refuses to go from or to 0.
func addFrom(count *atomic.Int64, d int64, force bool) bool {
	if force {
		count.Add(d)
		return true
	}
	for {
		n := count.Load()
		if n == 0 || n+d == 0 {
			return false
		}
		if count.CompareAndSwap(n, n+d) {
			return true
		}
	}
}

// renew puts m where old is, to give a member new meta.
func (r *Registry) renew(old, m *member) news {
	g := old.group
	t := r.groupShard(g.name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	pt := g.part(uint64(old.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	m.group, m.seat, m.at, m.since = g, old.seat, old.at, old.since
	pt.members[m.at] = m
	if g.watched() {
		return news{readers: g.more.journal.renewed(old, m)}
	}
	return news{}
}

func (m *member) vacate(r *Registry, ended bool) news {
	g := m.group
	t := r.groupShard(g.name)
	t.mu.RLock()
	readers, ok := g.release(m, ended, false)
	t.mu.RUnlock()
	if ok {
		return news{readers: readers}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	readers, _ = g.release(m, ended, true)
	var n news
	if g.count() == 0 {
		n = g.announce(t.listeners, false)
		t.tidy(g)
		if r.others != nil {
			r.others.emptied(g.name)
		}
	}
	n.readers = readers
	return n
}

// release takes m out. Unless the shard is locked for writing, it refuses to take out the last member.
func (g *group) release(m *member, ended, writing bool) ([]*reader, bool) {
	pt := g.part(uint64(m.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	switch {
	case g.parts() != nil:
		if !addFrom(&g.more.count, -1, writing) {
			return nil, false
		}
	case !writing && len(pt.members) == 1:
		return nil, false
	}
	last := len(pt.members) - 1
	pt.members[m.at] = pt.members[last]
	pt.members[m.at].at = m.at
	pt.members[last] = nil
	pt.members = host.Shrink(pt.members[:last])
	if !ended { // else what waits in its mailbox is dropped anyway
		g.left.Add(1)
	}
	if g.watched() {
		return g.more.journal.left(m), true
	}
	return nil, true
}
