package supervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
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
	timer      *time.Timer    // of the deadline, or of that wait
	waits      chan<- started // for the first start; nil once that is answered
	done       chan struct{}  // closed at the end; nil: nobody waits for it
	incomplete error          // the error of Stop
}

// member is what differs.
type member interface {
	begin(ctx context.Context) (late bool) // the next life; late: ctx was done before it was ready, but it goes on
	again(old actor.PID)                   // has begin called, without waiting for anything; old is the process of the last life
	tell(reason error)                     // tells the present life to end, if there is one; nil: nothing
	process() actor.PID                    // of the present life, if it is an actor; mu is held
	title() string                         // for a child that has no id yet
	conclude() bool                        // begins a life that ends what was kept, if anything was; see concludeLife
	awaitDead() (inTime bool)              // waits for the exit hooks of the last life once the child is removed
}

func (c *dynChild) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (c *dynChild) event(e Event) { c.run.event(e, c.name) }

// sweep has the child end for good: its life is told, or killed, and the clock runs. Between two lives it runs, too,
// for code that is stuck in the start of the next one, which is called off.
func (c *dynChild) sweep(kill bool) {
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = false
	if waiting && c.timer.Stop() { // else the next life is about to be called off
		c.stage = ended
		c.mu.Unlock()
		c.finish(c.whyTold())
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
		c.finish(c.whyTold())
	}
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
