package supervisor

import (
	"context"
	"errors"
	"fmt"
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

// dynChild is what all children of a Dynamic have in common: their place under an id, the course of each life, and what
// comes after it. An actor and a service differ in how a life is begun and what tells it to end.
//
// Nothing is told, reported or finished while mu is held: an actor may end in the call that tells it, and then comes
// back here.
type dynChild struct {
	run  *dynamicRun
	self member // the dynActor or dynService that this is part of

	mu         sync.Mutex
	id         string // "" before the first PID of an actor that takes its id from it; does not change after that
	restarts   int
	recent     []time.Time // restarts that count
	failures   int         // starts in a row that failed
	course                 // of this life, or of the one to come
	idle       bool        // between two lives
	waiting    bool        // for timer, to begin the next
	over       bool
	timer      *time.Timer   // of the deadline, or of that wait
	done       chan struct{} // closed at the end; nil: nobody waits for it
	incomplete error         // the error of Stop
}

// member is what differs.
type member interface {
	tell(reason error)        // tells the present life to end, if there is one; nil: nothing
	process() actor.PID       // of the present life, if it is an actor; mu is held
	finish(err error)         // removes it; err is for whoever waits for its start
	awaitDead() (inTime bool) // waits for what is left of the last life once it is removed
}

func (c *dynChild) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (c *dynChild) event(e Event) { c.run.event(e, c.name) }

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

// later has f run after d, unless the child is told to end before. False: it is told already.
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

// sweep has the child end for good: its life is told, or killed, and the clock runs. Between two lives it runs, too,
// for code that is stuck in the start of the next one, which is called off.
func (c *dynChild) sweep(kill bool) {
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = false
	if waiting && c.timer.Stop() { // else the next life is about to be called off
		c.stage = ended
		c.mu.Unlock()
		c.self.finish(ErrTerminated)
		return
	}
	var reason error
	if now := time.Now(); kill {
		reason = c.course.kill(now)
	} else {
		reason = c.course.tell(exit.ErrShutdown, now)
	}
	if reason != nil {
		c.setTimer()
	}
	c.mu.Unlock()
	c.self.tell(reason)
}

// setTimer sets the timer for the deadline; c.mu is held.
func (c *dynChild) setTimer() {
	if c.timer != nil {
		c.timer.Stop()
	}
	if !c.deadline.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.deadline), c.expire)
	}
}

// expire does what is due at the deadline.
func (c *dynChild) expire() {
	now := time.Now()
	c.mu.Lock()
	if !c.due(now) { // it has ended, or this is the timer of an earlier deadline
		c.mu.Unlock()
		return
	}
	reason := c.course.expire(now)
	givenUp, err := c.stage == abandoned, error(nil)
	if givenUp {
		err = c.run.abandon(c)
		c.incomplete = err
	}
	pid := c.self.process()
	c.setTimer()
	c.mu.Unlock()
	c.self.tell(reason)
	if givenUp {
		c.event(Event{Kind: EventAbandoned, PID: pid, Reason: err})
		c.self.finish(err)
	}
}

// lifeOver notes the end of a life, whose course it was. If nobody has asked for that end, the child rests until the next
// life begins or it is removed.
func (c *dynChild) lifeOver() (was course, restarts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was = c.course
	switch was.stage {
	case alive:
		c.course, c.idle = c.next(), true
	case told, killed:
		c.stage, c.deadline = ended, time.Time{}
		c.setTimer()
	}
	return was, c.restarts
}

// strikeOff removes the child, once. A second time says that what was given up has returned.
func (c *dynChild) strikeOff() {
	c.mu.Lock()
	over, id, done := c.over, c.id, c.done
	if !over {
		c.over, c.deadline = true, time.Time{}
		if c.stage != abandoned {
			c.stage = ended
		}
		c.setTimer()
	}
	c.mu.Unlock()
	if over {
		c.run.returned(c)
		return
	}
	if id != "" {
		q := partOf(c.run, id)
		q.mu.Lock()
		q.children.Delete(id)
		q.mu.Unlock()
	}
	if done != nil {
		close(done)
	}
	c.run.release(id != "")
}

// end implements Dynamic.Stop.
func (c *dynChild) end(ctx context.Context) error {
	c.mu.Lock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.over {
			close(c.done)
		}
	}
	done := c.done
	c.mu.Unlock()
	c.sweep(false)
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("it is still stopping: %w", context.Cause(ctx))
	}
	c.mu.Lock()
	err := c.incomplete
	c.mu.Unlock()
	if err == nil && !c.self.awaitDead() {
		err = &AbandonedError{Supervisor: c.run.d.rep.name, Children: []string{c.name()}}
	}
	return err
}

func (c *dynChild) info() ChildInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	state, pid := StateStarting, c.self.process()
	switch {
	case c.stage != alive || c.run.closed.Load():
		state = StateStopping
	case c.idle:
		state, pid = StateRestarting, actor.PID{}
	case c.ready:
		state = StateRunning
	}
	return ChildInfo{ID: c.id, PID: pid, State: state, Restarts: c.restarts}
}
