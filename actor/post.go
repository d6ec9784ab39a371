package actor

import (
	"errors"
	"fmt"
)

type postResult uint8

const (
	posted   postResult = iota
	postDead            // the process is dead, or takes no more messages
	postFull            // the mailbox is full
)

// post puts an item into the mailbox. A process at rest gets a worker for it. post never blocks and never runs the actor.
func (p *process) post(it item) postResult {
	p.mu.Lock()
	if p.shut {
		dead := p.state == stateDead
		p.mu.Unlock()
		if !dead {
			p.turnAway(it)
		}
		return postDead
	}
	if it.kind.counts() {
		if p.hosted && (p.holder != atRest || p.state == stateNew) { // else it is at rest, and nothing need wait
			return p.postBusy(it) // unlocks
		}
		if p.full() {
			return p.refuse(ErrOverload) // unlocks
		}
	}
	if p.queue.push(it) { // p.push, compiled in
		p.mark()
	}
	p.wakeAndUnlock()
	return posted
}

// full tells whether the mailbox is at its limit. p.mu is held.
func (p *process) full() bool { return p.queue.limit >= 0 && p.queue.counted >= p.queue.limit }

// turnAway counts an item as dropped that came too late, and reports it as undelivered. It does neither for a notice or what
// a host hands over, and it leaves the report to Send and Defer where they make it.
func (p *process) turnAway(it item) {
	switch it.kind {
	case kindNotice, kindHanded:
		return
	case kindUser, kindDeferred:
	default:
		p.sys.undelivered(p.pid(), it.content())
	}
	p.dropped.Add(1)
}

// Alive is PID.Alive, for a process that was looked up before; see host.RefOf.
func (p *process) Alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.shut
}

// Send is PID.Send, for a process that was looked up before; see host.RefOf.
func (p *process) Send(msg any) bool {
	if p.post(item{kind: kindUser, msg: msg}) == posted {
		return true
	}
	p.sys.undelivered(p.pid(), msg)
	return false
}

// Defer is host.Ref.Defer.
func (p *process) Defer(d any) bool {
	it := item{kind: kindDeferred, msg: d}
	if p.post(it) == posted {
		return true
	}
	p.sys.undelivered(p.pid(), it.content())
	return false
}

// Notify is host.Ref.Notify.
func (p *process) Notify(d any) bool { return p.post(item{kind: kindNotice, msg: d}) == posted }

// refuse is what post does when a limit of the mailbox is reached, which why says; it unlocks p.mu.
func (p *process) refuse(why error) postResult {
	p.dropped.Add(1)
	if p.overflow != OverflowExit {
		p.mu.Unlock()
		return postFull
	}
	p.overflows(why) // unlocks
	return postFull
}

// overflows ends the process because a limit of its mailbox is exceeded, which why says; it unlocks p.mu.
func (p *process) overflows(why error) {
	if p.state == stateNew && why == ErrOverload { //nolint:errorlint // never wrapped
		why = errOverloadInInit
	}
	p.urge(why)
	p.wakeAndUnlock()
	if p.hosted {
		p.host.Overflow()
	}
}

// overloaded returns the error of an Init or, if that has failed because of an overload, the exit reason, which says more.
func (p *process) overloaded(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.overtaken == byLoss && errors.Is(err, ErrOverload) {
		return p.reason
	}
	return err
}

// errOverloadInInit is ErrOverload; its text, for the log, says how to avoid it.
var errOverloadInInit = fmt.Errorf("%w: the mailbox was full before Init returned; slow work comes first, then registry.Join",
	ErrOverload)

// urge has the process end with reason, ahead of what waits in the mailbox. It does nothing when another reason
// is already to end the process next. p.mu is held.
func (p *process) urge(reason error) {
	if p.overtaken < byExit {
		p.overtaken, p.reason = byLoss, reason
		p.shuts()
		p.startAbandon()
	}
}
