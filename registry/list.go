package registry

import (
	"iter"

	"github.com/troupe-dev/troupe/actor"
)

// Names yields all names and their holders, in no order. It is for pages and tools: it looks at everything, part by part,
// so what it yields is not how things were at one moment. No lock is held while the loop body runs, which may use the
// registry. The same holds for [Registry.Groups], [Registry.Topics] and [Registry.Of].
func (r *Registry) Names() iter.Seq2[string, actor.PID] {
	return func(yield func(string, actor.PID) bool) {
		type held struct {
			name string
			pid  actor.PID
		}
		var list []held
		for i := range r.names {
			s := &r.names[i]
			list = list[:0]
			s.mu.RLock()
			for name, h := range s.m.All() {
				list = append(list, held{name, h.who.pid()})
			}
			for name, c := range s.away.All() {
				if s.m.Get(name) == nil {
					list = append(list, held{name, c.pid})
				}
			}
			s.mu.RUnlock()
			for _, h := range list {
				if !yield(h.name, h.pid) {
					return
				}
			}
		}
	}
}

// Groups yields all groups that have members, and how many each has, in no order; see [Registry.Names].
func (r *Registry) Groups() iter.Seq2[string, int] { return r.counted((*group).count) }

// Topics yields all topics under which somebody is present, and how many keys there are, in no order; see [Registry.Names].
// The groups of a [Topic] are in [Registry.Groups].
func (r *Registry) Topics() iter.Seq2[string, int] { return r.counted((*group).keys) }

// counted yields the groups for which count is more than 0.
func (r *Registry) counted(count func(*group) int) iter.Seq2[string, int] {
	type counted struct {
		name string
		n    int
	}
	return func(yield func(string, int) bool) {
		var list []counted
		for i := range r.groups {
			t := &r.groups[i]
			list = list[:0]
			t.mu.RLock()
			for _, g := range t.m.All() {
				if n := count(g); n > 0 {
					list = append(list, counted{g.name, n})
				}
			}
			t.mu.RUnlock()
			for _, c := range list {
				if !yield(c.name, c.n) {
					return
				}
			}
		}
	}
}

// Registration is one thing that the registry knows about a process.
type Registration struct {
	Kind RegistrationKind
	Name string // of the name, the group or the topic
	Key  string // of a presence
	Meta any    // of a name, a member or a presence
}

// RegistrationKind says what a [Registration] is.
type RegistrationKind uint8

const (
	RegisteredName      RegistrationKind = iota // by [Registry.Register] or [Registry.Replace]
	RegisteredMember                            // by [Registry.Join]
	RegisteredWatch                             // by [Registry.Watch]
	RegisteredPresence                          // by [Registry.Track]
	RegisteredNameWatch                         // by [Registry.WatchName]
)

// String returns it as one word.
func (k RegistrationKind) String() string {
	return [...]string{"name", "member", "watch", "presence", "name watch"}[k]
}

// Of yields all that the registry knows about one process, in no order; nothing when it has ended. See
// [Registry.Names].
func (r *Registry) Of(pid actor.PID) iter.Seq[Registration] {
	return func(yield func(Registration) bool) {
		e := r.known(pid)
		if e == nil {
			return
		}
		all := e.all()
		list := make([]Registration, len(all))
		for i, reg := range all {
			k := reg.key()
			list[i] = Registration{Kind: k.kind, Name: k.name, Key: k.key, Meta: metaOf(reg)}
		}
		e.mu.Unlock()
		for _, reg := range list {
			if !yield(reg) {
				return
			}
		}
	}
}

func metaOf(reg registration) any {
	switch reg := reg.(type) {
	case *holding:
		return reg.meta
	case *member:
		return reg.meta
	case *track:
		return reg.meta
	}
	return nil
}
