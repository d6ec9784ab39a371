package registry

import (
	"fmt"

	"github.com/troupe-dev/troupe/actor"
)

// TakenError is the error of a name that another process holds. Meta is what that process registered with.
type TakenError struct {
	Name string
	PID  actor.PID
	Meta any
}

// Holder returns PID. A supervisor.Dynamic treats an Init error that has this method like ErrIgnore: the process exists
// already.
func (e *TakenError) Holder() actor.PID { return e.PID }

// Error names the name and its holder.
func (e *TakenError) Error() string {
	return fmt.Sprintf("registry: the name %q is taken by %v", e.Name, e.PID)
}

// holding is a name and its holder. It does not change: new meta makes another holding.
type holding struct {
	who  *entries
	name string
	meta any
}

func (h *holding) key() registrationKey { return registrationKey{kind: RegisteredName, name: h.name} }

func (h *holding) vacate(r *Registry, _ bool) news {
	s := r.nameShard(h.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.Get(h.name) != h { // it has been replaced
		return news{}
	}
	s.m.Delete(h.name)
	holder := actor.PID{}
	if r.others != nil {
		r.others.unclaim(h.name)
		if c := s.away.Get(h.name); c != nil { // its node has not heard yet that it has lost
			holder = c.pid
			r.others.confirm(s, h.name) // nor has the one of a worse one, which may know of h only by this node
		}
	}
	return news{names: r.changed(s, h.name, holder)}
}

// Register gives pid the name, until its Terminate has returned or Unregister is called. meta is what Whereis returns
// with the PID. A process may hold many names. When it holds this one already, it gets the new meta.
//
// The error is a [*TakenError] when another process holds the name. That may be one that is ending, which
// [Registry.Whereis] no longer returns: its Terminate may be saving what pid would load. [Registry.Replace] would take
// the name from it. Otherwise the error is [ErrNoProcess].
//
// In a cluster the name must be free on all nodes, as far as this one has heard; see [NewCluster] and Config.OnConflict. Then
// meta must be able to cross, of a registered type if it has one, and may have 32 KiB when it is encoded, the name 4 KiB; the
// error says what of it is wrong.
func (r *Registry) Register(name string, pid actor.PID, meta any) error {
	return r.register(name, pid, meta, true)
}

// register is Register; without renew a process that holds the name already keeps its meta.
func (r *Registry) register(name string, pid actor.PID, meta any, renew bool) error {
	var crossing []byte // meta, for other nodes
	if r.others != nil {
		var err error
		if crossing, err = r.others.encode(meta, name); err != nil {
			return fmt.Errorf("registry: register for %v: %w", pid, err)
		}
	}
	e := r.entriesOf(pid)
	if e == nil {
		return fmt.Errorf("registry: register %q for %v: %w", name, pid, ErrNoProcess)
	}
	h := &holding{who: e, name: name, meta: meta}
	held, tell, err := r.take(h, renew, crossing)
	if held {
		e.hold(h)
	}
	e.mu.Unlock()
	r.deliver(news{names: tell})
	return err
}

// take makes h the holding of its name, unless another process holds that. held says that h is it now.
func (r *Registry) take(h *holding, renew bool, crossing []byte) (held bool, tell []*nameWatcher, err error) {
	s := r.nameShard(h.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.m.Get(h.name)
	if old != nil {
		if old.who != h.who {
			return false, nil, &TakenError{Name: h.name, PID: old.who.pid(), Meta: old.meta}
		}
		if !renew {
			return false, nil, nil
		}
	} else if c := s.away.Get(h.name); c != nil {
		return false, nil, &TakenError{Name: h.name, PID: c.pid, Meta: c.meta}
	}
	s.m.Put(h.name, h)
	if r.others != nil {
		r.others.registered(h, old != nil, crossing)
	}
	return true, r.changed(s, h.name, h.who.pid()), nil
}

// changed notes that the name has another holder now, or none: it tells a waiting Ensure, also of other nodes, and returns the
// watchers that are to be told because no message is on its way to them. s is locked for writing.
func (r *Registry) changed(s *nameShard, name string, holder actor.PID) (tell []*nameWatcher) {
	if a := s.attempts.Get(name); a != nil {
		a.changed(holder)
	}
	if r.others != nil {
		r.others.review(s, name)
	}
	for _, w := range s.watchers.Get(name) {
		if !w.waiting {
			w.waiting = true
			tell = append(tell, w)
		}
	}
	return tell
}

// hold notes h with its process, in place of an older holding of that name.
func (e *entries) hold(h *holding) {
	if old := e.find(h.key()); old != nil {
		e.replace(old, h)
	} else {
		e.add(h)
	}
}

// Replace gives pid the name, whoever holds it. It is atomic: at each moment the name has one holder, the old one or the
// new one. old is who held it, zero when nobody did or pid itself; the old process is not told, and the caller ends it
// as it likes:
//
//	old, err := reg.Replace("user:42", actor.Self(ctx), nil)
//	old.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"}) // does nothing for the zero PID
//
// In a cluster old may be a process of another node, which hears of it in a moment. Until then there it still has the name. If the
// link to that node ends, the Exit may be lost although the Replace is not; docs/explanation/across-nodes.md says what to do.
//
// The error is [ErrNoProcess]; nothing has changed then.
func (r *Registry) Replace(name string, pid actor.PID, meta any) (old actor.PID, err error) {
	var crossing []byte // meta, for other nodes
	if r.others != nil {
		if crossing, err = r.others.encode(meta, name); err != nil {
			return actor.PID{}, fmt.Errorf("registry: replace by %v: %w", pid, err)
		}
	}
	e := r.entriesOf(pid)
	if e == nil {
		return actor.PID{}, fmt.Errorf("registry: replace the holder of %q by %v: %w", name, pid, ErrNoProcess)
	}
	h := &holding{who: e, name: name, meta: meta}
	s := r.nameShard(name)
	s.mu.Lock()
	prev, away := s.m.Get(name), s.away.Get(name)
	s.m.Put(name, h)
	if r.others != nil {
		r.others.replaced(s, h, prev, crossing)
	}
	tell := r.changed(s, name, pid)
	s.mu.Unlock()
	e.hold(h)
	e.mu.Unlock()
	r.deliver(news{names: tell})
	if prev == nil && away != nil {
		return away.pid, nil
	}
	if prev == nil || prev.who == e {
		return actor.PID{}, nil
	}
	if other := prev.who.lock(); other != nil {
		other.remove(prev)
		other.mu.Unlock()
	}
	return prev.who.pid(), nil
}

// Unregister takes the name from pid. It does nothing when pid does not hold it.
func (r *Registry) Unregister(name string, pid actor.PID) {
	r.vacate(registrationKey{kind: RegisteredName, name: name}, pid)
}

// Whereis returns who holds the name, and the meta of its Register; false when nobody does, or when the holder is
// ending and takes no more messages (see [actor.PID.Alive]). Such a holder keeps the name until its Terminate has
// returned: [Registry.Register] returns who it is, [Registry.Ensure] waits for its end, [Registry.Replace] takes the name
// from it. Whereis does not wait. As with every PID, the process may have ended by the time the caller uses it. In a cluster it may
// be one of another node; what other nodes have told is known here, so nobody is asked.
func (r *Registry) Whereis(name string) (actor.PID, any, bool) {
	s := r.nameShard(name)
	s.mu.RLock()
	h := s.m.Get(name)
	if h == nil {
		c := s.away.Get(name)
		there := c != nil && !c.ending
		s.mu.RUnlock()
		if !there || !c.pid.Alive() {
			return actor.PID{}, nil, false
		}
		return c.pid, c.meta, true
	}
	s.mu.RUnlock()
	if !h.who.ref.Alive() {
		return actor.PID{}, nil, false
	}
	return h.who.pid(), h.meta, true
}

// holder returns who holds the name and is not ending. free says that nobody does, not even one that is ending. s is locked, at
// least for reading.
func (s *nameShard) holder(name string) (pid actor.PID, free bool) {
	h, c := s.m.Get(name), s.away.Get(name)
	switch {
	case h != nil && h.who.ref.Alive():
		return h.who.pid(), false
	case h == nil && c != nil && !c.ending && c.pid.Alive():
		return c.pid, false
	}
	return actor.PID{}, h == nil && c == nil
}
