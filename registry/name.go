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

// Holder is PID. A supervisor.Dynamic takes an Init that fails with an error that has this method for ErrIgnore: the
// process is there already.
func (e *TakenError) Holder() actor.PID { return e.PID }

// Error names the name and its holder.
func (e *TakenError) Error() string {
	return fmt.Sprintf("registry: the name %q is taken by %v", e.Name, e.PID)
}

// holding is a name and its holder. It does not change: other meta is another holding.
type holding struct {
	who  *process
	name string
	meta any
	at   int32
}

func (h *holding) key() placeKey { return placeKey{kind: kindName, name: h.name} }
func (h *holding) slot() *int32  { return &h.at }

func (h *holding) vacate(r *Registry) news {
	s := r.nameShard(h.name)
	s.mu.Lock()
	if s.m.Get(h.name) == h { // it may have been replaced
		s.m.Delete(h.name)
		s.freed(h.name)
	}
	s.mu.Unlock()
	return news{}
}

// Register gives pid the name, until its Terminate has returned or it gives the name up. meta is what Whereis returns beside the PID, for
// whoever needs to know more. A process may hold many names. When it holds this one already, it gets the new meta.
//
// The error is a [*TakenError] when another process holds the name, also one that is ending and that [Registry.Whereis] does
// not return any more: its Terminate may save what pid would load. [Registry.Replace] would take the name from it. Or it
// is [ErrNoProcess].
func (r *Registry) Register(name string, pid actor.PID, meta any) error {
	return r.register(name, pid, meta, true)
}

// register is Register; without renew a holder keeps its meta.
func (r *Registry) register(name string, pid actor.PID, meta any, renew bool) error {
	p := r.process(pid)
	if p == nil {
		return fmt.Errorf("registry: register %q for %v: %w", name, pid, ErrNoProcess)
	}
	defer p.mu.Unlock()
	s := r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.m.Get(name); h != nil {
		if h.who != p {
			return &TakenError{Name: name, PID: h.who.pid, Meta: h.meta}
		}
		if !renew {
			return nil
		}
	}
	h := &holding{who: p, name: name, meta: meta}
	s.m.Put(name, h)
	s.freed(name)
	p.hold(h)
	return nil
}

// hold notes h with its process, in place of an older holding of that name.
func (p *process) hold(h *holding) {
	if old := p.find(h.key()); old != nil {
		p.replace(old, h)
	} else {
		p.add(h)
	}
}

// Replace gives pid the name, whoever holds it. It is atomic: at each moment the name has one holder, the old one or the
// new one. old is who held it, zero when nobody did or pid itself; the old process is not told, and the caller ends it
// as it likes:
//
//	old, ok := reg.Replace("user:42", actor.Self(ctx), nil)
//	old.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"}) // does nothing for the zero PID
//
// ok says whether pid holds the name now; false: pid is no process, and nothing has changed.
func (r *Registry) Replace(name string, pid actor.PID, meta any) (old actor.PID, ok bool) {
	p := r.process(pid)
	if p == nil {
		return actor.PID{}, false
	}
	h := &holding{who: p, name: name, meta: meta}
	s := r.nameShard(name)
	s.mu.Lock()
	prev := s.m.Get(name)
	s.m.Put(name, h)
	s.freed(name)
	s.mu.Unlock()
	p.hold(h)
	p.mu.Unlock()
	if prev == nil || prev.who == p {
		return actor.PID{}, true
	}
	if q := prev.who.lock(); q != nil {
		q.remove(prev)
		q.mu.Unlock()
	}
	return prev.who.pid, true
}

// Unregister takes the name from pid. It does nothing when pid does not hold it.
func (r *Registry) Unregister(name string, pid actor.PID) {
	p := r.known(pid)
	if p == nil {
		return
	}
	defer p.mu.Unlock()
	if h := p.find(placeKey{kind: kindName, name: name}); h != nil {
		p.remove(h)
		h.vacate(r)
	}
}

// Whereis returns who holds the name, and the meta of its Register; false when nobody does, or when the holder is ending
// and takes no messages any more (see [actor.PID.Alive]). Such a holder keeps the name from others until its Terminate has
// returned: [Registry.Register] says who it is, [Registry.Ensure] waits for its end, [Registry.Replace] takes the name from
// it. Whereis does not wait for anything. The process may have ended when the caller uses the PID, as with every PID.
func (r *Registry) Whereis(name string) (actor.PID, any, bool) {
	s := r.nameShard(name)
	s.mu.RLock()
	h := s.m.Get(name)
	s.mu.RUnlock()
	if h == nil || !h.who.ref.Alive() {
		return actor.PID{}, nil, false
	}
	return h.who.pid, h.meta, true
}
