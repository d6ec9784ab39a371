package supervisor

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// lifeEnd is what is known of the end of a life.
type lifeEnd struct {
	pid     actor.PID
	reason  error
	kind    exit.Kind
	unseen  bool // its start was not reported, and so its end is not
	service bool // it may end normally before it is ready
}

// lifeEnded decides what comes after a life, in the exit hook of an actor or on the goroutine of a service.
func (c *dynChild) lifeEnded(e lifeEnd) {
	was, first, restarts := c.lifeOver(e.reason)
	if was.stage == abandoned {
		c.remove()
		return
	}
	wasTold := was.stage != alive
	if wasTold || c.run.closed.Load() {
		e.kind = kindOfTold(e.reason)
	}
	if !e.unseen {
		c.event(Event{Kind: EventExited, PID: e.pid, Reason: e.reason, ExitKind: e.kind, Restarts: restarts})
	}
	switch {
	case wasTold || e.unseen && c.run.closed.Load():
		c.noteBelow(e)
		c.finish(c.whyTold())
		return
	case first && !was.ready:
		if err := c.failedFirst(e); err != nil {
			c.finish(c.startError(err))
			return
		}
	}
	v, wait := c.after(e.reason, e.kind, was.ready || first)
	switch {
	case v == restart:
		c.self.again(e.pid)
	case v == retry && c.later(wait, func() { c.self.again(e.pid) }):
	default:
		c.finish(nil)
	}
}

// lifeOver notes the end of a life. It returns the course of that life, whether the first start is still to be answered,
// and how many restarts there were.
func (c *dynChild) lifeOver(reason error) (was course, first bool, restarts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, first = c.course, c.waits != nil
	if c.run.d.cfg.Restart != Temporary { // else it is removed now
		c.past = &past{reason, time.Now()}
	}
	switch was.stage {
	case alive:
		c.course, c.idle = c.next(), true
	case told, killed:
		c.stage, c.deadline = ended, time.Time{}
		c.setTimer()
	}
	return was, first, c.restarts
}

// failedFirst returns why the first start has failed with an end before it was ready; nil: it has not.
func (c *dynChild) failedFirst(e lifeEnd) error {
	switch ignored := errors.Is(e.reason, exit.ErrIgnore); {
	case ignored || !e.service || e.kind != exit.Normal:
		return e.reason
	case c.run.d.cfg.Restart == Permanent:
		return errors.Join(errEarly, e.reason)
	}
	return nil
}

// noteBelow notes for Stop who was abandoned below a supervisor that was told to end.
func (c *dynChild) noteBelow(e lifeEnd) {
	if !e.service {
		return
	}
	if below := c.run.abandonedBelow(c.id, e.reason); below != nil {
		c.mu.Lock()
		c.incomplete = below
		c.mu.Unlock()
	}
}

// finish removes the child, or concludes it first. err is for whoever waits for its start.
func (c *dynChild) finish(err error) {
	c.mu.Lock()
	c.answer(actor.PID{}, err)
	c.mu.Unlock()
	if !c.self.conclude() {
		c.remove()
	}
}

// The wait before a restart whose predecessor failed to start: it is doubled each time, and up to half of it is taken
// off at random.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// verdict is what comes after a life.
type verdict uint8

const (
	forget  verdict = iota // the child is removed
	restart                // it is restarted at once
	retry                  // it is restarted after a wait
)

// after decides what comes after a life that ended with reason although nobody had asked for that. ready is false when the
// life was a restart that failed.
func (c *dynChild) after(reason error, kind exit.Kind, ready bool) (v verdict, wait time.Duration) {
	switch {
	case c.run.closed.Load() || errors.Is(reason, exit.ErrIgnore):
		return forget, 0
	case !ready && kind == exit.Normal && c.run.d.cfg.Restart != Permanent, ready && !c.run.d.cfg.Restart.wants(kind):
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
	each := c.run.each
	each.times = c.recent
	ok := each.add(time.Now())
	c.recent = each.times
	c.failures = 0
	if ok {
		c.restarts++
	}
	restarts := c.restarts
	c.mu.Unlock()
	if !ok {
		c.event(Event{Kind: EventGaveUp, Restarts: restarts, Reason: &IntensityError{Supervisor: c.run.d.rep.name, Child: c.id,
			MaxRestarts: each.max, Within: each.within, Err: reason}})
		return forget, 0
	}
	if !c.run.mayRestart(c.id, reason) {
		return forget, 0
	}
	return restart, 0
}

// later has f called after d, unless the child is told to stop before. It returns false when it was told already.
func (c *dynChild) later(d time.Duration, f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stage != alive {
		return false
	}
	c.waiting = true
	c.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		c.waiting = false
		c.mu.Unlock()
		f()
	})
	return true
}
