package registry

import (
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/actor"
)

// Topic is a group for messages of one type, which the compiler checks. It is a small value; make it with [TopicOf].
// The zero Topic is not usable.
//
// [Registry.Join] and [Registry.Broadcast], which know no types, work on the group as on any other.
type Topic[M any] struct {
	r    *Registry
	name string
}

// TopicOf returns the topic of that name. The first call binds the name to M for as long as the Registry lives; a later
// call with another M returns an error that names both types. Each name costs some memory for good, so the names should
// be the program's, not a client's.
func TopicOf[M any](r *Registry, name string) (Topic[M], error) {
	message := reflect.TypeFor[M]()
	if bound, ok := r.topics.LoadOrStore(name, message); ok && bound != message {
		return Topic[M]{}, fmt.Errorf("registry: topic %q has messages of type %v, not %v", name, bound, message)
	}
	return Topic[M]{r: r, name: name}, nil
}

// Publish is [Registry.Broadcast] of msg to those who have subscribed: it returns how many mailboxes took it.
func (t Topic[M]) Publish(msg M) int { return t.r.Broadcast(t.name, msg) }

// Subscribe makes pid get what is published, as messages of type M: it is [Registry.Join] of the group of that name,
// without meta; a member keeps its meta. The error is [ErrNoProcess].
func (t Topic[M]) Subscribe(pid actor.PID) error {
	if err := t.r.long(t.name); err != nil {
		return fmt.Errorf("registry: subscribe by %v: %w", pid, err)
	}
	e := t.r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: subscribe to %q by %v: %w", t.name, pid, ErrNoProcess)
	}
	var n news
	if e.find(registrationKey{kind: RegisteredMember, name: t.name}) == nil {
		m := &member{who: e.ref}
		n = t.r.enter(t.name, m)
		e.add(m)
	}
	e.mu.Unlock()
	t.r.deliver(n)
	return nil
}

// Unsubscribe ends a Subscribe; it is [Registry.Leave] of the group of that name.
func (t Topic[M]) Unsubscribe(pid actor.PID) { t.r.Leave(t.name, pid) }
