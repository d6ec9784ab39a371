package registry

import (
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
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

// member is a process in a group. Where it stands is guarded by its part's lock; the rest does not change, other meta is
// another member.
type member struct {
	who   *process
	to    host.Ref // this process
	meta  any
	group *group
	seat  uint32
	at    int32  // in part.members
	in    int32  // in process.places
	since uint32 // group.left when it joined
}

func (m *member) key() placeKey { return placeKey{kind: kindMember, name: m.group.name} }
func (m *member) slot() *int32  { return &m.in }

// Join makes pid a member of the group, once; a group exists while it has members. A process may be in many groups. meta
// is for [Registry.Members], [Registry.BroadcastWhere] and the watchers; a Join of a member gives it the new meta.
// What is broadcast after Join has returned reaches the process. The error is [ErrNoProcess].
//
// What is broadcast from now on waits in the mailbox until the callback that has joined returns. A process that still
// has slow work to do before it can handle messages does that first, then joins, and then asks for what it has missed.
func (r *Registry) Join(group string, pid actor.PID, meta any) error {
	p := r.process(pid)
	if p == nil {
		return fmt.Errorf("registry: join %q by %v: %w", group, pid, ErrNoProcess)
	}
	var n news
	m := &member{who: p, to: p.ref, seat: p.seat, meta: meta}
	if old, ok := p.find(placeKey{kind: kindMember, name: group}).(*member); ok {
		n = r.renew(old, m)
		p.replace(old, m)
	} else {
		n = r.enter(group, m)
		p.add(m)
	}
	p.mu.Unlock()
	r.deliver(n)
	return nil
}

// Leave takes pid out of the group. Once it has returned, the process gets nothing more from it: no broadcast that
// begins later, and none that was made before and waits in its mailbox, which is dropped when its turn comes. What a
// socket was given to write before that is written. Leave does nothing when pid is no member.
func (r *Registry) Leave(group string, pid actor.PID) {
	r.vacate(placeKey{kind: kindMember, name: group}, pid)
}

// vacate takes one entry of a process out.
func (r *Registry) vacate(k placeKey, pid actor.PID) {
	p := r.known(pid)
	if p == nil {
		return
	}
	var n news
	if pl := p.find(k); pl != nil {
		p.remove(pl)
		n = pl.vacate(r)
	}
	p.mu.Unlock()
	r.deliver(n)
}

// Count returns how many members the group has.
func (r *Registry) Count(group string) int {
	t := r.groupShard(group)
	t.mu.RLock()
	defer t.mu.RUnlock()
	if g := t.m.Get(group); g != nil {
		return g.count()
	}
	return 0
}

// Members yields the members of the group and their meta, in no order. Each range over it is a new look: a small group is
// seen as it was at one moment, a large one part by part, and a member that was there all the time is seen once. No lock
// is held while the loop body runs, which may use the registry, and may panic.
func (r *Registry) Members(group string) iter.Seq2[actor.PID, any] {
	return func(yield func(actor.PID, any) bool) {
		r.everyMember(group, func(list []*member) bool {
			for _, m := range list {
				if !yield(m.who.pid, m.meta) {
					return false
				}
			}
			return true
		})
	}
}

// everyMember calls f with the members, part by part, until f returns false.
func (r *Registry) everyMember(group string, f func(list []*member) bool) {
	l := r.look(group)
	defer r.drop(l.list)
	for l.next() {
		if !f(*l.list) {
			return
		}
	}
}

// look is a walk over the members of a group.
type look struct {
	group *group // nil: there is none
	since uint32 // group.left when it began
	list  *[]*member
	parts *[partCount]largePart
	n     int
}

// look begins a walk: [look.next] makes list the members of a small group, and then of each part of a large one. The caller
// drops the list.
func (r *Registry) look(name string) look {
	l := look{list: r.memberLists.Get().(*[]*member)}
	t := r.groupShard(name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(name)
	if g == nil {
		return l
	}
	l.group, l.since, l.parts = g, g.left.Load(), g.parts()
	if l.parts == nil {
		g.first.copy(l.list) // here, because the group may be divided when the lock is gone
	}
	return l
}

func (l *look) next() bool {
	l.n++
	if l.parts == nil {
		return l.n == 1 && len(*l.list) > 0
	}
	if l.n > partCount {
		return false
	}
	clear(*l.list)
	l.parts[l.n-1].copy(l.list)
	return true
}

// copy makes list a copy of the members.
func (pt *part) copy(list *[]*member) {
	pt.mu.Lock()
	*list = append((*list)[:0], pt.members...)
	pt.mu.Unlock()
}

// drop gives a list back.
func (r *Registry) drop(list *[]*member) {
	clear(*list)
	*list = (*list)[:0]
	r.memberLists.Put(list)
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
	}
	n.readers = readers
	g.divide()
	return n
}

// admit adds m. Without the lock for writing it refuses to be the first, and to make a small group large.
func (g *group) admit(m *member, writing bool) ([]*reader, bool) {
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

// addFrom adds d, and without force only when the first does not come and the last does not go by it.
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

// renew puts m in the place of old, for its meta.
func (r *Registry) renew(old, m *member) news {
	g := old.group
	t := r.groupShard(g.name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	pt := g.part(uint64(old.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	m.group, m.at, m.since = g, old.at, old.since
	pt.members[m.at] = m
	if g.watched() {
		return news{readers: g.more.journal.renewed(old, m)}
	}
	return news{}
}

func (m *member) vacate(r *Registry) news {
	g := m.group
	t := r.groupShard(g.name)
	t.mu.RLock()
	readers, ok := g.release(m, false)
	t.mu.RUnlock()
	if ok {
		return news{readers: readers}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	readers, _ = g.release(m, true)
	var n news
	if g.count() == 0 {
		n = g.announce(t.listeners, false)
		t.tidy(g)
	}
	n.readers = readers
	return n
}

// release takes m out. Without the lock for writing it refuses to take out the last one.
func (g *group) release(m *member, writing bool) ([]*reader, bool) {
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
	if !m.who.gone { // what waits in the mailbox of one that ends is dropped anyway
		g.left.Add(1)
	}
	if g.watched() {
		return g.more.journal.left(m), true
	}
	return nil, true
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
