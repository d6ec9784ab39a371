package registry

import (
	"sync"
	"sync/atomic"
)

const (
	// smallGroup is how many members, or keys that are present, a group may have before it is divided.
	smallGroup = 64
	// partCount is how many parts, each with a lock, a large group has.
	partCount = 32
)

// group is what there is under one name: members, those who are present, watchers. It exists while there is any of it.
//
// The lock of its shard is taken before those of its parts and its journal. With the shard locked for reading, members
// are added and removed under the lock of their part, except the first and the last one. All else, such as making,
// dividing and dropping a group, needs the shard locked for writing. So most joins and leaves of one large group do not
// wait for each other.
type group struct {
	name  string
	first part // all of a small group
	more  *extras
	left  atomic.Uint32 // counts the members that have left without ending; see cast
}

// part is what one lock guards: some of the members, and of those who are present.
type part struct {
	mu      sync.Mutex
	members []*member
	persons *persons
}

// extras is what most groups do not have.
type extras struct {
	parts         *[partCount]largePart // nil: the group is small; a large one stays so until it is dropped
	count         atomic.Int64          // of the members of a large group
	seats         atomic.Uint32         // counts the members that have joined a large group
	journal       *journal              // while somebody watches
	announcements *announcements
}

// seat says in which part of a large group the next member is: they take turns. So the parts are about equally large, and to go through one
// is to go through memory in steps of about the same length, which is faster by a third than to jump about in it.
func (x *extras) seat() uint8 { return uint8(x.seats.Add(1) % partCount) }

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

// The methods of group need the lock of its shard, for reading unless they say otherwise.

// parts is nil for a small group.
func (g *group) parts() *[partCount]largePart {
	if g.more == nil {
		return nil
	}
	return g.more.parts
}

// part returns the part for a member's seat or the hash of a key.
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

// divide makes a small group large when it has become too much for one lock; its shard is locked for writing.
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
	x, parts := g.extras(), new([partCount]largePart)
	for _, m := range members {
		m.seat = x.seat()
		pt := &parts[m.seat]
		m.at = int32(len(pt.members))
		pt.members = append(pt.members, m)
	}
	if persons != nil {
		for _, ps := range persons.All() {
			parts[ps.seat].put(ps)
		}
	}
	x.parts = parts
	x.count.Store(int64(len(members)))
}

// watched tells whether g has watchers.
func (g *group) watched() bool { return g.more != nil && g.more.journal != nil }

// extras returns g.more, and makes it if there is none; the shard is locked for writing.
func (g *group) extras() *extras {
	if g.more == nil {
		g.more = new(extras)
	}
	return g.more
}

// tidy gives back what g no longer needs; t is locked for writing.
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
