package registry

import (
	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// reader reads one half of the journal for a watcher. It is also the message that tells the watcher, a host.Deferred:
// at most one waits in the mailbox, and its content is what there is to tell when its turn comes.
//
// Only its process uses begun, read and unsent, in its turn; at is guarded by journal.mu.
type reader struct {
	*watcher
	presence bool
	begun    bool   // it has been told the whole state
	read     uint64 // the number of the last change it has read
	unsent   any    // what it has read and not told yet
	at       int32  // in changes.idle, from 1; 0: a message is on its way to it
}

var _ host.Deferred = (*reader)(nil)

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
	msg, r.unsent = r.unsent, nil
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
		came, went, ok := j.members.since(r.read, false)
		end := j.members.end()
		j.mu.RUnlock()
		if ok {
			r.read = end
			return r.changed(asEntries(came), asEntries(went))
		}
	}
	r.begun = true
	return Members{r.group.name, r.allMembers()}
}

// changed turns changes into at most two messages: it returns the first and keeps the second.
func (r *reader) changed(came, went []Entry) any {
	if len(came) > 0 && len(went) > 0 { // a member with new meta has not left
		there := make(map[actor.PID]struct{}, len(came))
		for _, e := range came {
			there[e.PID] = struct{}{}
		}
		gone := went[:0]
		for _, e := range went {
			if _, ok := there[e.PID]; !ok {
				gone = append(gone, e)
			}
		}
		went = gone
	}
	switch {
	case len(went) == 0 && len(came) == 0:
		return nil
	case len(went) == 0:
		return Joined{r.group.name, came}
	case len(came) > 0:
		r.unsent = Joined{r.group.name, came}
	}
	return Left{r.group.name, went}
}

func asEntries(members []*member) []Entry {
	if len(members) == 0 {
		return nil
	}
	list := make([]Entry, len(members))
	for i, m := range members {
		list[i] = Entry{m.who.PID(), m.meta}
	}
	return list
}

// allMembers looks at the group part by part. What changes meanwhile is in the journal and is added at the end, so the
// result is how things are then.
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
		r.read = j.members.end()
		j.mu.RUnlock()
		if !ok {
			continue
		}
		if len(came)+len(went) > 0 {
			all = amend(all, came, went)
		}
		return asEntries(all)
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
		diff, ok := j.diff(r.read, false)
		end := j.present.end()
		j.mu.RUnlock()
		if ok {
			r.read = end
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
		r.read = j.present.end()
		j.mu.RUnlock()
		if !ok {
			continue
		}
		diff.Apply(all)
		return all
	}
}
