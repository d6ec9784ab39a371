package registry

import (
	"slices"
	"sync"
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
// such change of the same group. It may use the registry, and must not block: what it holds up is the caller of a Join, or
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
				all = append(all, g.announce([]*listener{l}, true))
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

// announcements are the calls to listeners that a group has to make. They are added under the lock of the shard and
// made under no lock, in order, by one goroutine at a time: the one that has made the first of them goes on with those
// that others add meanwhile.
type announcements struct {
	mu    sync.Mutex
	queue []announcement
	busy  bool
}

type announcement struct {
	l     *listener
	group string
	open  bool
}

func (a announcement) make() {
	if !a.l.stopped.Load() {
		a.l.f(a.group, a.open)
	}
}

// announce adds calls; the shard of g is locked for writing.
func (g *group) announce(to []*listener, open bool) news {
	if len(to) == 0 {
		return news{}
	}
	x := g.extras()
	if x.announcements == nil {
		x.announcements = new(announcements)
	}
	a := x.announcements
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range to {
		a.queue = append(a.queue, announcement{l, g.name, open})
	}
	return news{group: g, announcements: a}
}

func (a *announcements) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.queue) == 0 && !a.busy
}

// next takes what waits. own says that the caller is the one who makes the calls.
func (a *announcements) next(own bool) []announcement {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !own && a.busy {
		return nil
	}
	queue := a.queue
	a.queue, a.busy = nil, len(queue) > 0
	return queue
}

// deliver makes the calls until none waits, or leaves them to the goroutine that is making calls. After a panic or a
// runtime.Goexit in one call, the rest are made all the same.
func (a *announcements) deliver() {
	queue, i := a.next(false), 0
	defer func() {
		if len(queue) > 0 {
			a.mu.Lock()
			a.queue, a.busy = append(queue[i:], a.queue...), false
			a.mu.Unlock()
			a.deliver()
		}
	}()
	for len(queue) > 0 {
		for i = 0; i < len(queue); {
			i++
			queue[i-1].make()
		}
		queue = a.next(true)
	}
}

// news is what a caller has to do when it no longer holds a lock.
type news struct {
	readers       []*reader      // to tell
	names         []*nameWatcher // to tell
	group         *group         // whose announcements are to be delivered
	announcements *announcements
}

func (n news) empty() bool {
	return n.announcements == nil && len(n.readers) == 0 && len(n.names) == 0
}

// deliver does what a change requires, and gives back what the group no longer needs. No lock is held.
func (r *Registry) deliver(n news) {
	tell(n.readers)
	for _, w := range n.names {
		w.ref.Notify(w)
	}
	if n.announcements == nil {
		return
	}
	defer r.settle(n.group)
	n.announcements.deliver()
}

func (r *Registry) deliverAll(all []news) {
	i := 0
	defer func() {
		if i < len(all) { // after a panic
			r.deliverAll(all[i:])
		}
	}()
	for i < len(all) {
		i++
		r.deliver(all[i-1])
	}
}

// settle gives back what g no longer needs.
func (r *Registry) settle(g *group) {
	t := r.groupShard(g.name)
	t.mu.RLock()
	watched := g.watched()
	t.mu.RUnlock()
	if watched {
		return
	}
	t.mu.Lock()
	t.tidy(g)
	t.mu.Unlock()
}
