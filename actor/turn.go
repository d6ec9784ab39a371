package actor

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"
)

// wakeAndUnlock gives the turn to a worker if the process is at rest; it unlocks p.mu.
func (p *process) wakeAndUnlock() {
	if p.state != stateRunning || p.holder != atRest {
		p.mu.Unlock()
		return
	}
	p.hireAndUnlock()
}

// hireAndUnlock gives the turn to a worker. When the host has taken the turn of the last one that was hired, its task may still
// be in the pool, and serves for this turn. It unlocks p.mu.
func (p *process) hireAndUnlock() {
	p.holder = hired
	p.turn++
	if p.tasked {
		p.mu.Unlock()
		return
	}
	p.tasked = true
	p.sys.goroutines.Add(1) // for the task, whether it finds the turn or not
	p.mu.Unlock()
	p.sys.pool.Go((*turnTask)(p))
}

// turnTask is what waits in the mailbox, if nobody has taken the turn.
type turnTask process

// assign notes that a worker has the turn, and nobody takes it. The caller must give one of the tasks below to the pool. p.mu is
// held.
func (p *process) assign() {
	p.sys.goroutines.Add(1)
	p.holder = byWorker
	p.turn++
}

// The other tasks of workers. They read p.turn without the lock, since nobody changes it after assign until they run.
type (
	initTask process // Init, and then what waits in the mailbox
	endTask  process // the rest of the end
)

// leaveTask is the last part of the end of a process that was killed. It needs no turn.
type leaveTask process

func (t *leaveTask) Run() {
	p := (*process)(t)
	p.leave(p.reason, 0) // after a kill nobody writes p.reason
}

func (t *initTask) Run() { (*process)(t).firstTurn(nil) }

// firstTurn is the turn that begins with Init. with is what the Spawn carries; nil: nothing.
func (p *process) firstTurn(with any) {
	defer p.workerDone(p.turn)
	if p.initialize(with) == nil {
		p.own.slot <- true
		p.mu.Lock()
		p.run(false, 0)
	}
}

func (t *turnTask) Run() {
	p := (*process)(t)
	p.mu.Lock()
	p.tasked = false
	if p.holder != hired {
		p.mu.Unlock()
		p.sys.goroutineDone()
		return
	}
	p.holder = byWorker
	defer p.workerDone(p.turn)
	p.run(false, 0)
}

func (t *endTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	p.mu.Lock()
	reason := p.reason // after a kill that of the kill; then the steps of conclude do nothing
	p.mu.Unlock()
	p.conclude(reason)
}

// workerDone takes the worker of a turn out of the count of goroutines or, if the process has ended without it, out of the
// count of abandoned ones.
func (p *process) workerDone(turn uint32) {
	p.mu.Lock()
	abandoned := p.strikeOff(turn)
	p.mu.Unlock()
	if !abandoned {
		p.sys.goroutineDone()
	}
}

// strikeOff takes the goroutine of a turn out of the count of abandoned ones. False: it was not abandoned. p.mu is
// held.
func (p *process) strikeOff(turn uint32) bool {
	if !p.abandoned || p.turn != turn { // a process that was killed has no later turn
		return false
	}
	p.abandoned = false
	p.sys.abandoned.Add(-1)
	return true
}

// putSlot gives the slot back, once the one value that is sent on it has been received.
func (p *process) putSlot() {
	p.mu.Lock()
	slot := p.own.slot
	p.own.slot = nil
	p.mu.Unlock()
	p.sys.slots.Put(slot)
}

// A turn on the host's goroutine is given to a worker when it has become this long and messages wait: the host must read.
const (
	longTurn         = time.Millisecond
	longTurnMessages = 64
)

// initialize runs Init, on the goroutine that holds the turn. When the error is nil, messages may be handled, and the caller
// must call run. with is what the Spawn carries; nil: nothing.
func (p *process) initialize(with any) error {
	p.mu.Lock()
	if p.state != stateNew {
		defer p.mu.Unlock()
		return p.reason
	}
	p.phase, p.began = phaseInit, p.sys.now()
	p.mu.Unlock()
	if i, ok := p.actor.(Initializer); ok {
		ctx := context.Context((*processContext)(p))
		if with != nil {
			ctx, _ = p.fetched(ctx, &carried{with: with})
		}
		if err := p.protect(func() error { return i.Init(ctx) }); err != nil {
			err = p.overloaded(err)
			p.end(err)
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != stateNew {
		return p.reason
	}
	p.state, p.started = stateRunning, true
	return nil
}

// run handles what waits until the process is at rest or has ended, or until the turn is given to a worker. The caller must
// hold the turn, and does not hold it any more when run returns. delivering says that this is a goroutine of the host, in
// Start, Run, Hand or HandLast, which may be relieved; n is how many messages it has handled in this turn, which is not long
// while n is negative, and p.began is when that has begun. p.mu is held; run unlocks it.
func (p *process) run(delivering bool, n int) {
	start := p.began
	ended := false    // TurnEnd has run since the last message
	over := uint32(0) // see begin
	for ; ; p.mu.Lock() {
		if delivering && p.holder == byWorker { // relieved: it will not flush what TurnEnd has left to it
			delivering, ended = false, false
		}
		if p.state >= stateEnding { // killed
			p.mu.Unlock()
			return
		}
		if p.overtaken >= byExit {
			reason := p.reason
			p.mu.Unlock()
			p.end(reason)
			return
		}
		if delivering && n >= 0 && p.queue.len() > 0 && (n >= longTurnMessages || p.sys.now()-start >= int64(longTurn)) {
			p.current, p.phase = item{}, phaseNone
			p.hireAndUnlock()
			return
		}
		it, ok := p.queue.pop()
		if r := p.relation; r != nil && r.senders.concerned() {
			p.letInAfter(&it)
		}
		if !ok && p.catchesUp() {
			it, ok = item{kind: kindNotice, msg: catchUp{}}, true
		}
		if !ok {
			p.current, p.phase = item{}, phaseNone
			if p.hosted && !ended && !(delivering && p.flushes) {
				p.phase, p.began = phaseTurnEnd, p.sys.now()
				p.mu.Unlock()
				if err := p.protect(func() error { p.host.TurnEnd(delivering); return nil }); err != nil {
					p.end(err)
					return
				}
				ended = true
				continue
			}
			p.holder = atRest
			p.mu.Unlock()
			return
		}
		if it.kind == kindHeld && !p.release(&it) {
			p.mu.Unlock()
			continue
		}
		if it.at != 0 && !p.dueNow(&it) { // unlocks
			continue
		}
		over = p.begin(it, n, over)
		p.mu.Unlock()
		if !p.handle(it) {
			return
		}
		ended = false
		n++
	}
}

// begin notes what is being handled, after n others in this turn, and when it begins. over is 0, or what begin has returned for the
// one before; see lapse. p.mu is held.
func (p *process) begin(it item, n int, over uint32) uint32 {
	switch {
	case p.hosted || n < exact-1:
		p.began = p.sys.now()
	case n == exact-1 || p.sys.lapse.over.Load() != over: // a shorter turn is no reason to start a timer
		over = p.sys.lapse.begin()
		p.began = p.sys.now()
	}
	p.current, p.phase = it, phaseReceive
	if it.kind != kindNotice || !looks(it.msg) {
		p.handled++
	}
	return over
}

// looks tells whether a notice is a host.Look.
func looks(notice any) bool {
	_, ok := notice.(interface{ Look() })
	return ok
}

// handle gives one item to the actor. False: that has ended the process.
func (p *process) handle(it item) bool {
	var err error
	switch it.kind {
	case kindExit:
		err = it.msg.(error)
	case kindCall:
		c := it.msg.(*call)
		if c.done.Load() { // the caller no longer waits, so nobody wants the result
			return true
		}
		if err = p.invoke(); err == nil {
			c.returned()
		}
	case kindDown:
		if m := it.msg.(Down).Ref.m; m != nil && !p.unwatch(m) {
			return true
		}
		err = p.invoke()
	case kindTimer:
		if !it.msg.(*timer).due() {
			return true
		}
		err = p.invoke()
	case kindFrame, kindHanded: // from the host, not from an actor: not by way of the engine
		err = p.receive((*processContext)(p), it.msg)
	default:
		err = p.invoke()
	}
	if err == nil {
		return true
	}
	p.end(err)
	return false
}

// invoke runs Receive for p.current: by way of the engine, except in a hosted process. There are too many of those to have
// a cell each, and a broadcast goes to all of them.
func (p *process) invoke() error {
	if p.hosted {
		return p.Receive()
	}
	return p.own.cell.Invoke()
}

// Receive implements engine.Process: proto's invocation ends up here. It handles p.current.
func (p *process) Receive() error {
	ctx := context.Context((*processContext)(p))
	var msg any
	switch it := p.current; it.kind {
	case kindCall:
		c := it.msg.(*call)
		ctx, msg = c, c.req
	case kindDeferred, kindNotice:
		var ok bool
		if msg, ok = it.msg.(deferred).Due(p.pid()); !ok {
			return nil
		}
	default:
		msg = it.raw()
	}
	if p.sys.carry != nil {
		ctx, msg = p.fetched(ctx, msg)
	}
	return p.receive(ctx, msg)
}

var errGoexit = errors.New("runtime.Goexit in a callback")

// receive runs the actor's Receive as protect would, without a closure.
func (p *process) receive(ctx context.Context, msg any) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.unwound(recover())
		}
	}()
	err = p.actor.Receive(ctx, msg)
	returned = true
	runtime.KeepAlive(p) // stackOf finds the goroutine by p
	return err
}

// protect runs f and turns a panic into a *PanicError. A runtime.Goexit cannot be stopped, so unwound ends the process before
// the goroutine is gone.
func (p *process) protect(f func() error) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.unwound(recover())
		}
	}()
	err = f()
	returned = true
	return err
}

// unwound returns the error for a callback that has not returned. recovered is nil after a runtime.Goexit.
func (p *process) unwound(recovered any) error {
	if recovered != nil {
		return &PanicError{Value: recovered, Stack: debug.Stack()}
	}
	err := &PanicError{Value: errGoexit, Stack: debug.Stack()}
	p.endByGoexit(err)
	return err
}
