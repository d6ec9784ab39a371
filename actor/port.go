package actor

import (
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// This is the process as its host has it: host.Port. Start and Hand run turns on the goroutine of the host.

// Start is that of host.Port.
func (p *process) Start() hook.Delivery {
	p.mu.Lock()
	if p.running || p.state != stateNew {
		defer p.mu.Unlock()
		return p.delivery()
	}
	turn := p.take()
	p.mu.Unlock()
	if p.initialize() == nil {
		p.run(true, 0)
	}
	return p.back(turn)
}

// Fail is that of host.Port.
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

// Decided is that of host.Port.
func (p *process) Decided() {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
}

// Calling is that of host.Port.
func (p *process) Calling() bool { return p.current.kind == kindCall }

// Go is that of host.Port.
func (p *process) Go(t interface{ Run() }) { p.sys.pool.Go(t) }

// Hand is that of host.Port. What was handed over after the end was decided is not handled, so it need not wait.
func (p *process) Hand(msg any) hook.Delivery {
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return hook.Ended
	}
	if p.state == stateRunning && !p.running { // at rest: nothing waits
		return p.handleHere(item{kind: kindFrame, msg: msg}) // unlocks
	}
	p.queue.push(item{kind: kindHanded, msg: msg})
	p.mu.Unlock()
	return hook.Queued
}

// Queue is that of host.Port.
func (p *process) Queue(msg any) bool { return p.post(item{kind: kindHanded, msg: msg}) == posted }

// Waited is that of host.Port.
func (p *process) Waited() bool { return p.current.kind == kindHanded }

// HandLast is that of host.Port.
func (p *process) HandLast(msg any, reason error) hook.Delivery {
	p.mu.Lock()
	if p.shut {
		p.mu.Unlock()
		return hook.Ended
	}
	if p.state == stateRunning && !p.running {
		return p.handleHere(item{kind: kindFrame, msg: msg}) // unlocks
	}
	p.pushLast(msg, reason)
	p.mu.Unlock()
	return hook.Queued
}

// QueueLast is that of host.Port.
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

// pushLast puts the last frame into the mailbox. p.mu is held, so that no callback can begin between the two.
func (p *process) pushLast(msg any, reason error) {
	p.leaving(reason)
	p.queue.push(item{kind: kindHanded, msg: msg})
}

// handleHere is a turn on the host's goroutine, of a process at rest: it handles the frame, and what has come meanwhile,
// until the turn has become long. It unlocks p.mu.
func (p *process) handleHere(it item) hook.Delivery {
	turn := p.take()
	p.begin(it)
	p.mu.Unlock()
	if err := p.receive((*processContext)(p), it.msg); err != nil {
		p.end(err)
		return p.back(turn)
	}
	if p.rests() {
		return hook.Going
	}
	p.run(true, 1)
	return p.back(turn)
}

// Leaving is that of host.Port.
func (p *process) Leaving(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaving(reason)
}

// leaving gives the callback in progress, if there is one, its time. p.mu is held.
func (p *process) leaving(reason error) {
	if p.running && !p.shut {
		p.overtaken, p.reason = lastWaits, reasonOf(reason)
		p.startAbandon()
	}
}

// Callback is that of host.Port.
func (p *process) Callback() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state >= stateEnding || p.phase != phaseInit && p.phase != phaseReceive {
		return 0
	}
	return time.Duration(max(p.sys.now()-p.began, 1))
}

// Delivering is that of host.Port.
func (p *process) Delivering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running && !p.worker
}

// rests ends a turn of one message on the host's goroutine when nothing is left to do, as run would.
func (p *process) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.flushes || p.worker || p.state >= stateEnding || p.overtaken >= byExit || p.queue.len() > 0 {
		return false
	}
	p.current, p.phase, p.running = item{}, phaseNone, false
	return true
}

// take gives the turn to the caller, which is a goroutine of the host; p.mu is held.
func (p *process) take() (turn uint32) {
	p.running, p.worker = true, false
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
