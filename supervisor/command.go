package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// command runs f under the lock of the running tree, and then waits for the channel that f returns, if it is not nil.
func (s *Supervisor) command(ctx context.Context, id string, f func(*tree, *child) (<-chan error, error)) error {
	t := s.running()
	if t == nil {
		return s.rep.failed(id, ErrNotRunning)
	}
	wait, err := t.command(id, f)
	if err != nil {
		return s.rep.failed(id, err)
	}
	if wait == nil {
		return nil
	}
	select {
	case err = <-wait:
	case <-ctx.Done():
		select {
		case err = <-wait: // what is decided counts
		default:
			err = context.Cause(ctx)
		}
	}
	return s.rep.failed(id, err)
}

func (t *tree) command(id string, f func(*tree, *child) (<-chan error, error)) (<-chan error, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return nil, ErrNotRunning
	}
	wait, err := f(t, t.byID[id])
	t.poke()
	return wait, err
}

// StartChild adds a child after the others and starts it, at once: it waits neither for a start nor for a restart that
// is going on. It returns when the child is ready, with a [*StartError] when the start failed; the child is forgotten
// then. ctx bounds the wait, not the child.
//
// ErrAlreadyPresent: there is a child of that ID (ErrRunning or ErrRestarting tell more). ErrNotRunning: the supervisor is
// not served, or is stopping. ErrTerminated: somebody terminated it meanwhile.
func (s *Supervisor) StartChild(ctx context.Context, spec ChildSpec) error {
	spec, warning, err := spec.normalize(Permanent)
	if err != nil {
		return fmt.Errorf("supervisor %s: %w", s.rep.name, err)
	}
	return s.command(ctx, spec.ID, func(t *tree, c *child) (<-chan error, error) {
		switch {
		case t.stopping:
			return nil, ErrNotRunning
		case c != nil && c.life != nil:
			return nil, fmt.Errorf("%w: %w", ErrAlreadyPresent, ErrRunning)
		case c != nil && c.want:
			return nil, fmt.Errorf("%w: %w", ErrAlreadyPresent, ErrRestarting)
		case c != nil:
			return nil, ErrAlreadyPresent
		}
		c = &child{spec: spec, added: true, fresh: true}
		t.insert(c)
		if warning != "" {
			t.event(c, Event{Kind: EventWarning, Reason: errors.New(warning)})
		}
		return c.startAlone(), nil
	})
}

// startAlone has c started at once, whatever the order of its siblings says.
func (c *child) startAlone() <-chan error {
	c.want, c.alone, c.notBefore = true, true, time.Time{}
	w := make(chan error, 1)
	c.starting = append(c.starting, w)
	return w
}

// TerminateChild stops a child, at once, and returns when it has ended. The child stays known and can be started again by
// RestartChild, or together with its siblings by a restart under OneForAll or RestForOne, as in OTP; a temporary one is
// deleted. When the child is stopped already, TerminateChild does nothing; when it waits for a restart, that is called
// off.
//
// ctx bounds the wait, not the end of the child. When ctx belongs to the child itself, TerminateChild does not wait.
// ErrNotFound: there is no such child. A [*AbandonedError]: it did not end in time, and was abandoned.
func (s *Supervisor) TerminateChild(ctx context.Context, id string) error {
	return s.command(ctx, id, func(t *tree, c *child) (<-chan error, error) {
		if c == nil {
			return nil, ErrNotFound
		}
		c.want = false
		if c.life == nil {
			t.retire(c, ErrTerminated)
			if !t.toConclude(c) {
				return nil, nil
			}
		} else {
			c.terminated = true
			if c.life.within(ctx) {
				return nil, nil
			}
		}
		w := make(chan error, 1)
		c.ending = append(c.ending, w)
		return w, nil
	})
}

// RestartChild starts a child that is stopped, at once, and returns when it is ready, with a [*StartError] when the start
// failed; the child stays stopped then. ctx bounds the wait, not the child.
//
// ErrNotFound: there is no such child. ErrRunning, ErrRestarting: it is not stopped. ErrTerminated: somebody
// terminated it meanwhile. ErrNotRunning: the supervisor is not served, or is stopping.
func (s *Supervisor) RestartChild(ctx context.Context, id string) error {
	return s.command(ctx, id, func(t *tree, c *child) (<-chan error, error) {
		switch {
		case t.stopping:
			return nil, ErrNotRunning
		case c == nil:
			return nil, ErrNotFound
		case c.life != nil && c.terminated && !c.want && c.spec.Restart != Temporary: // as soon as it has ended
		case c.life != nil && c.want && (c.stage != alive || c.swept):
			return nil, ErrRestarting
		case c.life != nil:
			return nil, ErrRunning
		case c.want:
			return nil, ErrRestarting
		}
		return c.startAlone(), nil
	})
}

// DeleteChild forgets a child that is stopped. It does not wait. The children of New are back when the supervisor is
// served again.
//
// ErrNotFound: there is no such child. ErrRunning, ErrRestarting: it is not stopped.
func (s *Supervisor) DeleteChild(id string) error {
	return s.command(context.Background(), id, func(t *tree, c *child) (<-chan error, error) {
		switch {
		case c == nil:
			return nil, ErrNotFound
		case c.life != nil || t.toConclude(c):
			return nil, ErrRunning
		case c.want:
			return nil, ErrRestarting
		}
		t.remove(c)
		return nil, nil
	})
}
