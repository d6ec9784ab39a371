package registry

import "sync"

// journal exists while a group is watched. It records what happens to the group's members and to those who are present,
// each change once, however many watch. A reader knows up to which change it has read. When something happens, each
// reader that has read everything gets one message; when that message has its turn in the mailbox, the reader reads on
// to the end. So a change costs one message for each reader that had read everything, a reader pays for what has changed
// since it last looked, and at most one message waits in a mailbox, which says everything.
//
// mu is taken after all other locks of the registry. Changes are noted under the lock of the part that they are about.
type journal struct {
	mu      sync.RWMutex
	members changes[*member]
	present changes[*track]
	now     map[string]current // of the keys in present
	readers int
}

// current is all metas of a key, after its last change, which has that number.
type current struct {
	metas []Meta
	last  uint64
}

func (j *journal) half(r *reader) cursor {
	if r.presence {
		return &j.present
	}
	return &j.members
}

// joined notes that m is a member, left that it no longer is; its part is locked. They return whom to tell.
func (j *journal) joined(m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.cameIn(m)
	return j.noted(&j.members)
}

func (j *journal) left(m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.wentOut(m)
	return j.noted(&j.members)
}

func (j *journal) renewed(old, m *member) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.members.wentOut(old)
	j.members.cameIn(m)
	return j.noted(&j.members)
}

// tracked notes that old, unless it is nil, is no longer present, and that tr, unless it is nil, now is; metas are those
// of their key now.
func (j *journal) tracked(old, tr *track, key string, metas []Meta) []*reader {
	j.mu.Lock()
	defer j.mu.Unlock()
	if old != nil {
		j.present.wentOut(old)
	}
	if tr != nil {
		j.present.cameIn(tr)
	}
	if j.now == nil {
		j.now = make(map[string]current)
	}
	j.now[key] = current{metas, j.present.end()}
	return j.noted(&j.present)
}

// noted ends each of these: it returns whom to tell, and forgets what is too much.
func (j *journal) noted(c cursor) []*reader {
	wake := c.takeIdle()
	c.keep(maxChanges)
	if c == cursor(&j.present) {
		j.forgetKeys()
	}
	return wake
}

// forgetKeys forgets the keys of changes that are forgotten.
func (j *journal) forgetKeys() {
	if len(j.now) <= 2*len(j.present.list) {
		return
	}
	for key, now := range j.now {
		if now.last <= j.present.base {
			delete(j.now, key)
		}
	}
	if len(j.now) == 0 {
		j.now = nil
	}
}

// readOn ends a reader's turn: it waits or, when more has happened meanwhile or something is still to be told, is sent
// another message. When all readers have read everything, nothing needs to be kept.
func (j *journal) readOn(r *reader) {
	j.mu.Lock()
	c := j.half(r)
	more := r.unsent != nil || r.read != c.end()
	if !more && !r.stopped.Load() {
		c.addIdle(r)
		j.trim()
	}
	j.mu.Unlock()
	if more {
		r.ref.Notify(r)
	}
}

// trim forgets what all readers have read.
func (j *journal) trim() {
	if len(j.members.idle) == j.readers {
		j.members.drop(len(j.members.list))
	}
	if len(j.present.idle) == j.readers {
		j.present.drop(len(j.present.list))
		j.now = nil
	}
}

// enroll and dismiss count the watchers; their shard is locked for writing. last says that nobody watches any more.
func (j *journal) enroll() {
	j.mu.Lock()
	j.readers++
	j.mu.Unlock()
}

func (j *journal) dismiss(w *watcher) (last bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.readers--
	j.members.removeIdle(&w.members)
	j.present.removeIdle(&w.present)
	j.trim()
	return j.readers == 0
}

// diff is what has changed in a topic after the change of that number; for all see changes.since. j.mu is held for
// reading.
func (j *journal) diff(after uint64, all bool) (PresenceDiff, bool) {
	came, went, ok := j.present.since(after, all)
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
