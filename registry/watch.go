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

// Members tells a watcher who is in Group: everybody, in no order. It is the answer to a [Registry.Watch]. When it
// comes again, the watcher has missed so much that it is told everything anew: what it knew no longer counts.
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
	in               int32 // in process.places
	stopped          atomic.Bool
	members, present reader
}

func (w *watcher) key() placeKey { return placeKey{kind: kindWatch, name: w.group.name} }
func (w *watcher) slot() *int32  { return &w.in }

// Watch tells pid, by messages, who is in the group, and who is present under the topic of that name. The answer is two
// messages with the whole state, even if it is empty: [Members], and a [PresenceDiff] with Whole set. Then come
// [Joined] and [Left] for what changes in the group, and a PresenceDiff for what changes in the topic. Between the two
// there is no gap and nothing comes twice: a watcher that has handled all of its mailbox knows what [Registry.Members]
// and [Registry.Present] say, or the message that tells it is on its way.
//
// What happens while such a message waits in the mailbox of pid becomes part of it, so at most one about the group and
// one about the topic wait. What has both come and gone meanwhile is not reported at all. So for a busy watcher, or
// when thousands change at once, there are few messages with much in them; they do not count against MailboxLimit and
// are never refused. A watcher that is more than 8,192 changes behind, new meta counted
// twice, may be told the whole state again.
//
// pid need not be a member, the group need not exist, and a second Watch changes nothing. A watch ends with its
// watcher. The error is [ErrNoProcess]. All watchers share what they get: it is read-only.
func (r *Registry) Watch(group string, pid actor.PID) error {
	p := r.process(pid)
	if p == nil {
		return fmt.Errorf("registry: watch %q by %v: %w", group, pid, ErrNoProcess)
	}
	if p.find(placeKey{kind: kindWatch, name: group}) != nil {
		p.mu.Unlock()
		return nil
	}
	t := r.groupShard(group)
	t.mu.Lock()
	g := t.group(group)
	x := g.extras()
	if x.journal == nil {
		x.journal = new(journal)
	}
	w := &watcher{r: r, ref: p.ref, group: g, journal: x.journal}
	w.members.watcher, w.present.watcher, w.present.presence = w, w, true
	w.journal.enroll()
	t.mu.Unlock()
	p.add(w)
	p.mu.Unlock()
	tell([]*reader{&w.members, &w.present})
	return nil
}

// Unwatch ends a Watch. Once it has returned, nothing more is told to pid, not even what has happened before. It does
// nothing when pid does not watch the group.
func (r *Registry) Unwatch(group string, pid actor.PID) {
	r.vacate(placeKey{kind: kindWatch, name: group}, pid)
}

func (w *watcher) vacate(r *Registry) news {
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

// Content implements host.Deferred.
func (r *reader) Content() any {
	if r.presence {
		return PresenceDiff{Topic: r.group.name}
	}
	return Members{Group: r.group.name}
}

// Due implements host.Deferred: it returns what there is to tell.
func (r *reader) Due(actor.PID) (msg any, ok bool) {
	if r.stopped.Load() {
		return nil, false
	}
	msg, r.rest = r.rest, nil
	switch {
	case msg != nil:
	case r.presence:
		msg = r.readPresent()
	default:
		msg = r.readMembers()
	}
	r.journal.readOn(r)
	return msg, msg != nil
}

// readMembers reads on in the journal or, the first time, everything.
func (r *reader) readMembers() any {
	if r.begun {
		j := r.journal
		j.mu.RLock()
		came, went, ok := j.members.since(r.place, false)
		end := j.members.end()
		j.mu.RUnlock()
		if ok {
			r.place = end
			return r.changed(entries(came), entries(went))
		}
	}
	r.begun = true
	return Members{r.group.name, r.allMembers()}
}

// changed turns changes into messages: it returns the first and keeps the second.
func (r *reader) changed(came, went []Entry) any {
	if len(came) > 0 && len(went) > 0 { // a member with new meta has not left
		there := make(map[actor.PID]struct{}, len(came))
		for _, e := range came {
			there[e.PID] = struct{}{}
		}
		left := went[:0]
		for _, e := range went {
			if _, ok := there[e.PID]; !ok {
				left = append(left, e)
			}
		}
		went = left
	}
	switch {
	case len(went) == 0 && len(came) == 0:
		return nil
	case len(went) == 0:
		return Joined{r.group.name, came}
	case len(came) > 0:
		r.rest = Joined{r.group.name, came}
	}
	return Left{r.group.name, went}
}

func entries(members []*member) []Entry {
	if len(members) == 0 {
		return nil
	}
	list := make([]Entry, len(members))
	for i, m := range members {
		list[i] = Entry{m.who.pid, m.meta}
	}
	return list
}

// allMembers looks at the group part by part. What changes meanwhile is in the journal, so the result is the state at
// the end.
func (r *reader) allMembers() []Entry {
	j := r.journal
	for {
		j.mu.RLock()
		start := j.members.end()
		j.mu.RUnlock()
		var all []*member
		r.r.everyMember(r.group.name, func(list []*member) bool { all = append(all, list...); return true })
		j.mu.RLock()
		came, went, ok := j.members.since(start, true)
		r.place = j.members.end()
		j.mu.RUnlock()
		if !ok {
			continue
		}
		if len(came)+len(went) > 0 {
			all = amend(all, came, went)
		}
		return entries(all)
	}
}

// amend adds what came to a list, which may have some of it already, and takes out what went.
func amend[T comparable](list, came, went []T) []T {
	set := make(map[T]struct{}, len(list)+len(came))
	for _, all := range [][]T{list, came} {
		for _, v := range all {
			set[v] = struct{}{}
		}
	}
	for _, v := range went {
		delete(set, v)
	}
	list = list[:0]
	for v := range set {
		list = append(list, v)
	}
	return list
}

// readPresent is readMembers for the other half.
func (r *reader) readPresent() any {
	j := r.journal
	if r.begun {
		j.mu.RLock()
		diff, ok := j.diff(r.place, false)
		end := j.present.end()
		j.mu.RUnlock()
		if ok {
			r.place = end
			if len(diff.Now) == 0 {
				return nil
			}
			diff.Topic = r.group.name
			return diff
		}
	}
	r.begun = true
	all := r.allPresent()
	return PresenceDiff{Topic: r.group.name, Whole: true, Came: all, Now: all}
}

// diff is what has changed in a topic since a place; all as in since. j.mu is held for reading.
func (j *journal) diff(place uint64, all bool) (PresenceDiff, bool) {
	came, went, ok := j.present.since(place, all)
	if !ok || len(came)+len(went) == 0 {
		return PresenceDiff{}, ok
	}
	diff := PresenceDiff{Came: byKey(came), Went: byKey(went), Now: make(map[string][]Meta, len(came)+len(went))}
	for _, tracks := range [][]*track{came, went} {
		for _, tr := range tracks {
			diff.Now[tr.person.key] = j.now[tr.person.key].metas
		}
	}
	return diff, true
}

func byKey(tracks []*track) map[string][]Meta {
	if len(tracks) == 0 {
		return nil
	}
	m := make(map[string][]Meta, len(tracks))
	for _, tr := range tracks {
		m[tr.person.key] = append(m[tr.person.key], tr.shown())
	}
	return m
}

// allPresent is allMembers for the other half.
func (r *reader) allPresent() map[string][]Meta {
	j := r.journal
	for {
		j.mu.RLock()
		start := j.present.end()
		j.mu.RUnlock()
		all := make(map[string][]Meta)
		r.r.everybody(r.group.name, func(key string, metas []Meta) bool { all[key] = metas; return true })
		j.mu.RLock()
		diff, ok := j.diff(start, true)
		r.place = j.present.end()
		j.mu.RUnlock()
		if !ok {
			continue
		}
		diff.Apply(all)
		return all
	}
}
