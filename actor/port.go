package actor

// This is the process as its host has it: host.Port. Start and Deliver run turns on the goroutine of the host.

// Start is that of host.Port.
func (p *process) Start() {
	p.mu.Lock()
	if p.running || p.state != stateNew {
		p.mu.Unlock()
		return
	}
	turn := p.take()
	p.mu.Unlock()
	if p.initialize() == nil {
		p.run(true, 0)
	}
	p.going(turn)
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

// Deliver is that of host.Port. At rest, the frame is handled on this goroutine, and what has come meanwhile too, until
// the turn has become long. Otherwise the frame waits in the mailbox and Deliver waits until it is taken out.
func (p *process) Deliver(msg any) bool {
	p.mu.Lock()
	if p.state >= stateEnding {
		p.mu.Unlock()
		return false
	}
	it := item{kind: kindFrame, msg: msg}
	if p.state == stateRunning && !p.running { // at rest: nothing waits
		turn := p.take()
		p.begin(it)
		p.mu.Unlock()
		if err := p.receive((*processContext)(p), msg); err != nil {
			p.end(err)
			return p.going(turn)
		}
		if p.rests() {
			return true
		}
		p.run(true, 1)
		return p.going(turn)
	}
	slot := p.sys.slot()
	p.slot = slot
	p.queue.push(it)
	p.mu.Unlock()
	ok := <-slot
	p.putSlot()
	return ok
}

// DeliverLast is that of host.Port. While the frame waits for a callback, that has the same time as after a loss.
func (p *process) DeliverLast(msg any, reason error) bool {
	p.mu.Lock()
	if p.running && !p.shut {
		p.overtaken, p.reason = lastWaits, reasonOf(reason)
		p.startAbandon()
	}
	p.mu.Unlock()
	return p.Deliver(msg)
}

// Delivering is that of host.Port.
func (p *process) Delivering() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running && !p.worker || p.slot != nil // which only a Deliver sets of a process that has a host
}

// rests ends a turn of one message on the host's goroutine when nothing is left to do, as run would.
func (p *process) rests() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.flushes || p.state >= stateEnding || p.overtaken >= byExit || p.queue.len() > 0 {
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

// going tells whether the process still handles messages, at the end of a turn on the host's goroutine.
func (p *process) going(turn uint32) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strikeOff(turn)
	return p.state < stateEnding
}
