package registry

import (
	"iter"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/internal/shrink"
)

// PresenceDiff tells a watcher of Topic how [Registry.Present] has changed. Joined has the keys that are there now and
// were not, and those whose metas have changed, because another process of that key came, one of several went, or one
// has new meta: each with all its metas of now. Left has the keys of which the last process went, with the metas that
// they had. A key is in one of them at most; either may be nil.
//
// So several sockets of one user count as one person: the first brings the user into Joined, only the last one's end
// brings it into Left. What a watcher knows is right when it does this with each diff:
//
//	maps.Copy(present, diff.Joined)
//	for key := range diff.Left {
//		delete(present, key)
//	}
//
// A key in diff.Joined that is not in present before has just come. All watchers share the maps and their metas, which
// are read only.
type PresenceDiff struct {
	Topic  string
	Joined map[string][]any
	Left   map[string][]any
}

// person is a key that is present under a topic: the processes that track it. Its part's lock guards it.
type person struct {
	key    string
	line   int
	tracks []*track
}

// persons are those of one part, by their keys; nil: none, which costs a group one word only.
type persons struct {
	shrink.Map[string, *person]
}

func (ps *persons) len() int {
	if ps == nil {
		return 0
	}
	return ps.Len()
}

func (ps *persons) get(key string) *person {
	if ps == nil {
		return nil
	}
	return ps.Get(key)
}

// track is one process's presence under one key. Its part's lock guards meta and at.
type track struct {
	group  *group
	person *person
	meta   any
	at     int32 // in person.tracks
	in     int32 // in process.places
}

func (tr *track) key() placeKey {
	return placeKey{kind: kindTrack, name: tr.group.name, key: tr.person.key}
}
func (tr *track) slot() *int32 { return &tr.in }

// Track makes pid present under the topic as key, until it ends or Untrack: a user's name or id as a rule, so that all
// sockets of one user are one key. meta is what others see of this one: its device, its state. Tracked again under the
// same key, pid gets the new meta. Track says false when pid is no process.
//
// [Registry.Present] tells who is there, and who watches the group of the same name gets a [PresenceDiff] for each
// change; see [Registry.Watch]. Track does not join that group. Each diff carries all metas of its key, so a key should
// stand for one person, not for all who have no name.
func (r *Registry) Track(topic string, pid actor.PID, key string, meta any) bool {
	p := r.process(pid)
	if p == nil {
		return false
	}
	var n news
	if tr, ok := p.find(placeKey{kind: kindTrack, name: topic, key: key}).(*track); ok {
		n = r.update(tr, meta)
	} else {
		tr := &track{meta: meta}
		n = r.appear(topic, key, tr)
		p.add(tr)
	}
	p.mu.Unlock()
	r.deliver(n)
	return true
}

// Untrack takes back what Track did for pid and key. It does nothing when there is nothing to take back.
func (r *Registry) Untrack(topic string, pid actor.PID, key string) {
	r.vacate(placeKey{kind: kindTrack, name: topic, key: key}, pid)
}

// Present yields the keys that are present under the topic, each with the metas of all its processes, in no order. Each
// range over it is a new look: a small topic is seen as it was at one moment, a large one part by part. The metas' slice
// belongs to the loop body, which may use the registry.
func (r *Registry) Present(topic string) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		first, parts := r.presentIn(topic)
		for key, metas := range first {
			if !yield(key, metas) {
				return
			}
		}
		if parts == nil {
			return
		}
		for i := range parts {
			parts[i].mu.Lock()
			present := parts[i].present()
			parts[i].mu.Unlock()
			for key, metas := range present {
				if !yield(key, metas) {
					return
				}
			}
		}
	}
}

// presentIn returns who is present in a small group, or the parts of a large one.
func (r *Registry) presentIn(topic string) (map[string][]any, *[partCount]largePart) {
	t := r.groupShard(topic)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(topic)
	if g == nil {
		return nil, nil
	}
	if parts := g.parts(); parts != nil {
		return nil, parts
	}
	g.first.mu.Lock()
	defer g.first.mu.Unlock()
	return g.first.present(), nil
}

// The methods of part and person need the lock of their part.

// present returns who is in the part, for the caller to keep.
func (pt *part) present() map[string][]any {
	if pt.persons == nil {
		return nil
	}
	all := make(map[string][]any, pt.persons.Len())
	for key, ps := range pt.persons.All() {
		all[key] = ps.metas()
	}
	return all
}

func (pt *part) put(ps *person) {
	if pt.persons == nil {
		pt.persons = new(persons)
	}
	pt.persons.Put(ps.key, ps)
}

func (ps *person) metas() []any {
	metas := make([]any, len(ps.tracks))
	for i, tr := range ps.tracks {
		metas[i] = tr.meta
	}
	return metas
}

// present tells whether anybody is, and is exact when the shard is locked for writing.
func (g *group) present() bool {
	parts := g.parts()
	if parts == nil {
		return g.first.persons != nil
	}
	for i := range parts {
		if parts[i].persons != nil {
			return true
		}
	}
	return false
}

// appear makes a track known.
func (r *Registry) appear(topic, key string, tr *track) news {
	t := r.groupShard(topic)
	t.mu.RLock()
	if g := t.m.Get(topic); g != nil {
		if n, ok := g.appear(r.hash(key), key, tr, false); ok {
			t.mu.RUnlock()
			return n
		}
	}
	t.mu.RUnlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.group(topic)
	n, _ := g.appear(r.hash(key), key, tr, true)
	g.divide()
	return n
}

// appear adds tr. Without the shard's lock for writing it refuses to make a small group large.
func (g *group) appear(hash uint64, key string, tr *track, writing bool) (news, bool) {
	pt := g.part(hash)
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if !writing && g.parts() == nil && pt.persons.len() >= smallGroup {
		return news{}, false
	}
	ps := pt.persons.get(key)
	if ps == nil {
		ps = &person{key: key, line: lineOfKey(hash)}
		pt.put(ps)
	}
	tr.group, tr.person, tr.at = g, ps, int32(len(ps.tracks))
	ps.tracks = append(ps.tracks, tr)
	return g.seen(ps), true
}

// update gives tr another meta.
func (r *Registry) update(tr *track, meta any) news {
	g := tr.group
	t := r.groupShard(g.name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	pt := g.part(uint64(tr.person.line))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	tr.meta = meta
	return g.seen(tr.person)
}

func (tr *track) vacate(r *Registry) news {
	n, empty := tr.disappear(r)
	if empty {
		r.settle(tr.group)
	}
	return n
}

// disappear takes tr out. empty says that nobody is present in its part any more.
func (tr *track) disappear(r *Registry) (n news, empty bool) {
	g, ps := tr.group, tr.person
	t := r.groupShard(g.name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	pt := g.part(uint64(ps.line))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	last := len(ps.tracks) - 1
	if last == 0 {
		pt.persons.Delete(ps.key)
		if pt.persons.Len() == 0 {
			pt.persons = nil
		}
		if g.watched() {
			n = g.tell(ps.line, PresenceDiff{Topic: g.name, Left: map[string][]any{ps.key: {tr.meta}}})
		}
		return n, pt.persons == nil
	}
	ps.tracks[tr.at] = ps.tracks[last]
	ps.tracks[tr.at].at = tr.at
	ps.tracks[last] = nil
	ps.tracks = shrink.Slice(ps.tracks[:last])
	return g.seen(ps), false
}

// seen tells the watchers the metas of a person; its part is locked.
func (g *group) seen(ps *person) news {
	if !g.watched() {
		return news{}
	}
	return g.tell(ps.line, PresenceDiff{Topic: g.name, Joined: map[string][]any{ps.key: ps.metas()}})
}
