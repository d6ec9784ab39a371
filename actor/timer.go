package actor

import (
	"context"
	"time"
)

// Timer names one SendAfter or SendEvery. It is comparable; the zero Timer names none.
type Timer struct{ t *timer }

// timer is guarded by the mu of its process.
type timer struct {
	p       *process
	t       *time.Timer
	msg     any
	every   time.Duration // 0: once
	next    int64         // by System.now: when t fires, if it is for more than once
	queued  bool          // a tick waits in the mailbox
	stopped bool          // by Stop, or because it was for once and its message is being handled
}

// SendAfter sends msg to the process of ctx after d. No limit refuses msg, and the timer ends with the process. SendAfter
// panics when ctx belongs to no process and does nothing when that process has ended.
func SendAfter(ctx context.Context, d time.Duration, msg any) Timer {
	p := mustProcess(ctx, "SendAfter")
	return p.startTimer(d, 0, p.sys.wrap(ctx, msg))
}

// SendEvery is SendAfter again and again. The ticks are due d, 2d, 3d and so on from now, however long each of them
// takes to be sent and handled. At most one waits in the mailbox, and those that fall due meanwhile are left out. It
// also panics when d is not positive.
func SendEvery(ctx context.Context, d time.Duration, msg any) Timer {
	if d <= 0 {
		panic("actor: SendEvery: the interval must be positive")
	}
	return mustProcess(ctx, "SendEvery").startTimer(d, d, msg)
}

func (p *process) startTimer(d, every time.Duration, msg any) Timer {
	t := &timer{p: p, msg: msg, every: every}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == stateDead {
		t.stopped = true
		return Timer{t}
	}
	p.rel().timers.Put(t, struct{}{})
	if every > 0 {
		t.next = p.sys.now() + int64(every)
	}
	t.t = time.AfterFunc(d, t.fire)
	return Timer{t}
}

// fire puts a tick into the mailbox.
func (t *timer) fire() {
	p := t.p
	p.mu.Lock()
	if t.stopped || p.state >= stateEnding {
		p.mu.Unlock()
		return
	}
	if t.every > 0 {
		t.again()
	}
	if t.queued {
		p.mu.Unlock()
		return
	}
	t.queued = true
	p.push(item{kind: kindTimer, msg: t})
	p.wakeAndUnlock()
}

// again sets the timer for the next tick. That is not due at now + every: a timer is always a little late, and the delays
// would add up. Ticks whose time has passed are left out. p.mu is held.
func (t *timer) again() {
	now := t.p.sys.now()
	late := max(now-t.next, 0)
	t.next += int64(t.every) * (late/int64(t.every) + 1)
	t.t.Reset(time.Duration(t.next - now))
}

// due tells whether the tick that has been taken out of the mailbox is to be handled.
func (t *timer) due() bool {
	p := t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	t.queued = false
	if t.stopped {
		return false
	}
	if t.every == 0 {
		t.stop()
	}
	return true
}

// stop stops the timer and removes it from its process; p.mu is held.
func (t *timer) stop() {
	t.stopped = true
	t.t.Stop()
	if t.p.relation != nil {
		t.p.relation.timers.Delete(t)
	}
}

// Stop ends the timer: no message of it reaches the process any more, not even one that waits in the mailbox. It returns
// true when this call has ended it, and false when it was over before, and for the zero Timer. It may be called from any
// goroutine.
func (t Timer) Stop() bool {
	if t.t == nil {
		return false
	}
	p := t.t.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.t.stopped || p.state == stateDead {
		return false
	}
	t.t.stop()
	return true
}
