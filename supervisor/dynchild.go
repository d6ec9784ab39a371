package supervisor

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// dynChild is what all children of a Dynamic have in common: their id, the course of each life, and what comes after it.
// An actor and a service differ in how a life is begun and how it is told to end; see member.
//
// mu is not held while a life is told, an event reported or the child removed: an actor may end in the call that tells
// it, and that takes mu.
type dynChild struct {
	run  *dynamicRun
	self member // the dynActor or dynService that this is part of

	mu         sync.Mutex
	id         string // "": an actor that takes its id from its first PID, and has none yet; does not change after that
	restarts   int
	recent     []time.Time    // restarts that count
	failures   int            // starts in a row that failed
	course                    // of this life, or of the one to come
	idle       bool           // between two lives
	waiting    bool           // timer begins the next life
	over       bool           // it is removed
	timer      *time.Timer    // of the deadline, or until the next life
	waits      chan<- started // for the first start; nil once that is answered
	past       *past          // nil: no life has ended
	done       chan struct{}  // closed when it is removed; nil: nobody waits for that
	incomplete error          // the error of Stop
}

// past is how the last life has ended. Most children have none.
type past struct {
	reason error
	at     time.Time
}

// member is the part that a dynActor and a dynService do differently.
type member interface {
	// begin begins the next life. An actor waits for its Init meanwhile, within ctx.
	begin(ctx context.Context)
	// again has begin called when the process of the last life, old, is dead. It waits for nothing.
	again(old actor.PID)
	// tell tells the present life to end, if there is one. A nil reason tells it nothing.
	tell(reason error)
	// process returns the PID of the present life, if that is an actor; mu is held.
	process() actor.PID
	// describe adds what a ChildInfo says of what it is and since when it runs; mu is not held.
	describe(i *ChildInfo)
	// title names a child that has no id yet.
	title() string
	// conclude begins a life that ends what was kept; false: nothing was. See concludeLife.
	conclude() bool
	// awaitDead waits for the exit hooks of the last life; false: not all have run.
	awaitDead() bool
}

func (c *dynChild) name() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id
}

func (c *dynChild) event(e Event) { c.run.event(e, c.name) }

// stop has the child end for good: its life is told or killed, and has its shutdown time from now on. Between two lives
// the next one is called off; the time is then for a start that hangs.
func (c *dynChild) stop(kill bool) {
	c.mu.Lock()
	waiting := c.waiting
	c.waiting = false
	if waiting && c.timer.Stop() { // else the next life is just beginning, and sees that it is told
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

// remove takes the child out. When it was abandoned, a second call says that its life has returned after all.
func (c *dynChild) remove() {
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
	c.stop(false)
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
	i := c.standing()
	c.self.describe(&i)
	return i
}

// standing is info without what describe adds.
func (c *dynChild) standing() ChildInfo {
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
	i := ChildInfo{ID: c.id, PID: pid, State: state, Restarts: c.restarts, Restart: c.run.d.cfg.Restart, Shutdown: c.shutdown}
	if c.past != nil {
		i.Last, i.LastAt = c.past.reason, c.past.at
	}
	return i
}
