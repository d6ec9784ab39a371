package actor

import (
	"runtime"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// These are the methods of host.Port, which says what they do. Start, Run, Hand and HandLast run turns on the host's goroutine.

// PID is host.Port.PID and host.Ref.PID.
func (p *process) PID() PID {
	if p == nil {
		return PID{}
	}
	return p.pid()
}

// Start is host.Port.Start.
func (p *process) Start() hook.Delivery {
	p.mu.Lock()
	if p.holder != atRest || p.state != stateNew {
		defer p.mu.Unlock()
		return p.delivery()
	}
	turn := p.take()
	p.mu.Unlock()
	if p.initialize(nil) == nil {
		p.mu.Lock()
		p.run(true, 0)
	}
	return p.back(turn)
}

// Fail is host.Port.Fail.
func (p *process) Fail(reason error) {
	if reason == nil {
		panic("actor: Port.Fail: nil reason")
	}
	p.mu.Lock()
	if p.state < stateEnding {
		p.urge(reason)
	}
	p.wakeAndUnlock()
}

// Decided is host.Port.Decided.
func (p *process) Decided() {
	p.mu.Lock()
	p.shuts()
	p.mu.Unlock()
}

// Calling is host.Port.Calling.
func (p *process) Calling() bool { return p.current.kind == kindCall }

// Paced is host.Port.Paced.
func (p *process) Paced() bool { return p.current.kind == kindPaced }

// Go is host.Port.Go.
func (p *process) Go(t interface{ Run() }) { p.sys.pool.Go(t) }

// Aside is host.Port.Aside.
//
//go:noinline // stackOf finds it by its argument, which the stack does not show where it is compiled in
func (p *process) Aside(f func()) {
	f()
	runtime.KeepAlive(p) // stackOf finds the goroutine by p
}

// Hand is host.Port.Hand. Once the process takes no more messages, msg is dropped.
func (p *process) Hand(msg any) hook.Delivery {
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return hook.Ended
	}
	if p.state == stateRunning && p.holder == atRest { // at rest: nothing waits
		return p.handleHere(item{kind: kindFrame, msg: msg}) // unlocks
	}
	if p.queue.push(item{kind: kindHanded, msg: msg}) { // p.push, compiled in
		p.mark()
	}
	p.mu.Unlock()
	return hook.Queued
}

// Take is host.Port.Take. The task of the worker finds out when it runs.
func (p *process) Take() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder != hired || p.state != stateRunning {
		return false
	}
	p.take()
	p.began = p.sys.now()
	return true
}

// Run is host.Port.Run.
func (p *process) Run() hook.Delivery {
	p.mu.Lock()
	turn := p.turn  // nobody relieves it before a callback runs
	p.run(true, -2) // unlocks. Usually one message waits, and the frame: given away, it would be where it was
	return p.back(turn)
}

// Queue is host.Port.Queue.
func (p *process) Queue(msg any) bool { return p.post(item{kind: kindHanded, msg: msg}) == posted }

// Waited is host.Port.Waited.
func (p *process) Waited() bool { return p.current.kind == kindHanded }

// HandLast is host.Port.HandLast.
func (p *process) HandLast(msg any, reason error) hook.Delivery {
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return hook.Ended
	}
	if p.state == stateRunning && p.holder == atRest {
		return p.handleHere(item{kind: kindFrame, msg: msg}) // unlocks
	}
	p.pushLast(msg, reason)
	p.mu.Unlock()
	return hook.Queued
}

// QueueLast is host.Port.QueueLast.
func (p *process) QueueLast(msg any, reason error) bool {
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return false
	}
	p.pushLast(msg, reason)
	p.wakeAndUnlock()
	return true
}

// pushLast limits the time of the callback in progress, and puts the host's last frame into the mailbox. p.mu is held, so
// that no other callback begins between the two.
func (p *process) pushLast(msg any, reason error) {
	p.leaving(reason)
	p.push(item{kind: kindHanded, msg: msg})
}

// handleHere runs a turn of a process at rest on the host's goroutine: it handles the frame, and what has come meanwhile,
// until the turn has become long. It unlocks p.mu.
func (p *process) handleHere(it item) hook.Delivery {
	turn := p.take()
	p.begin(it, 0, 0)
	p.mu.Unlock()
	if err := p.receive((*processContext)(p), it.msg); err != nil {
		p.end(err)
		return p.back(turn)
	}
	if p.rests() {
		return hook.Going
	}
	p.mu.Lock()
	p.run(true, 1)
	return p.back(turn)
}

// Leaving is host.Port.Leaving.
func (p *process) Leaving(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving(reason)
}

// leaving limits the time of the callback in progress, if there is one, to patience. p.mu is held.
func (p *process) leaving(reason error) {
	if p.holder != atRest && !p.shut {
		p.overtaken, p.reason = lastWaits, reasonOf(reason)
		p.startAbandon()
	}
}

// Callback is host.Port.Callback.
func (p *process) Callback() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateEnding || p.phase != phaseInit && p.phase != phaseReceive {
		return 0
	}
	return time.Duration(max(p.sys.now()-p.began, 1))
}

// Delivering is host.Port.Delivering.
func (p *process) Delivering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder == byHost
}

// rests ends a turn of one message on the host's goroutine as run would. False: something is left to do, which needs run.
func (p *process) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.flushes || p.holder != byHost || p.state >= stateEnding || p.overtaken >= byExit || p.queue.len() > 0 {
		return false
	}
	p.current, p.phase, p.holder = item{}, phaseNone, atRest
	return true
}

// take gives the turn to the caller, a goroutine of the host, and returns its number; p.mu is held.
func (p *process) take() (turn uint32) {
	p.holder = byHost
	p.turn++
	return p.turn
}

// delivery is Going or Ended; p.mu is held.
func (p *process) delivery() hook.Delivery {
	if p.state >= stateEnding {
		return hook.Ended
	}
	return hook.Going
}
