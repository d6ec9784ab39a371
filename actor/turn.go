package actor

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"time"
)

// wakeAndUnlock gives the process a goroutine if it rests; it unlocks p.mu.
func (p *process) wakeAndUnlock() {
	if p.state != stateRunning || p.running {
		p.mu.Unlock()
		return
	}
	p.hire()
	p.mu.Unlock()
	p.sys.pool.Go((*turnTask)(p))
}

// hire gives the turn to a worker: the caller must hand one of the tasks below to the pool. p.mu is held.
func (p *process) hire() {
	p.sys.goroutines.Add(1)
	p.running, p.worker = true, true
	p.turn++
}

// What a worker does in a turn it was hired for. Nobody changes p.turn between hire and there.
type (
	initTask process // Init, and what waits after it
	turnTask process // what waits
	endTask  process // the rest of the end
)

// leaveTask is the end of a process that was killed. It needs no turn.
type leaveTask process

func (t *leaveTask) Run() {
	p := (*process)(t)
	p.leave(p.reason, 0) // nobody writes it any more
}

func (t *initTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	if p.initialize() == nil {
		p.slot <- true
		p.run(false, 0)
	}
}

func (t *turnTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	p.run(false, 0)
}

func (t *endTask) Run() {
	p := (*process)(t)
	defer p.workerDone(p.turn)
	p.mu.Lock()
	reason := p.reason // that of a kill, if there was one: then nothing is left to do
	p.mu.Unlock()
	p.conclude(reason)
}

// workerDone takes a goroutine out of the count or, if its process has ended under it, out of the count of abandoned
// ones.
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
	if !p.abandoned || p.turn != turn { // a dead process has no later turn
		return false
	}
	p.abandoned = false
	p.sys.abandoned.Add(-1)
	return true
}

// putSlot gives the slot back, from which the one value that was to come has been taken.
func (p *process) putSlot() {
	p.mu.Lock()
	slot := p.slot
	p.slot = nil
	p.mu.Unlock()
	p.sys.slots.Put(slot)
}

// A turn on the host's reader goroutine is given away when it has become this long: the reader must read.
const (
	longTurn         = time.Millisecond
	longTurnMessages = 64
)

// initialize runs Init, on the goroutine that holds the turn, and lets messages in after it. The caller must go on with
// run when the error is nil.
func (p *process) initialize() error {
	p.mu.Lock()
	if p.state != stateNew {
		defer p.mu.Unlock()
		return p.reason
	}
	p.phase, p.began = phaseInit, p.sys.now()
	p.mu.Unlock()
	if i, ok := p.actor.(Initializer); ok {
		if err := p.protect(func() error { return i.Init((*processContext)(p)) }); err != nil {
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

// run handles what waits until the process rests or is dead. The caller holds the turn; run lets it go.
// delivering says that this is the goroutine of a Start or Hand, which may be relieved; n is how many messages it has
// handled.
func (p *process) run(delivering bool, n int) {
	start := p.began
	ended := false // TurnEnd has run since the last message
	for {
		p.mu.Lock()
		if delivering && p.worker { // relieved: what TurnEnd has left to this goroutine is not seen to by it
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
		if delivering && p.queue.len() > 0 && (n >= longTurnMessages || p.sys.now()-start >= int64(longTurn)) {
			p.current, p.phase = item{}, phaseNone
			p.hire()
			p.mu.Unlock()
			p.sys.pool.Go((*turnTask)(p))
			return
		}
		it, ok := p.queue.pop()
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
			p.running = false
			p.mu.Unlock()
			return
		}
		p.begin(it)
		p.mu.Unlock()
		if !p.handle(it) {
			return
		}
		ended = false
		n++
	}
}

// begin notes what is being handled; p.mu is held.
func (p *process) begin(it item) {
	p.current, p.phase, p.began = it, phaseReceive, p.sys.now()
	p.handled++
}

// handle gives one item to the actor. It says false when the process has ended with it.
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
	case kindFrame, kindHanded: // what a host's reader has handed over is no message of an actor, and passes the engine by
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

// invoke runs Receive for p.current: by way of the engine, but for a process that has a host, of which there are too many
// and whose messages are broadcast.
func (p *process) invoke() error {
	if p.hosted {
		return p.Receive()
	}
	return p.cell.Invoke()
}

// Receive implements engine.Process: it is where proto's invocation arrives, and handles current.
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
		msg = it.content()
	}
	return p.receive(ctx, msg)
}

var errGoexit = errors.New("runtime.Goexit in a callback")

// receive runs the actor's Receive as protect does.
func (p *process) receive(ctx context.Context, msg any) (err error) {
	returned := false
	defer func() {
		if !returned {
			err = p.unwound(recover())
		}
	}()
	err = p.actor.Receive(ctx, msg)
	returned = true
	runtime.KeepAlive(p) // stackOf looks for it
	return err
}

// protect runs f and turns a panic into a *PanicError. A runtime.Goexit cannot be stopped, and so the process is ended
// from here before the goroutine goes.
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

// unwound is what protect makes of a callback that has not returned.
func (p *process) unwound(recovered any) error {
	if recovered != nil {
		return &PanicError{Value: recovered, Stack: debug.Stack()}
	}
	err := &PanicError{Value: errGoexit, Stack: debug.Stack()}
	p.endByGoexit(err)
	return err
}
