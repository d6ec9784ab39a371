package registry

import (
	"slices"
	"sync/atomic"
)

// listener is one OnGroup.
type listener struct {
	f       func(group string, open bool)
	stopped atomic.Bool
}

// OnGroup calls f when the first member of a group has come, with open true, and when the last one has left. It is for
// relays to other nodes, which subscribe there to what somebody here wants. For groups that are open already f is called
// before OnGroup returns, or at the same time by another goroutine. The calls for one group come one after the other, in
// order, and open alternates, true first.
//
// f runs on the goroutine that joined or left, or that ended the process which was a member, or on that of another
// change or Watch of the same group. It may use the registry, and must not block: what it holds up is the caller of a Join, or
// the end of a process. A panic in f is that goroutine's.
//
// After cancel no call of f begins; one that has begun may still run. cancel may be called more than once.
func (r *Registry) OnGroup(f func(group string, open bool)) (cancel func()) {
	l := &listener{f: f}
	for i := range r.groups {
		t := &r.groups[i]
		var all []news
		t.mu.Lock()
		t.listeners = append(slices.Clip(t.listeners), l)
		for _, g := range t.m.All() {
			if g.count() > 0 {
				f := r.feed(g)
				f.add(listenerLine, func() { l.tell(g.name, true) })
				all = append(all, news{group: g, feed: f, listeners: true})
			}
		}
		t.mu.Unlock()
		r.deliverAll(all)
	}
	return func() {
		if l.stopped.Swap(true) {
			return
		}
		for i := range r.groups {
			t := &r.groups[i]
			t.mu.Lock()
			t.listeners = slices.DeleteFunc(slices.Clone(t.listeners), func(o *listener) bool { return o == l })
			t.mu.Unlock()
		}
	}
}

func (l *listener) tell(name string, open bool) {
	if !l.stopped.Load() {
		l.f(name, open)
	}
}

// announce tells the listeners that g has opened or closed; n is what else has happened. t is locked for writing.
func (r *Registry) announce(t *groupShard, g *group, open bool, n news) news {
	for _, l := range t.listeners {
		n.group, n.feed, n.listeners = g, r.feed(g), true
		n.feed.add(listenerLine, func() { l.tell(g.name, open) })
	}
	return n
}
