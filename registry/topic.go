package registry

import (
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/actor"
)

// Topic is a group for messages of one type, for the compiler's help. It is a small value; make it by [TopicOf] wherever
// it is needed.
//
// M is bound to the name while somebody who has subscribed, or any other member, is there: until the group is empty
// again, [TopicOf], Publish and Subscribe with another M for that name panic. By [Registry.Join] and
// [Registry.Broadcast], which know no types, the group can be used as any other, too.
type Topic[M any] struct {
	r    *Registry
	name string
}

// TopicOf returns the topic of that name. It panics when the name is in use for another M.
func TopicOf[M any](r *Registry, name string) Topic[M] {
	t := Topic[M]{r: r, name: name}
	s := r.groupShard(name)
	s.mu.RLock()
	var err error
	if g := s.m.Get(name); g != nil {
		err = g.fits(t.message())
	}
	s.mu.RUnlock()
	t.must(err)
	return t
}

// Publish is [Registry.Broadcast] of msg to those who have subscribed: it returns how many mailboxes took it.
func (t Topic[M]) Publish(msg M) int {
	n, err := t.r.broadcast(t.name, msg, actor.PID{}, nil, t.message())
	t.must(err)
	return n
}

// Subscribe makes pid get what is published, as messages of type M: it is [Registry.Join] of the group of that name,
// without meta, or leaves a member its meta. [Registry.Leave] ends it. False: pid is no process.
func (t Topic[M]) Subscribe(pid actor.PID) bool {
	p := t.r.process(pid)
	if p == nil {
		return false
	}
	var n news
	var err error
	if m, ok := p.find(placeKey{kind: kindMember, name: t.name}).(*member); ok {
		s := t.r.groupShard(t.name)
		s.mu.Lock()
		err = m.group.bind(t.message())
		s.mu.Unlock()
	} else {
		m := &member{who: p, to: p.ref, seat: p.seat}
		if n, err = t.r.enter(t.name, m, t.message()); err == nil {
			p.add(m)
		}
	}
	p.mu.Unlock()
	t.must(err)
	t.r.deliver(n)
	return true
}

func (t Topic[M]) message() reflect.Type { return reflect.TypeFor[M]() }

// must panics: another type is the mistake of who wrote the program.
func (t Topic[M]) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("registry: Topic[%v] %q: %v", t.message(), t.name, err))
	}
}

// carries tells whether g is bound to a message type; nil: no type is asked for.
func (g *group) carries(message reflect.Type) bool {
	return message == nil || g.more != nil && g.more.message == message
}

// fits returns an error when g is bound to another message type.
func (g *group) fits(message reflect.Type) error {
	if message == nil || g.more == nil || g.more.message == nil || g.more.message == message {
		return nil
	}
	return fmt.Errorf("the name is in use for messages of type %v", g.more.message)
}

// bind binds g to a message type; its shard is locked for writing.
func (g *group) bind(message reflect.Type) error {
	if message == nil {
		return nil
	}
	if err := g.fits(message); err != nil {
		return err
	}
	g.extras().message = message
	return nil
}
