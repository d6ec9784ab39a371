package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// attempt is an Ensure that starts a process, after it has waited for the end of the holder if there is one. There is at
// most one for each name. The lock of the name's shard guards freed and held; the others are set before done is closed.
type attempt struct {
	freed  chan struct{} // closed when the name gets another holder, or none; nil: nobody waits for that
	held   actor.PID     // the last process that has taken the name meanwhile
	done   chan struct{}
	pid    actor.PID
	err    error
	gaveUp bool // its ctx was done first: one of those that wait tries next
}

var errStartPanicked = errors.New("registry: Ensure: the start function of another caller panicked")

// attemptKey is the context key by which the ctx of a start function is recognised.
type attemptKey struct {
	r    *Registry
	name string
}

// Ensure returns the process that holds the name, and starts one when there is none. Of several callers that want the
// same name at the same time, one runs start, on its own goroutine, and the others wait for its result. No lock is held
// meanwhile, and other names are not affected. While the holder is ending, whose Terminate may take long, Ensure waits,
// so that the new process begins where the old one has left off. ctx bounds the wait or, when it has no deadline, the
// System's CallTimeout does. start gets a ctx derived from it, and should end with it: when the Inits of two rooms Ensure
// each other, nothing else ends them.
//
// The process registers itself in its Init, so that it has the name before anybody can reach it through this call. If it
// has not, Ensure registers it, with nil as its meta. The error is one of these: that of ctx; that of start, unless
// somebody holds the name by then; [ErrNoProcess] when the process has ended and never had the name; actor.ErrNodeDown when
// ctx was done while another node knew a holder that this one cannot reach; a [*TakenError] when start returned one process
// and another holds the name. A process that has had the name and has ended meanwhile is
// returned without an error, as [Registry.Whereis] would have returned it a moment before. Ensure tries again when start
// fails with a *TakenError for that name and nobody holds it any more, and when start fails with
// supervisor.ErrAlreadyPresent, as a Spawn does under an id whose child is being restarted. When start panics, its caller
// does, and the others get an error.
//
// In a cluster, one node at a time runs its start for a name. They agree on that by asking two of the nodes that are connected, one
// after the other. That holds also while one node comes, goes or is lost. When several do during one start, or two nodes see
// nodes of which more than one differs, two may start one, and one of these loses the name; see [NewCluster]. When one of the two
// still knows a holder on a node that this one has lost, Ensure waits until it does not, or that node is back. start returns a process of
// its own node, or one that registers itself.
//
// A caller that would wait for itself gets an error at once: a start that calls Ensure for its own name, with the ctx that
// it got, and the holder that is ending, or a child of it. The Init of the process that start spawns must not Ensure its
// own name.
func (r *Registry) Ensure(ctx context.Context, name string, start func(ctx context.Context) (actor.PID, error)) (actor.PID, error) {
	if ctx.Value(attemptKey{r, name}) != nil {
		return actor.PID{}, fmt.Errorf("registry: Ensure %q by its own start function would wait for itself", name)
	}
	if pid, _, ok := r.Whereis(name); ok {
		return pid, nil
	}
	if err := r.long(name); err != nil {
		return actor.PID{}, fmt.Errorf("registry: Ensure: %w", err)
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

// bound gives a ctx without a deadline that of a Call.
func (r *Registry) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok || r.sys.CallTimeout() <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, r.sys.CallTimeout())
}

func ensureError(name string, err error) error {
	return fmt.Errorf("registry: Ensure %q: %w", name, err)
}

// try returns the attempt for a name. own says that there was none, so that the caller has to carry it out.
func (r *Registry) try(ctx context.Context, name string) (a *attempt, own bool, err error) {
	s := r.nameShard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.m.Get(name)
	if h != nil && host.Outlives(ctx, h.who.pid()) {
		return nil, false, fmt.Errorf("registry: Ensure %q: %v, which is ending, would wait for itself", name, h.who.pid())
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

// attempt carries out a: it waits as long as the holder is ending, and starts a process if nobody holds the name then.
func (r *Registry) attempt(ctx context.Context, name string, a *attempt, start func(ctx context.Context) (actor.PID, error)) {
	s := r.nameShard(name)
	defer func() { // after a panic in start, too
		s.mu.Lock()
		s.attempts.Delete(name)
		s.mu.Unlock()
		close(a.done)
	}()
	var last error // why the try before has failed, which says more than that the time is over
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Millisecond), 100*time.Millisecond) {
		held, err := r.waitFree(ctx, s, name, a)
		if err != nil {
			a.err, a.gaveUp = errors.Join(err, last), true
			return
		}
		if held != (actor.PID{}) {
			a.pid, a.err = held, nil
			return
		}
		again, begin := false, r.begin
		if r.others != nil {
			begin = r.others.begin
		}
		a.pid, again, a.err = begin(ctx, name, a, start)
		if a.gaveUp = a.err != nil && ctx.Err() != nil; a.gaveUp {
			a.err = errors.Join(a.err, last)
			return
		}
		if !again {
			return
		}
		last = a.err
		if a.gaveUp = sleep(ctx, pause) != nil; a.gaveUp {
			return
		}
		a.err = errStartPanicked // in case the next one does
	}
}

// waitFree waits as long as the holder of the name is ending, and returns a holder that is not ending; the zero PID: the
// name is free.
func (r *Registry) waitFree(ctx context.Context, s *nameShard, name string, a *attempt) (holder actor.PID, err error) {
	for {
		s.mu.Lock()
		holder, free := s.holder(name)
		freed := a.freed
		switch {
		case free || holder != actor.PID{}:
			s.mu.Unlock()
			return holder, nil
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
func (a *attempt) changed(holder actor.PID) {
	if holder != (actor.PID{}) {
		a.held = holder
	}
	if a.freed != nil {
		close(a.freed)
		a.freed = nil
	}
}

// errEndedAtOnce says that the process that start returned never had the name.
var errEndedAtOnce = fmt.Errorf("%w: it has ended before it had the name", ErrNoProcess)

// begin runs a start function, and checks that what it returns has the name. again says that it is worth another try: it
// has failed because of a process that had the name and has ended since, or because of a child with its id, which is
// being restarted and is about to have the name.
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
	if a.held == pid && pid != (actor.PID{}) { // it has had the name, and has done its work and ended since
		return pid, false, nil
	}
	return actor.PID{}, false, fmt.Errorf("registry: Ensure %q, started as %v: %w", name, pid, errEndedAtOnce)
}
