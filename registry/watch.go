package registry

import (
	"fmt"
	"sync/atomic"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Entry is a member of a group, and the meta of its [Registry.Join].
type Entry struct {
	PID  actor.PID
	Meta any
}

// Members tells a watcher everybody who is in Group, in no order. It is the answer to a [Registry.Watch]. When it comes
// again, the watcher has missed so much that it is told the whole state anew, and what it knew no longer counts.
type Members struct {
	Group   string
	Entries []Entry
}

// Joined tells a watcher who is a member of Group now and was not when it was told last. A member that it knows already
// has new meta, or has left and come back.
type Joined struct {
	Group   string
	Entries []Entry
}

// Left tells a watcher who is no longer a member of Group, each with the meta that the watcher knows.
type Left struct {
	Group   string
	Entries []Entry
}

// watcher is a process that watches a group: it reads both halves of its journal.
type watcher struct {
	r                *Registry
	ref              host.Ref
	group            *group
	journal          *journal
	stopped          atomic.Bool
	members, present reader
}

func (w *watcher) key() registrationKey {
	return registrationKey{kind: RegisteredWatch, name: w.group.name}
}

// Watch tells pid, by messages, who is in the group, and who is present under the topic of that name. First come two
// messages with the whole state, even if it is empty: [Members], and a [PresenceDiff] with Whole set. Then come
// [Joined] and [Left] for what changes in the group, and a PresenceDiff for what changes in the topic. There is no gap
// between the two, and nothing comes twice: a watcher that has handled all of its mailbox knows what [Registry.Members]
// and [Registry.Present] say, or the message that tells it is on its way.
//
// What happens while such a message waits in the mailbox of pid becomes part of it, so at most one about the group and
// one about the topic wait. What has both come and gone meanwhile is not reported at all. So a busy watcher gets few
// messages with much in them, even when thousands change at once. They do not count against MailboxLimit and are never
// refused. A watcher that has more than 8,192 changes to read, with new meta counted as two, may be told the whole state
// again.
//
// pid need not be a member, the group need not exist, and a second Watch changes nothing. A watch ends with its
// watcher. The error is [ErrNoProcess]. All watchers share what they get, so it is read-only.
func (r *Registry) Watch(group string, pid actor.PID) error {
	e := r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: watch %q by %v: %w", group, pid, ErrNoProcess)
	}
	if e.find(registrationKey{kind: RegisteredWatch, name: group}) != nil {
		e.mu.Unlock()
		return nil
	}
	t := r.groupShard(group)
	t.mu.Lock()
	g := t.group(group)
	x := g.extras()
	if x.journal == nil {
		x.journal = new(journal)
	}
	w := &watcher{r: r, ref: e.ref, group: g, journal: x.journal}
	w.members.watcher, w.present.watcher, w.present.presence = w, w, true
	w.journal.enroll()
	t.mu.Unlock()
	e.add(w)
	e.mu.Unlock()
	tell([]*reader{&w.members, &w.present})
	return nil
}

// Unwatch ends a Watch. Once it has returned, nothing more is told to pid, not even what has happened before. It does
// nothing when pid does not watch the group.
func (r *Registry) Unwatch(group string, pid actor.PID) {
	r.vacate(registrationKey{kind: RegisteredWatch, name: group}, pid)
}

func (w *watcher) vacate(r *Registry, _ bool) news {
	w.stopped.Store(true)
	g := w.group
	t := r.groupShard(g.name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.journal.dismiss(w) {
		g.more.journal = nil
	}
	t.tidy(g)
	return news{}
}
