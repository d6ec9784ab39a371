package registry

import (
	"iter"

	"github.com/troupe-dev/troupe/actor"
)

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

// Members yields the members of the group and their meta, in no order. Each range over it looks anew. It sees a small
// group as it was at one moment, a large one part by part, and a member that is there all the time once. No lock is held
// while the loop body runs, which may use the registry, and may panic.
func (r *Registry) Members(group string) iter.Seq2[actor.PID, any] {
	return func(yield func(actor.PID, any) bool) {
		r.everyMember(group, func(list []*member) bool {
			for _, m := range list {
				if !yield(m.who.PID(), m.meta) {
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

// look is one walk over the members of a group.
type look struct {
	group *group // nil: there is none
	since uint32 // group.left when it began
	list  *[]*member
	parts *[partCount]largePart
	n     int // how often next was called
}

// look begins a walk. Each call of [look.next] that returns true has put members into list: all of a small group, or
// those of the next part of a large one. The caller drops the list.
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
		g.first.copy(l.list) // now, since the group may be divided once the lock is released
	}
	return l
}

// next returns false when there is no more.
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

// drop gives a list back to the pool.
func (r *Registry) drop(list *[]*member) {
	clear(*list)
	*list = (*list)[:0]
	r.memberLists.Put(list)
}
