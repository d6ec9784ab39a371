package supervisor

import (
	"cmp"
	"context"

	"github.com/troupe-dev/troupe/actor"
)

// started is what Spawn and Start return.
type started struct {
	pid actor.PID
	err error
}

// startFirst is Spawn and Start: it takes c in, begins its first life, and waits until that is ready or has ended.
func (c *dynChild) startFirst(ctx context.Context) (actor.PID, error) {
	if err := c.run.reserve(); err != nil {
		return actor.PID{}, err
	}
	answer := make(chan started, 1)
	c.waits = answer
	if c.id != "" {
		if present, err := c.run.enter(c.id, c); err != nil {
			c.run.release(false)
			if present == nil {
				return actor.PID{}, err
			}
			return present.info().PID, err
		}
	}
	c.beginHere(ctx)
	select {
	case s := <-answer:
		return s.pid, s.err
	case <-ctx.Done():
	}
	select {
	case s := <-answer: // what is decided counts
		return s.pid, s.err
	default:
		c.stop(false)
		return actor.PID{}, c.startError(context.Cause(ctx))
	}
}

// beginHere is begin. When a newActor ends the goroutine, the child is removed.
func (c *dynChild) beginHere(ctx context.Context) {
	returned := false
	defer func() {
		if !returned {
			c.remove()
		}
	}()
	c.self.begin(ctx)
	returned = true
}

// answer is what Spawn or Start returns, if it waits; c.mu is held.
func (c *dynChild) answer(pid actor.PID, err error) {
	if c.waits != nil {
		c.waits <- started{pid, err} // has room for one
		c.waits = nil
	}
}

func (c *dynChild) startError(reason error) error {
	return &StartError{Supervisor: c.run.d.rep.name, Child: cmp.Or(c.name(), c.self.title()), Err: reason}
}

// whyTold is what a start fails with whose child is to end.
func (c *dynChild) whyTold() error {
	if c.run.closed.Load() {
		return ErrNotRunning
	}
	return ErrTerminated
}
