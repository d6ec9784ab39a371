package actor

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/troupe-dev/troupe/actor/internal/fifo"
)

// reasonOf is err, or another error when err is a nil pointer: the methods of such an error may panic, and many call
// those of an exit reason.
func reasonOf(err error) error {
	if v := reflect.ValueOf(err); v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("actor: the exit reason is a nil %T", err)
	}
	return err
}

// exit is PID.Exit.
func (p *process) exit(reason error) bool {
	reason = reasonOf(reason)
	if errors.Is(reason, ErrKilled) {
		return p.kill(reason)
	}
	p.mu.Lock()
	if p.state == stateDead {
		p.mu.Unlock()
		return false
	}
	if p.state < stateEnding {
		p.startDeadline()
		if !p.shut { // the first one decides
			p.shuts()
			if p.state == stateRunning && p.holder == atRest { // at rest: the mailbox is empty
				p.overtaken, p.reason = byExit, reason
			} else {
				p.push(item{kind: kindExit, msg: reason})
			}
		}
	}
	p.wakeAndUnlock()
	return true
}

// end ends the process, whose exit reason is decided now, on the goroutine that holds the turn: it drops what waits, and
// takes the steps of conclude. A kill may overtake it at any step.
func (p *process) end(reason error) {
	reason = reasonOf(reason)
	p.mu.Lock()
	if p.state >= stateEnding {
		p.mu.Unlock()
		return
	}
	p.state, p.reason = stateEnding, reason
	p.shuts()
	p.startDeadline()
	if p.clock() != nil {
		p.setClock() // the time of the callback, if it had one after a loss, is over: it has returned
	}
	waiting := p.takeQueue()
	p.current, p.phase = item{}, phaseNone
	p.mu.Unlock()
	if f := p.sys.ending.Load(); f != nil {
		p.logPanic(phaseEnding, p.protect(func() error { (*f)(p.pid()); return nil }))
	}
	p.dropAll(&waiting)
	p.conclude(reason)
}

// conclude takes the steps of the end that have not begun: Ending, the end of the children, Terminate, finish.
func (p *process) conclude(reason error) {
	for p.step < 4 {
		p.step++
		switch p.step {
		case 1:
			brief := false
			if p.hosted && p.enter(phaseEnding) {
				p.logPanic(phaseEnding, p.protect(func() error { brief = p.host.Ending(reason); return nil }))
			}
			if p.hosted && p.handOver(brief) {
				return
			}
		case 2:
			p.enter(phaseNone)
			p.endChildren()
		case 3:
			// An actor whose Init failed has nothing to terminate; a host's decides for itself.
			if t, ok := p.actor.(Terminator); ok && (p.started || p.hosted) && p.enter(phaseTerminate) {
				p.logPanic(phaseTerminate, p.protect(func() error { p.terminate(t, reason); return nil }))
			}
		case 4:
			p.finish(reason)
		}
	}
}

// handOver gives the remaining steps of the end to a worker when this is a goroutine of the host: it has a transport to
// see to, however long the children and Terminate take. False: the caller takes these steps itself.
func (p *process) handOver(brief bool) bool {
	p.mu.Lock()
	if p.holder == byWorker || p.state != stateEnding || brief && !p.hasChildren() {
		p.mu.Unlock()
		return false
	}
	p.phase = phaseNone
	p.assign()
	p.mu.Unlock()
	p.sys.pool.Go((*endTask)(p))
	return true
}

// hasChildren tells whether children live; p.mu is held.
func (p *process) hasChildren() bool { return p.relation != nil && p.relation.children.Len() > 0 }

// enter notes which phase begins. False: the process was killed, and none is to begin any more.
func (p *process) enter(h phase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateEnding {
		return false
	}
	p.phase, p.began = h, p.sys.now()
	return true
}

// endByGoexit ends the process, or goes on with its end, when a callback calls runtime.Goexit; it runs on that goroutine.
func (p *process) endByGoexit(reason error) {
	p.mu.Lock()
	ending, decided, h, turn := p.state == stateEnding, p.reason, p.phase, p.turn
	p.mu.Unlock()
	if ending {
		p.logPanic(h, reason)
		p.conclude(decided)
	} else {
		p.end(reason) // does nothing when it was killed
	}
	p.lost(turn)
}

// lost is for a goroutine that leaves by runtime.Goexit with the turn. If it is one of the host, its Start or Hand does not
// return.
func (p *process) lost(turn uint32) {
	p.mu.Lock()
	host := p.holder != byWorker || p.wasRelieved(turn)
	p.mu.Unlock()
	if host {
		p.back(turn)
	}
}

func (p *process) terminate(t Terminator, reason error) {
	ctx := context.Context((*processContext)(p))
	p.mu.Lock()
	if c := p.clock(); c != nil && c.deadline != 0 { // not written any more once the reason is decided
		ctx = &terminateContext{(*processContext)(p), c.deadline}
	}
	p.mu.Unlock()
	t.Terminate(ctx, reason)
}

// endChildren ends the children and waits for them, each for its own shutdown time, or until p is killed.
func (p *process) endChildren() {
	p.mu.Lock()
	var gone chan struct{}
	var children []*process
	if p.hasChildren() {
		gone = make(chan struct{})
		p.relation.childGone = gone
		for c := range p.relation.children.All() {
			children = append(children, c)
		}
	}
	p.mu.Unlock()
	for _, c := range children {
		c.exit(ErrShutdown)
	}
	if gone != nil {
		select {
		case <-gone:
		case <-(*processContext)(p).Done():
		}
	}
}

// kill ends the process at once, from any goroutine. A callback that runs is left alone; its result is dropped. Functions
// of OnExit run on a goroutine of their own: one that does not return must not keep the caller longer than the process.
func (p *process) kill(reason error) bool {
	p.mu.Lock()
	var dead chan struct{}
	if p.exits != nil && p.state < stateLeaving {
		dead = make(chan struct{})
		p.ends().dead = dead
	}
	alive := p.killAndUnlock(reason, dead != nil)
	if dead != nil {
		<-dead
	}
	return alive
}

// killSoon is kill that does not wait for functions of OnExit. What is sent to p from now on does not reach it either way.
func (p *process) killSoon(reason error) bool {
	p.mu.Lock()
	return p.killAndUnlock(reason, p.exits != nil)
}

// killAndUnlock is kill; it unlocks p.mu. The rest of the end is the caller's, or that of a goroutine of its own.
func (p *process) killAndUnlock(reason error, elsewhere bool) bool {
	if p.state >= stateLeaving {
		alive := p.state < stateDead
		p.mu.Unlock()
		return alive
	}
	p.state, p.reason = stateLeaving, reason
	p.shuts()
	if p.exits != nil {
		p.startExits()
	}
	waiting := p.takeQueue()
	if p.holder != atRest && p.phase != phaseNone {
		p.abandoned = true
		p.sys.abandoned.Add(1)
		p.sys.counts.abandoned.Add(1)
		p.sys.abandon(note{p: p, turn: p.turn, reason: reason, at: p.sys.now()})
		if p.holder == byWorker {
			p.sys.goroutineDone()
		}
	}
	var children []*process
	if p.relation != nil {
		for c := range p.relation.children.All() {
			children = append(children, c)
		}
	}
	p.mu.Unlock()
	p.dropAll(&waiting)
	for _, c := range children {
		c.exit(ErrShutdown)
	}
	if elsewhere {
		p.sys.pool.Go((*leaveTask)(p))
	} else {
		p.leave(reason, 0)
	}
	return true
}

// finish is the last step of an orderly end; after a kill it does nothing.
func (p *process) finish(reason error) {
	p.mu.Lock()
	if p.state != stateEnding {
		p.mu.Unlock()
		return
	}
	p.state = stateLeaving
	turn := p.turn
	p.mu.Unlock()
	returned := false
	defer func() {
		if !returned { // a function of OnExit has called runtime.Goexit
			p.lost(turn)
		}
	}()
	p.leave(reason, 0)
	returned = true
}

// takeQueue empties the mailbox and returns what was in it, for dropAll. The Call in progress, if there is one, fails when
// the process is dead, unless it is answered before. p.mu is held.
func (p *process) takeQueue() queue {
	waiting := p.queue
	p.queue.counted, p.queue.items = 0, fifo.Queue[item]{} // limit is not written: Touch reads it
	if c, ok := p.current.msg.(*call); ok && p.current.kind == kindCall {
		p.keepCall(c)
	}
	return waiting
}

// drop is for an item that will not be handled: a Call fails, a Deliver returns, and what counts as a message is counted
// and reported.
func (p *process) drop(it item) {
	switch it.kind {
	case kindExit, kindHanded, kindNotice:
		return
	case kindHeld:
		if it.msg.(*held).gone {
			return
		}
	case kindCall:
		it.msg.(*call).fail(errUnhandled)
	}
	p.dropped.Add(1)
	p.sys.undelivered(p.pid(), it.content())
}

func (p *process) dropAll(q *queue) {
	for {
		it, ok := q.pop()
		if !ok {
			return
		}
		p.drop(it)
	}
}
