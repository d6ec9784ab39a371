package registry

import (
	"fmt"
	"iter"
	"maps"
	"strconv"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Ref names one [Registry.Track]. It stays the same as long as its process is present under its key, whatever its meta,
// and no other has it, on this node or another. So two sockets of one user can be told apart. It is comparable and has
// a text form, in JSON too; the zero Ref names none.
type Ref struct{ id uint64 }

// String is the text form: at most 13 lower case letters and digits.
func (f Ref) String() string { return strconv.FormatUint(f.id, 36) }

// MarshalText returns the text form.
func (f Ref) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, f.id, 36), nil }

// UnmarshalText reads the text form.
func (f *Ref) UnmarshalText(text []byte) error {
	id, err := strconv.ParseUint(string(text), 36, 64)
	if err != nil {
		return fmt.Errorf("registry: malformed Ref %.20q", text)
	}
	f.id = id
	return nil
}

// Meta is what one [Registry.Track] says about a key: usually about one of a user's sockets.
type Meta struct {
	Ref  Ref `json:"ref"`
	Meta any `json:"meta"`
}

// PresenceDiff tells a watcher of Topic how [Registry.Present] has changed since it was told last.
//
// Came and Went have, for each key, what has come and what has gone. New meta is both: the old one has gone and the new
// one has come, under one Ref. What has both come and gone since is in neither. Now has each key that is in Came or
// Went, with all its current metas; none when nobody is there any more under that key.
//
// So several sockets of one user count as one person: the first brings the user into Now, and the end of the last one
// leaves the user there with no metas. A watcher that calls [PresenceDiff.Apply] with each diff knows the right state.
//
// Whole says that this is the whole state: the answer to [Registry.Watch]. Came and Now are the same then, and what the
// watcher knew before no longer counts.
//
// All watchers share the slices and metas, which are read-only.
type PresenceDiff struct {
	Topic string
	Whole bool
	Came  map[string][]Meta
	Went  map[string][]Meta
	Now   map[string][]Meta
}

// Apply turns what was present before the diff into what is present after it.
func (d PresenceDiff) Apply(present map[string][]Meta) {
	if d.Whole {
		clear(present)
	}
	maps.Copy(present, d.Now)
	for key := range d.Went {
		if len(d.Now[key]) == 0 {
			delete(present, key)
		}
	}
}

// person is a key that is present under a topic: the processes that track it. Its part's lock guards it.
type person struct {
	key    string
	seat   uint32 // its part of a large group
	tracks []*track
	shown  []Meta // of the tracks, for all who look; nil: to be made. It is never written to
}

// persons are those of one part, by their keys; nil: none, so that it costs a group only one word.
type persons struct {
	host.Map[string, *person]
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

// track is one process's presence under one key. Its part's lock guards at; the rest does not change: new meta makes
// another track.
type track struct {
	group  *group
	person *person
	meta   any
	ref    Ref
	at     int32 // in person.tracks
	in     int32 // in process.places
}

func (tr *track) shown() Meta { return Meta{tr.ref, tr.meta} }

func (tr *track) key() placeKey {
	return placeKey{kind: kindTrack, name: tr.group.name, key: tr.person.key}
}
func (tr *track) slot() *int32 { return &tr.in }

// Track makes pid present under the topic as key, until it ends or Untrack: usually a user's name or id, so that all
// sockets of one user are one key. meta is what others see of this one: its device, its state. Tracked again under the
// same key, pid gets the new meta. The error is [ErrNoProcess].
//
// [Registry.Present] returns who is there, and whoever watches the group of the same name gets a [PresenceDiff] when
// that changes; see [Registry.Watch]. Track does not join that group. A diff carries all metas of its keys, so a key
// should stand for one person, not for all who have no name.
func (r *Registry) Track(topic string, pid actor.PID, key string, meta any) error {
	p := r.process(pid)
	if p == nil {
		return fmt.Errorf("registry: track %q in %q for %v: %w", key, topic, pid, ErrNoProcess)
	}
	var n news
	if old, ok := p.find(placeKey{kind: kindTrack, name: topic, key: key}).(*track); ok {
		tr := &track{group: old.group, person: old.person, ref: old.ref, meta: meta}
		n = r.update(old, tr)
		p.replace(old, tr)
	} else {
		tr := &track{meta: meta, ref: Ref{r.refs.Add(1)}}
		n = r.appear(topic, key, tr)
		p.add(tr)
	}
	p.mu.Unlock()
	r.deliver(n)
	return nil
}

// Untrack takes back what Track did for pid and key. It does nothing when there is nothing to take back.
func (r *Registry) Untrack(topic string, pid actor.PID, key string) {
	r.vacate(placeKey{kind: kindTrack, name: topic, key: key}, pid)
}

// Present yields the keys that are present under the topic, each with the metas of all its processes, in no order. Each
// range over it is a new look: a small topic is seen as it was at one moment, a large one part by part. The slices are
// shared by all who look, and read-only. The loop body may use the registry. [Registry.PresentOf] looks at one key.
func (r *Registry) Present(topic string) iter.Seq2[string, []Meta] {
	return func(yield func(string, []Meta) bool) { r.everybody(topic, yield) }
}

// everybody calls f for each key until f returns false. No lock is held.
func (r *Registry) everybody(topic string, f func(string, []Meta) bool) {
	first, parts := r.presentIn(topic)
	for key, metas := range first {
		if !f(key, metas) {
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
			if !f(key, metas) {
				return
			}
		}
	}
}

// presentIn returns who is present in a small group, or the parts of a large one.
func (r *Registry) presentIn(topic string) (map[string][]Meta, *[partCount]largePart) {
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

// PresentOf returns the metas of one key under the topic, one for each of its processes, in no order; none when nobody
// is there. The slice is shared and read-only. The cost does not depend on how many others are present.
func (r *Registry) PresentOf(topic, key string) []Meta {
	t := r.groupShard(topic)
	t.mu.RLock()
	defer t.mu.RUnlock()
	g := t.m.Get(topic)
	if g == nil {
		return nil
	}
	pt := g.part(r.hash(key))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if ps := pt.persons.get(key); ps != nil {
		return ps.metas()
	}
	return nil
}

// The methods of part and person need the lock of their part.

// present returns who is in the part; the map is the caller's.
func (pt *part) present() map[string][]Meta {
	if pt.persons == nil {
		return nil
	}
	all := make(map[string][]Meta, pt.persons.Len())
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

// metas returns those of the tracks, in a slice to be shared.
func (ps *person) metas() []Meta {
	if ps.shown == nil {
		ps.shown = make([]Meta, len(ps.tracks))
		for i, tr := range ps.tracks {
			ps.shown[i] = tr.shown()
		}
	}
	return ps.shown
}

// keys counts the keys that are present; the shard is locked, at least for reading.
func (g *group) keys() (n int) {
	parts := g.parts()
	if parts == nil {
		g.first.mu.Lock()
		defer g.first.mu.Unlock()
		return g.first.persons.len()
	}
	for i := range parts {
		parts[i].mu.Lock()
		n += parts[i].persons.len()
		parts[i].mu.Unlock()
	}
	return n
}

// present tells whether anybody is, and is exact when the shard is locked for writing.
func (g *group) present() bool {
	parts := g.parts()
	if parts == nil {
		return g.first.persons.len() > 0
	}
	for i := range parts {
		if parts[i].persons.len() > 0 {
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
		ps = &person{key: key, seat: uint32(hash % partCount)}
		pt.put(ps)
	}
	tr.group, tr.person, tr.at = g, ps, int32(len(ps.tracks))
	ps.tracks = append(ps.tracks, tr)
	return g.tracked(ps, nil, tr), true
}

// update puts tr in the place of old, because of its new meta.
func (r *Registry) update(old, tr *track) news {
	g, ps := old.group, old.person
	t := r.groupShard(g.name)
	t.mu.RLock()
	defer t.mu.RUnlock()
	pt := g.part(uint64(ps.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	tr.at = old.at
	ps.tracks[tr.at] = tr
	return g.tracked(ps, old, tr)
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
	pt := g.part(uint64(ps.seat))
	pt.mu.Lock()
	defer pt.mu.Unlock()
	last := len(ps.tracks) - 1
	ps.tracks[tr.at] = ps.tracks[last]
	ps.tracks[tr.at].at = tr.at
	ps.tracks[last] = nil
	ps.tracks = host.Shrink(ps.tracks[:last])
	if last == 0 {
		pt.persons.Delete(ps.key)
		if pt.persons.Len() == 0 {
			pt.persons = nil
		}
	}
	return g.tracked(ps, tr, nil), pt.persons == nil
}

// tracked notes that tr has taken the place of old, also for the watchers, if there are any.
func (g *group) tracked(ps *person, old, tr *track) news {
	ps.shown = nil
	if !g.watched() {
		return news{}
	}
	return news{readers: g.more.journal.tracked(old, tr, ps.key, ps.metas())}
}
