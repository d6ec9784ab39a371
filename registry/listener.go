package registry

import (
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor/host"
)

// listener is one OnGroup.
type listener struct {
	f       func(group string, open bool)
	stopped atomic.Bool
}

// OnGroup calls f when the first member of a group has joined, with open true, and when the last one has left, with open
// false. It is for relays to other nodes, which subscribe there to what somebody here wants. For groups that have members
// already, f is called before OnGroup returns, or at the same time by another goroutine. The calls for one group come one
// after the other, in order, and open alternates, true first.
//
// f runs on a goroutine of its own, which is waited for: by the Join or Leave that made the change, by the end of the
// process that was a member, or by another one that changes the same group at that moment. It may use the registry, and
// must not block. A panic in f, or a runtime.Goexit, is logged at Error by the Logger of the System and has no other
// effect: whoever joined does not see it, and later changes are told to f and to the other listeners all the same.
//
// After cancel has returned no call of f begins; one that has begun may still run. cancel may be called more than once.
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

// announcements are the calls of listeners that are due for a group. They are added under the lock of the shard, and
// made under no lock, in order, by one goroutine at a time: whoever begins goes on with what others add meanwhile.
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

// make calls f, on a goroutine of its own: what f does to its goroutine is to concern nobody who joins a group.
func (a announcement) make(log *host.Log) {
	if a.l.stopped.Load() {
		return
	}
	guard(log, "Registry.OnGroup", func() { a.l.f(a.group, a.open) })
}

// guard runs f on a goroutine of its own, and waits for it. False: it has panicked, or called runtime.Goexit, which is logged.
func guard(log *host.Log, callback string, f func()) (returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if returned {
				return
			}
			v := recover()
			if v == nil {
				v = "runtime.Goexit"
			}
			log.Error("panic in a callback", "callback", callback, "panic", v, "stack", string(debug.Stack()))
		}()
		f()
		returned = true
	}()
	<-done
	return returned
}

// announce adds a call of each of these listeners; the shard of g is locked for writing.
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

// next takes what waits, unless another goroutine is making calls. own says that the caller is that goroutine.
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

// deliver makes calls until none waits, or leaves them to the goroutine that is making calls already.
func (a *announcements) deliver(log *host.Log) {
	for queue := a.next(false); len(queue) > 0; queue = a.next(true) {
		for _, call := range queue {
			call.make(log)
		}
	}
}
