package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// attempt is an Ensure that starts a process, or first waits for the holder's end. There is one for a name at a time,
// guarded by the lock of the name's shard; pid, err and gaveUp are set when done is closed.
type attempt struct {
	freed  chan struct{} // closed when the name changes hands; nil: its holder is not ending
	held   actor.PID     // the last one that has taken the name meanwhile
	done   chan struct{}
	pid    actor.PID
	err    error
	gaveUp bool // its caller's ctx was done: the next one tries
}

var errStartPanicked = errors.New("registry: Ensure: the start function of another caller panicked")

// attemptKey is the context key by which a start function's ctx is known.
type attemptKey struct {
	r    *Registry
	name string
}

// Ensure returns the process that holds the name, and starts one when there is none. Of the callers that want one name
// at a time, one runs start, on its own goroutine, and the others wait for the result; no lock is held meanwhile, and
// other names are not affected. While the holder is ending, whose Terminate may take long, Ensure waits: the new
// process then begins where the old one has left off. ctx bounds the wait or, when it has no deadline, the System's
// CallTimeout does. start gets a ctx derived from it, and should heed it: when the Inits of two rooms Ensure each
// other, only that ends them.
//
// The process registers itself, in its Init, so that it has the name before anybody can reach it through this call. If
// it has not, Ensure registers it, with nil as its meta. The error is that of ctx; that of start, unless somebody holds
// the name by then; [ErrNoProcess] when the process has ended and never had the name; or a [*TakenError] when start
// returned one process and another holds the name. A process that has had the name and ended meanwhile is returned, as
// [Registry.Whereis] would have returned it a moment before. When start fails with a *TakenError for that name and
// nobody has it any more, Ensure begins again; so it does when start fails with supervisor.ErrAlreadyPresent, as a Spawn
// does under an id whose child is being restarted. A panic in start is its caller's, and an error for the others.
//
// Whoever would wait for itself gets an error at once: a start that wants its own name, with the ctx that it got, and
// the holder that is ending, or a child of it. The Init of the process that start spawns must not Ensure its own name.
func (r *Registry) Ensure(ctx context.Context, name string, start func(ctx context.Context) (actor.PID, error)) (actor.PID, error) {
	if ctx.Value(attemptKey{r, name}) != nil {
		return actor.PID{}, fmt.Errorf("registry: Ensure %q by its own start function would wait for itself", name)
	}
	if pid, _, ok := r.Whereis(name); ok {
		return pid, nil
	}
	ctx, cancel := r.bound(ctx)
	defer cancel()
	for {
		if pid, _, ok := r.Whereis(name); ok {
			return pid, nil
		}
		a, own, err := r.try(ctx, name)
		if err != nil {
			return actor.PID{}, err
		}
		if own {
			r.attempt(ctx, name, a, start)
			return a.pid, a.err
		}
		select {
		case <-a.done:
			if !a.gaveUp {
				return a.pid, a.err
			}
		case <-ctx.Done():
			return actor.PID{}, ensureError(name, ctx.Err())
		}
	}
}

// bound gives a ctx that has no deadline the one of a Call.
func (r *Registry) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || r.sys.CallTimeout() <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.sys.CallTimeout())
}

func ensureError(name string, err error) error {
	return fmt.Errorf("registry: Ensure %q: %w", name, err)
}

// try returns the attempt for a name, and makes it if there is none: then it is the caller's own.
func (r *Registry) try(ctx context.Context, name string) (a *attempt, own bool, err error) {
	s := r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.m.Get(name)
	if h != nil && host.Outlives(ctx, h.who.pid) {
		return nil, false, fmt.Errorf("registry: Ensure %q: %v, which is ending, would wait for itself", name, h.who.pid)
	}
	if a := s.attempts.Get(name); a != nil {
		return a, false, nil
	}
	a = &attempt{done: make(chan struct{}), err: errStartPanicked}
	if h != nil {
		a.freed = make(chan struct{})
	}
	s.attempts.Put(name, a)
	return a, true, nil
}

// attempt waits until nobody who is ending holds the name, and starts a process if nobody does then.
func (r *Registry) attempt(ctx context.Context, name string, a *attempt, start func(ctx context.Context) (actor.PID, error)) {
	s := r.nameShard(name)
	defer func() { // after a panic in start, too
		s.mu.Lock()
		s.attempts.Delete(name)
		s.mu.Unlock()
		close(a.done)
	}()
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Millisecond), 100*time.Millisecond) {
		held, err := r.waitFree(ctx, s, name, a)
		if err != nil || held != (actor.PID{}) {
			a.pid, a.err, a.gaveUp = held, err, err != nil
			return
		}
		again := false
		a.pid, again, a.err = r.begin(ctx, name, a, start)
		a.gaveUp = a.err != nil && ctx.Err() != nil
		if !again || sleep(ctx, pause) != nil {
			return
		}
		a.err = errStartPanicked // if it does
	}
}

// waitFree waits as long as the holder of the name is ending, and returns the one that is not; the zero PID: the name
// is free.
func (r *Registry) waitFree(ctx context.Context, s *nameShard, name string, a *attempt) (holder actor.PID, err error) {
	for {
		s.mu.Lock()
		h, freed := s.m.Get(name), a.freed
		switch {
		case h == nil:
			s.mu.Unlock()
			return actor.PID{}, nil
		case h.who.ref.Alive():
			s.mu.Unlock()
			return h.who.pid, nil
		case freed == nil:
			freed = make(chan struct{})
			a.freed = freed
		}
		s.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return actor.PID{}, ensureError(name, ctx.Err())
		}
	}
}

// changed notes that the name has another holder, or none; the shard of the name is locked for writing.
func (a *attempt) changed(h *holding) {
	if h != nil {
		a.held = h.who.pid
	}
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
}

// errEndedAtOnce says that the process that start returned never had the name.
var errEndedAtOnce = fmt.Errorf("%w: it has ended before it had the name", ErrNoProcess)

// begin runs a start function, and checks what it promises. again says that it has failed because of a process that had
// the name at that moment, such as one that was restarted, and has gone since, or because of a child with its id, which
// is about to have the name.
func (r *Registry) begin(ctx context.Context, name string, a *attempt, start func(ctx context.Context) (actor.PID, error)) (pid actor.PID, again bool, err error) {
	pid, err = start(context.WithValue(ctx, attemptKey{r, name}, true))
	if err != nil {
		if pid, _, ok := r.Whereis(name); ok { // somebody who does not use Ensure was faster
			return pid, false, nil
		}
		taken, ok := errors.AsType[*TakenError](err)
		return actor.PID{}, ok && taken.Name == name || host.Present(err), err
	}
	err = r.register(name, pid, nil, false)
	if !errors.Is(err, ErrNoProcess) {
		if err != nil {
			return actor.PID{}, false, err
		}
		return pid, false, nil
	}
	if other, _, ok := r.Whereis(name); ok {
		return other, false, nil
	}
	s := r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.held == pid && pid != (actor.PID{}) { // it has had the name, done its work and ended: Whereis would have returned it a moment ago
		return pid, false, nil
	}
	return actor.PID{}, false, fmt.Errorf("registry: Ensure %q, started as %v: %w", name, pid, errEndedAtOnce)
}
