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

// OnGroup calls f when the first member of a group has come, with open true, and when the last one has left. It is for
// relays to other nodes, which subscribe there to what somebody here wants. For groups that are open already f is called
// before OnGroup returns, or at the same time by another goroutine. The calls for one group come one after the other, in
// order, and open alternates, true first.
//
// f runs while whoever joined or left waits, or the end of the process that was a member, or another such change of the same
// group, on a goroutine of its own. It may use the registry, and must not block: what it holds up is the caller of a Join, or
// the end of a process. A panic in f, or a runtime.Goexit, is an Error in the Logger of the System and nothing else: it does
// not reach whoever joined, and what comes later is told to f and to the others all the same.
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

// make calls f, on a goroutine of its own: nobody who joins a group has to do with what f does to the goroutine it runs on.
func (a announcement) make(log *host.Log) {
	if a.l.stopped.Load() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if returned {
				return
			}
			v := recover()
			if v == nil {
				v = "runtime.Goexit"
			}
			log.Error("panic in a callback", "callback", "Registry.OnGroup", "panic", v, "stack", string(debug.Stack()))
		}()
		a.l.f(a.group, a.open)
		returned = true
	}()
	<-done
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

// deliver makes the calls until none waits, or leaves them to the goroutine that is making calls.
func (a *announcements) deliver(log *host.Log) {
	for queue := a.next(false); len(queue) > 0; queue = a.next(true) {
		for _, call := range queue {
			call.make(log)
		}
	}
}
