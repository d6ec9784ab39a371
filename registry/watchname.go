package registry

import (
	"fmt"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// NameTaken tells a watcher who holds Name now, with the meta of its [Registry.Register]: another process than the
// watcher was told last, or the same one with new meta.
type NameTaken struct {
	Name string
	PID  actor.PID
	Meta any
}

// NameFree tells a watcher that nobody holds Name.
type NameFree struct{ Name string }

// nameWatcher is a process that watches a name, and the message that tells it, a host.Deferred: at most one waits in the
// mailbox, and says how things are when its turn comes.
//
// Only its process uses begun and told, in its turn; the lock of the name's shard guards at and waiting.
type nameWatcher struct {
	r       *Registry
	ref     host.Ref
	name    string
	at      int32 // in its shard's watchers
	waiting bool  // a message is on its way to it
	begun   bool
	told    any // the *holding or, of another node, *claim
	stopped atomic.Bool
}

func (w *nameWatcher) key() registrationKey {
	return registrationKey{kind: RegisteredNameWatch, name: w.name}
}

// WatchName tells pid, by messages, who holds the name: [NameTaken] or [NameFree] at once, then one of them whenever
// that has changed. There is no gap. At most one of them waits in the mailbox, whatever the MailboxLimit, and says how
// things are when its turn comes: of a name that was free for a moment, the watcher may hear only who has it now.
//
// With it a member of a room learns that the room is back after a crash, and a standby that it is its turn: it calls
// [Registry.Register], and of several standbys one gets the name. A second WatchName of that name changes nothing. A
// watch ends with its watcher. The error is [ErrNoProcess].
func (r *Registry) WatchName(name string, pid actor.PID) error {
	e := r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: watch name %q by %v: %w", name, pid, ErrNoProcess)
	}
	if e.find(registrationKey{kind: RegisteredNameWatch, name: name}) != nil {
		e.mu.Unlock()
		return nil
	}
	w := &nameWatcher{r: r, ref: e.ref, name: name, waiting: true}
	s := r.nameShard(name)
	s.mu.Lock()
	list := s.watchers.Get(name)
	w.at = int32(len(list))
	s.watchers.Put(name, append(list, w))
	s.mu.Unlock()
	e.add(w)
	e.mu.Unlock()
	w.ref.Notify(w)
	return nil
}

// UnwatchName ends a WatchName. Once it has returned, nothing more is told to pid. It does nothing when pid does not
// watch the name.
func (r *Registry) UnwatchName(name string, pid actor.PID) {
	r.vacate(registrationKey{kind: RegisteredNameWatch, name: name}, pid)
}

func (w *nameWatcher) vacate(r *Registry, _ bool) news {
	w.stopped.Store(true)
	s := r.nameShard(w.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.watchers.Get(w.name)
	last := len(list) - 1
	list[w.at] = list[last]
	list[w.at].at = w.at
	list[last] = nil
	if last == 0 {
		s.watchers.Delete(w.name)
	} else {
		s.watchers.Put(w.name, host.Shrink(list[:last]))
	}
	return news{}
}

// Content implements host.Deferred.
func (w *nameWatcher) Content() any { return NameTaken{Name: w.name} }

// Due implements host.Deferred: it tells who holds the name, unless that is what it told last.
func (w *nameWatcher) Due(actor.PID) (msg any, ok bool) {
	s := w.r.nameShard(w.name)
	s.mu.Lock()
	h, c := s.m.Get(w.name), s.away.Get(w.name)
	w.waiting = false
	s.mu.Unlock()
	var now any
	msg = NameFree{w.name}
	switch {
	case h != nil:
		now, msg = h, NameTaken{w.name, h.who.pid(), h.meta}
	case c != nil:
		now, msg = c, NameTaken{w.name, c.pid, c.meta}
	}
	if w.stopped.Load() || w.begun && now == w.told {
		return nil, false
	}
	w.begun, w.told = true, now
	return msg, true
}
