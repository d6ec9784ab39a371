package registry

import (
	"fmt"
	"strconv"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// Ref names one [Registry.Track]. It stays the same as long as the process is present under the key, even when its meta
// changes, and is unique among all nodes. So two sockets of one user can be told apart. It is comparable and has a text
// form, in JSON too; the zero Ref names none.
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

// track is the presence of one process under one key. The lock of its part guards at; the rest does not change: new meta
// makes another track.
type track struct {
	group  *group
	person *person
	meta   any
	ref    Ref
	at     int32 // in person.tracks
}

func (tr *track) shown() Meta { return Meta{tr.ref, tr.meta} }

func (tr *track) key() registrationKey {
	return registrationKey{kind: RegisteredPresence, name: tr.group.name, key: tr.person.key}
}

// Track makes pid present under the topic as key, until it ends or Untrack is called. The key is usually a user's name
// or id, so that all sockets of one user have one key. meta is what others see of this socket: its device, its state.
// Another Track of pid under the same key gives it the new meta. The error is [ErrNoProcess].
//
// [Registry.Present] returns who is there, and whoever watches the group of the same name gets a [PresenceDiff] when
// that changes; see [Registry.Watch]. Track does not join that group. A diff has all metas of its keys, so a key should
// stand for one person, not for everybody who has no name.
//
// In a cluster all nodes see it. Then meta must be able to cross, of a registered type if it has one, and may have 32 KiB when it
// is encoded, topic and key 4 KiB each; the error says what of it is wrong, and nothing has changed.
func (r *Registry) Track(topic string, pid actor.PID, key string, meta any) error {
	var crossing []byte // meta, for other nodes
	if r.others != nil {
		var err error
		if crossing, err = r.others.encode(meta, topic, key); err != nil {
			return fmt.Errorf("registry: track for %v: %w", pid, err)
		}
	}
	e := r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: track %q in %q for %v: %w", key, topic, pid, ErrNoProcess)
	}
	var n news
	tr := &track{meta: meta}
	if old, ok := e.find(registrationKey{kind: RegisteredPresence, name: topic, key: key}).(*track); ok {
		tr.group, tr.person, tr.ref = old.group, old.person, old.ref
		n = r.update(old, tr)
		e.replace(old, tr)
	} else {
		tr.ref = Ref{r.refs.Add(1)}
		n = r.appear(topic, key, tr)
		e.add(tr)
	}
	if r.others != nil {
		r.others.track(tr, crossing)
	}
	e.mu.Unlock()
	r.deliver(n)
	return nil
}

// Untrack undoes the Track of pid under key. It does nothing when there is none.
func (r *Registry) Untrack(topic string, pid actor.PID, key string) {
	r.vacate(registrationKey{kind: RegisteredPresence, name: topic, key: key}, pid)
}

// appear makes tr known.
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

// appear adds tr. Unless the shard is locked for writing, it refuses to go beyond what a small group may have.
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

// update puts tr where old is, to give it new meta.
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

func (tr *track) vacate(r *Registry, _ bool) news {
	if r.others != nil {
		r.others.untrack(tr)
	}
	n, empty := tr.disappear(r)
	if empty {
		r.settle(tr.group)
	}
	return n
}

// disappear takes tr out. empty says that nobody is left in its part.
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

// tracked notes for those who look, and for the watchers if there are any, that tr has replaced old; nil: none.
func (g *group) tracked(ps *person, old, tr *track) news {
	ps.shown = nil
	if !g.watched() {
		return news{}
	}
	return news{readers: g.more.journal.tracked(old, tr, ps.key, ps.metas())}
}
