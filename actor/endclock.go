package actor

import (
	"fmt"
	"math"
	"time"
)

// endClock is how long the end of a process may take. There is none before an end begins. The mu of the process guards
// it.
//
// One timer runs for the time that comes first. Whoever changes a time sets it anew; one that has fired in between
// finds nothing due.
type endClock struct {
	timer    *time.Timer
	deadline int64 // by System.now: of the shutdown time; 0: not begun, or no limit. Does not change once the reason is decided
	exits    int64 // likewise: when the exit hook that runs is given up; 0: not before deadline
	abandon  int64 // likewise: when the callback in progress after the loss of the transport is abandoned; 0: never
}

// ends returns the clock to write to; p.mu is held.
func (p *process) ends() *endClock {
	if p.clock == nil {
		p.clock = &endClock{}
	}
	return p.clock
}

// startDeadline starts the shutdown time, once: at an Exit, or when the end is decided. p.mu is held.
func (p *process) startDeadline() {
	if p.shutdown < 0 || p.clock != nil && p.clock.deadline != 0 {
		return
	}
	p.ends().deadline = after(p.sys.now(), p.shutdown)
	p.setClock()
}

// after is d after now, both by System.now; the latest time there is when d is too long.
func after(now int64, d time.Duration) int64 {
	if t := now + int64(d); t >= now {
		return t
	}
	return math.MaxInt64
}

// startAbandon gives the callback in progress, if there is one, its time after the loss of the transport. p.mu is held.
func (p *process) startAbandon() {
	if p.state == stateRunning && !p.running || p.clock != nil && p.clock.abandon != 0 {
		return
	}
	d := p.patience()
	if d < 0 {
		return
	}
	p.ends().abandon = after(p.sys.now(), d)
	p.setClock()
}

// patience is how long a callback may run on that was running when the transport was lost; negative: without limit.
func (p *process) patience() time.Duration {
	if p.options != nil && p.options.AbandonAfter != 0 {
		return p.options.AbandonAfter
	}
	return p.shutdown
}

// nextCallback gives the callback in progress its own time when it has begun after the loss of the transport, because
// the host's last frame waits for more than one callback. What counts is whether each returns, not how many there are.
// p.mu is held.
func (p *process) nextCallback() bool {
	c, now := p.clock, p.sys.now()
	if p.state >= stateEnding || p.overtaken != lastWaits || c.deadline != 0 && now >= c.deadline {
		return false
	}
	if c.abandon = after(p.began, p.patience()); now >= c.abandon {
		return false
	}
	p.setClock()
	return true
}

// setClock sets the timer for the time that comes first; p.mu is held.
func (p *process) setClock() {
	c := p.clock
	due := p.due()
	switch {
	case c.timer == nil && due != 0:
		c.timer = time.AfterFunc(time.Duration(due-p.sys.now()), p.timeOver)
	case c.timer != nil && due == 0:
		c.timer.Stop()
	case c.timer != nil:
		c.timer.Reset(time.Duration(due - p.sys.now()))
	}
}

// startExits gives the exit hook that runs, or is next, its time. After a kill there is no clock; in other ends it runs
// already, and they have none of their own until that time is over. p.mu is held.
func (p *process) startExits() {
	if p.shutdown >= 0 {
		p.ends().exits = after(p.sys.now(), p.shutdown)
		p.setClock()
	}
}

// due is when to stop waiting for the process; 0: never. p.mu is held.
func (p *process) due() int64 {
	c := p.clock
	if p.state >= stateLeaving && c.exits != 0 {
		return c.exits
	}
	if p.state < stateEnding && c.abandon != 0 && (c.deadline == 0 || c.abandon < c.deadline) {
		return c.abandon
	}
	return c.deadline
}

// timeOver ends a process that takes too long. A callback that has outlived its transport is abandoned, and the reason
// stays what it was; in every other case it is a kill.
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
		reason = fmt.Errorf("%w: did not end within its shutdown time of %v", ErrKilled, p.shutdown)
	}
	p.killAndUnlock(reason)
}
