package supervisor

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// The wait before a restart whose predecessor failed to start: it is doubled each time, and up to half of it is taken
// off at random.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// dynChild is what all children of a Dynamic have in common: their place under an id, and what comes after an end.
type dynChild struct {
	p *pool

	mu       sync.Mutex
	id       string // "" before the first PID of an actor that takes its id from it; does not change after that
	restarts int
	recent   intensity // restarts that count
	failures int       // starts in a row that failed
	retry    *time.Timer
	stopped  bool // no further life is to begin
	over     bool
	done     chan struct{} // closed at the end
}

func (p *pool) newChild(id string) dynChild {
	return dynChild{p: p, id: id, recent: newIntensity(p.d.cfg.MaxRestarts, p.d.cfg.Within), done: make(chan struct{})}
}

func (c *dynChild) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (c *dynChild) event(e Event) { c.p.event(e, c.name) }

// verdict is what comes after a life.
type verdict uint8

const (
	forget  verdict = iota // the child is struck off
	restart                // at once
	retry                  // after the wait
)

// after decides what comes after a life whose end nobody has asked for: it was ready and ended with reason or, when
// ready is false, a restart failed with reason.
func (c *dynChild) after(reason error, kind exit.Kind, ready bool) (v verdict, wait time.Duration) {
	switch {
	case c.p.closed.Load() || errors.Is(reason, exit.ErrIgnore):
		return forget, 0
	case !ready && kind == exit.Normal && c.p.d.cfg.Restart != Permanent, ready && !c.p.d.cfg.Restart.wants(kind):
		return forget, 0
	case !ready:
		c.mu.Lock()
		defer c.mu.Unlock()
		d := lastRetry
		if c.failures < 10 {
			d = min(firstRetry<<c.failures, lastRetry)
		}
		c.failures++
		c.restarts++
		return retry, d - rand.N(d/2+1)
	}
	c.mu.Lock()
	ok := c.recent.add(time.Now())
	if ok {
		c.restarts++
	}
	restarts := c.restarts
	c.mu.Unlock()
	if !ok {
		c.event(Event{Kind: EventGaveUp, Restarts: restarts, Reason: &IntensityError{Supervisor: c.p.d.rep.name, Child: c.id,
			MaxRestarts: c.recent.max, Within: c.recent.within, Err: reason}})
		return forget, 0
	}
	if !c.p.mayRestart(c.id, reason) {
		return forget, 0
	}
	return restart, 0
}

// later has f run after d, unless the child is stopped before. False: it is stopped already.
func (c *dynChild) later(d time.Duration, f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return false
	}
	c.retry = time.AfterFunc(d, func() {
		c.mu.Lock()
		c.retry = nil
		c.mu.Unlock()
		f()
	})
	return true
}

// stop notes that no further life is to begin. resting says that the child was waiting for its next one, and is over
// now.
func (c *dynChild) stop() (resting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.retry != nil && c.retry.Stop() {
		c.retry = nil
		return true
	}
	return false
}

// started notes that a start has succeeded.
func (c *dynChild) started() {
	c.mu.Lock()
	c.failures = 0
	c.mu.Unlock()
}

// finish removes the child, once.
func (c *dynChild) finish() {
	c.mu.Lock()
	over, id := c.over, c.id
	c.over = true
	c.mu.Unlock()
	if over {
		return
	}
	if id != "" {
		q := partOf(c.p, id)
		q.mu.Lock()
		q.children.Delete(id)
		q.mu.Unlock()
	}
	close(c.done)
	c.p.release()
}

// enter takes m in under its id.
func (p *pool) enter(id string, m member) (present member, err error) {
	q := partOf(p, id)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch present = q.children.Get(id); {
	case q.closed:
		return nil, ErrNotRunning
	case present != nil:
		return present, ErrAlreadyPresent
	}
	q.children.Put(id, m)
	return nil, nil
}

// holder is implemented by the error of a registry for a name that is taken: the process exists already.
type holder interface {
	error
	Holder() actor.PID
}

// ignoredError is an error of an Init that a Dynamic treats like ErrIgnore.
type ignoredError struct{ error }

func (e ignoredError) Unwrap() error { return e.error }
func (ignoredError) Is(target error) bool {
	return target == exit.ErrIgnore || target == exit.ErrNormal
}
func (ignoredError) ExitKind() exit.Kind { return exit.Normal }

// ignoreTaken turns an error that says that the process exists already into one that is ErrIgnore.
func ignoreTaken(err error) error {
	if _, ok := errors.AsType[holder](err); ok && !errors.Is(err, exit.ErrIgnore) {
		return ignoredError{err}
	}
	return err
}
