package registry

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
)

// TakenError is the error of a name that another process holds. Meta is what that process registered with.
type TakenError struct {
	Name string
	PID  actor.PID
	Meta any
}

// Error names the name and its holder.
func (e *TakenError) Error() string {
	return fmt.Sprintf("registry: the name %q is taken by %v", e.Name, e.PID)
}

// holding is a name and its holder. It does not change: other meta is another holding.
type holding struct {
	pid  actor.PID
	name string
	meta any
	at   int32
}

func (h *holding) key() placeKey { return placeKey{kind: kindName, name: h.name} }
func (h *holding) slot() *int32  { return &h.at }

func (h *holding) vacate(r *Registry) news {
	s := r.nameShard(h.name)
	s.mu.Lock()
	if s.get(h.name) == h { // it may have been replaced
		s.remove(h.name)
	}
	s.mu.Unlock()
	return news{}
}

// Register gives pid the name, until it ends or gives the name up. meta is what Whereis returns beside the PID, for
// whoever needs to know more. A process may hold many names. When it holds this one already, it gets the new meta.
//
// The error is a [*TakenError] when another process holds the name, which [Registry.Replace] would take from it, or it
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
	if h := s.get(name); h != nil {
		if h.pid != pid {
			return &TakenError{Name: name, PID: h.pid, Meta: h.meta}
		}
		if !renew {
			return nil
		}
	}
	h := &holding{pid: pid, name: name, meta: meta}
	s.put(name, h)
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
	h := &holding{pid: pid, name: name, meta: meta}
	s := r.nameShard(name)
	s.mu.Lock()
	prev := s.get(name)
	s.put(name, h)
	s.mu.Unlock()
	p.hold(h)
	p.mu.Unlock()
	if prev == nil || prev.pid == pid {
		return actor.PID{}, true
	}
	if q := r.known(prev.pid); q != nil {
		q.remove(prev)
		q.mu.Unlock()
	}
	return prev.pid, true
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

// Whereis returns who holds the name, and the meta of its Register; false when nobody does. It does not wait for
// anything. The process may have ended when the caller uses the PID, as with every PID; it has the name until its
// Terminate has returned.
func (r *Registry) Whereis(name string) (actor.PID, any, bool) {
	s := r.nameShard(name)
	s.mu.RLock()
	h := s.get(name)
	s.mu.RUnlock()
	if h == nil {
		return actor.PID{}, nil, false
	}
	return h.pid, h.meta, true
}

// attempt is an Ensure whose start function runs.
type attempt struct {
	done chan struct{}
	pid  actor.PID
	err  error
}

var errStartPanicked = errors.New("registry: Ensure: the start function of another caller panicked")

// Ensure returns who holds the name, and starts a process when nobody does. Of the callers that want one name at a time,
// one runs start, on its own goroutine, and the others wait for what comes of it; no lock is held meanwhile, and other
// names are not affected.
//
// The process registers itself, in its Init, so that it has the name before anybody can reach it by this call. One that
// has not is registered by Ensure, with nil as its meta. The error is that of start, unless somebody holds the name by then;
// [ErrNoProcess] when the process has ended meanwhile; or a [*TakenError] when start returned one process and another
// holds the name. A panic in start is its caller's, and an error for the others. start must not Ensure its own name:
// it would wait for itself.
func (r *Registry) Ensure(name string, start func() (actor.PID, error)) (actor.PID, error) {
	if pid, _, ok := r.Whereis(name); ok {
		return pid, nil
	}
	s := r.nameShard(name)
	s.mu.Lock()
	if h := s.get(name); h != nil {
		s.mu.Unlock()
		return h.pid, nil
	}
	if a := s.attempts.get(name); a != nil {
		s.mu.Unlock()
		<-a.done
		return a.pid, a.err
	}
	a := &attempt{done: make(chan struct{}), err: errStartPanicked}
	s.attempts.put(name, a)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.attempts.remove(name)
		s.mu.Unlock()
		close(a.done)
	}()
	a.pid, a.err = r.attempt(name, start)
	return a.pid, a.err
}

// attempt runs a start function, and makes sure of what it promises.
func (r *Registry) attempt(name string, start func() (actor.PID, error)) (actor.PID, error) {
	pid, err := start()
	if err != nil {
		if pid, _, ok := r.Whereis(name); ok { // somebody who does not use Ensure was faster
			return pid, nil
		}
		return actor.PID{}, err
	}
	if err := r.register(name, pid, nil, false); err != nil {
		return actor.PID{}, err
	}
	return pid, nil
}
