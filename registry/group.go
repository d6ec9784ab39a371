package registry

import (
	"sync"
	"sync/atomic"
)

const (
	// smallGroup is how many members, or persons, a group has before it is divided.
	smallGroup = 64
	// partCount is how many parts, each with a lock, a large group has.
	partCount = 32
)

// group is what there is under one name: members, persons, who watches. It exists while there is any of it.
//
// The lock of its shard comes before those of its parts and its journal. Whoever has it for reading may add and remove
// members by the lock of their part, but for the first and the last one; making, dividing and dropping a group, and
// whatever else is in it, needs it for writing. So most joins and leaves of one large group do not meet.
type group struct {
	name  string
	first part // all of a small group
	more  *extras
	left  atomic.Uint32 // counts the members that have left and live on; see cast
}

// part is the members and persons that one lock guards.
type part struct {
	mu      sync.Mutex
	members []*member
	persons *persons
}

// extras is what most groups do not have.
type extras struct {
	parts         *[partCount]largePart // of a large group, which stays large until it is dropped
	count         atomic.Int64          // of members, of a large group
	journal       *journal              // while somebody watches
	announcements *announcements
}

type largePart struct {
	part
	_ [24]byte // no two locks in one cache line
}

// group returns the group of that name, and makes it if there is none; t is locked for writing.
func (t *groupShard) group(name string) *group {
	g := t.m.Get(name)
	if g == nil {
		g = &group{name: name}
		t.m.Put(name, g)
	}
	return g
}

// The methods of group need the lock of its shard, for reading if nothing else is said.

func (g *group) parts() *[partCount]largePart {
	if g.more == nil {
		return nil
	}
	return g.more.parts
}

// part returns the part of a seat or a key's hash.
func (g *group) part(n uint64) *part {
	if parts := g.parts(); parts != nil {
		return &parts[n%partCount].part
	}
	return &g.first
}

func (g *group) count() int {
	if g.parts() != nil {
		return int(g.more.count.Load())
	}
	g.first.mu.Lock()
	defer g.first.mu.Unlock()
	return len(g.first.members)
}

// divide makes a small group large when it has too much for one lock; its shard is locked for writing.
func (g *group) divide() {
	if g.parts() != nil {
		return
	}
	g.first.mu.Lock()
	defer g.first.mu.Unlock()
	members, persons := g.first.members, g.first.persons
	if len(members) <= smallGroup && persons.len() <= smallGroup {
		return
	}
	g.first.members, g.first.persons = nil, nil
	parts := new([partCount]largePart)
	for _, m := range members {
		pt := &parts[m.seat%partCount]
		m.at = int32(len(pt.members))
		pt.members = append(pt.members, m)
	}
	if persons != nil {
		for _, ps := range persons.All() {
			parts[ps.seat].put(ps)
		}
	}
	x := g.extras()
	x.parts = parts
	x.count.Store(int64(len(members)))
}

// watched tells whether g has watchers.
func (g *group) watched() bool { return g.more != nil && g.more.journal != nil }

// extras returns g.more to write to; the shard is locked for writing.
func (g *group) extras() *extras {
	if g.more == nil {
		g.more = new(extras)
	}
	return g.more
}

// tidy gives back what g does not need any more; t is locked for writing.
func (t *groupShard) tidy(g *group) {
	if x := g.more; x != nil {
		if x.announcements != nil && x.announcements.idle() {
			x.announcements = nil
		}
		if x.announcements != nil || x.journal != nil {
			return
		}
		if x.parts == nil {
			g.more = nil
		}
	}
	if g.count() == 0 && !g.present() && t.m.Get(g.name) == g {
		t.m.Delete(g.name)
	}
}
