package registry

import (
	"iter"
	"maps"

	"github.com/troupe-dev/troupe/actor/host"
)

// PresenceDiff tells a watcher of Topic how [Registry.Present] has changed since it was told last.
//
// Came and Went have, for each key, what has come and what has gone. New meta counts as both: the old one has gone and
// the new one has come, under one Ref. What has both come and gone since is in neither. Now has each key that is in Came
// or Went, with all its current metas: none when nobody is there under that key any more.
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

// Apply changes present, which is how things were before the diff, into how they are after it.
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

// person is a key that is present under a topic, with its tracks. The lock of its part guards it.
type person struct {
	key    string
	seat   uint32 // in which part of a large group it is
	tracks []*track
	shown  []Meta // of the tracks, shared by all who look and never written to; nil: to be made anew
}

// persons are those of one part, by their keys. A nil *persons is empty, so that a group without any pays one word.
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

// Present yields the keys that are present under the topic, each with the metas of all its processes, in no order. Each
// range over it looks anew, and sees a small topic as it was at one moment, a large one part by part. The slices are
// shared and read-only. The loop body may use the registry. [Registry.PresentOf] looks at one key. In a cluster it yields who is
// present on this node and on all that are connected, as far as this one has heard.
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

// PresentOf returns the metas of one key under the topic, one for each of its processes, in no order; nil when there are
// none. The slice is shared and read-only. What it costs does not depend on how many other keys there are.
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

// The methods of part and person below need the lock of the part.

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

// present tells whether anybody is present; the shard is locked for writing.
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
