package actor

import (
	"fmt"
	"math"
	"time"
)

// endClock says until when the end of a process is waited for. A process has none before its end begins. The mu of the
// process guards it.
//
// The end of the shutdown time is watched by the endQueue of its terms. For the other times, which few processes ever have,
// a timer runs if one of them comes first. Whoever changes a time sets the timer again; if it has fired in between, it finds
// nothing due.
type endClock struct {
	timer  *time.Timer
	dead   chan struct{} // closed when the process is dead; set by a kill that waits for that
	leader uint32        // which goroutine calls the exit hooks: counted up when another one takes over; see exitHookOver
	// All by System.now.
	deadline int64 // the end of the shutdown time; 0: not begun, or no limit. Fixed once the reason is decided
	exits    int64 // when the end goes on without the exit hook that runs; 0: it has no time of its own yet
	abandon  int64 // when the callback that runs after the loss of the transport is abandoned; 0: never

	// The mu of the endQueue guards these.
	p          *process // nil: not in the queue
	prev, next *endClock
}

// clock is nil when there is none yet; p.mu is held.
func (p *process) clock() *endClock {
	if p.extra == nil {
		return nil
	}
	return p.extra.clock
}

// ends returns the clock, and makes it if there is none; p.mu is held.
func (p *process) ends() *endClock {
	if p.extra == nil {
		made := &struct { // in one piece of memory
			extra extras
			clock endClock
		}{}
		made.extra.clock, p.extra = &made.clock, &made.extra
	} else if p.extra.clock == nil {
		p.extra.clock = &endClock{}
	}
	return p.extra.clock
}

// startDeadline starts the shutdown time, once: at an Exit, or when the end is decided. p.mu is held.
func (p *process) startDeadline() {
	if c := p.clock(); p.terms.shutdown < 0 || c != nil && c.deadline != 0 {
		return
	}
	p.terms.ends.join(p, p.ends(), p.terms.shutdown)
	p.setClock()
}

// after is the time d after now, by System.now. When d is too long for that, it is the latest time there is.
func after(now int64, d time.Duration) int64 {
	if t := now + int64(d); t >= now {
		return t
	}
	return math.MaxInt64
}

// startAbandon gives the callback in progress, if there is one, its time after the loss of the transport. p.mu is held.
func (p *process) startAbandon() {
	if c := p.clock(); p.state == stateRunning && p.holder == atRest || c != nil && c.abandon != 0 {
		return
	}
	d := p.patience()
	if d < 0 {
		return
	}
	p.ends().abandon = after(p.sys.now(), d)
	p.setClock()
}

// patience is how long a callback may run on after the loss of the transport; negative: without limit.
func (p *process) patience() time.Duration {
	if p.options != nil && p.options.AbandonAfter != 0 {
		return p.options.AbandonAfter
	}
	return p.terms.shutdown
}

// nextCallback is called when the time of a callback after the loss of the transport is over. When the host's last frame
// waits for several callbacks, each of them has that time. If the one in progress has begun later, and so has time left,
// the timer is set for it, and the result is true. It is true at rest, too, where the host hands over what the peer sent
// before. p.mu is held.
func (p *process) nextCallback() bool {
	c, now := p.clock(), p.sys.now()
	if p.state >= stateEnding || p.overtaken != lastWaits || c.deadline != 0 && now >= c.deadline {
		return false
	}
	if p.holder == atRest {
		c.abandon = 0
	} else if p.holder == hired { // the next one has not begun
		c.abandon = after(now, p.patience())
	} else if c.abandon = after(p.began, p.patience()); now >= c.abandon {
		return false
	}
	p.setClock()
	return true
}

// setClock sets the timer for the time that comes first, unless that is the end of the shutdown time; p.mu is held.
func (p *process) setClock() {
	c := p.clock()
	due := p.due()
	if due == c.deadline {
		due = 0
	}
	switch {
	case c.timer == nil && due != 0:
		c.timer = time.AfterFunc(time.Duration(due-p.sys.now()), p.timeOver)
	case c.timer != nil && due == 0:
		c.timer.Stop()
	case c.timer != nil:
		c.timer.Reset(time.Duration(due - p.sys.now()))
	}
}

// startExits gives the exit hook that runs, or is next, a time of its own. p.mu is held.
func (p *process) startExits() {
	if p.terms.shutdown >= 0 {
		p.ends().exits = after(p.sys.now(), p.terms.shutdown)
		p.setClock()
	}
}

// due is when to stop waiting for the process; 0: never. p.mu is held.
func (p *process) due() int64 {
	c := p.clock()
	if p.state >= stateLeaving && c.exits != 0 {
		return c.exits
	}
	if p.state < stateEnding && c.abandon != 0 && (c.deadline == 0 || c.abandon < c.deadline) {
		return c.abandon
	}
	return c.deadline
}

// timeOver ends a process that takes too long. When the time of a callback after the loss of the transport is over, the
// callback is abandoned, and the exit reason stays as it is. When an exit hook takes too long, the end goes on without it.
// In every other case the process is killed.
func (p *process) timeOver() {
	p.mu.Lock()
	if due := p.due(); p.state == stateDead || due == 0 || p.sys.now() < due {
		p.mu.Unlock()
		return
	}
	if p.state >= stateLeaving {
		p.exitHookOver() // unlocks
		return
	}
	if p.nextCallback() {
		p.mu.Unlock()
		return
	}
	reason := p.reason
	if p.state >= stateEnding || p.overtaken != lastWaits && p.overtaken != byLoss {
		reason = fmt.Errorf("%w: did not end within its shutdown time of %v", ErrKilled, p.terms.shutdown)
	}
	p.killAndUnlock(reason, false)
}
