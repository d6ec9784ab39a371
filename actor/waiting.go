package actor

import "time"

// push puts it into the mailbox; p.mu is held. The paths of messages to processes that nobody hosts, or that are at rest, have
// the lines about the mark themselves, which are compiled without a call for each message then. What comes to an empty mailbox
// has no part in the Sum: it does not stand in a segment.
func (p *process) push(it item) {
	if p.queue.len() == 0 {
		it.load = it.load.apart()
		if it.kind == kindHeld {
			h := it.msg.(*held)
			h.it.load = h.it.load.apart()
		}
	}
	if p.queue.push(it) {
		p.mark()
	}
	if n := it.load.bytes(); n != 0 {
		p.queue.items.Add(n)
	}
}

// mark marks the segment of the mailbox that the last item has begun.
//
// A message has no time of its own: reading the clock costs as much as putting the message into the mailbox. A segment of
// the mailbox has one, from before its first message came: when the running callback began, which is known, and else, when
// the process is just being woken, the time that the clock says.
func (p *process) mark() {
	from := p.began
	if p.phase == phaseNone {
		from = p.sys.now()
	}
	p.queue.items.Mark(from)
}

// waiting is how many messages wait, and for how long the oldest of them has waited at most; see [ProcessInfo].Oldest. p.mu
// is held.
func (p *process) waiting() (n int, oldest time.Duration) {
	n = p.queue.len()
	if n == 0 {
		return 0, 0
	}
	from, ok := p.queue.items.Oldest()
	switch {
	case ok:
	case p.state == stateNew: // it may have come before Init began
		from = p.since
	case p.phase != phaseNone:
		from = p.began // the mailbox was empty then
	default:
		return n, 0 // it is just being woken
	}
	return n, time.Duration(p.sys.now() - from)
}

// Load is host.Port.Load. It reads the clock only where a message waits or a callback runs.
func (p *process) Load() (n int, oldest, callback time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, oldest = p.waiting()
	switch p.phase {
	case phaseInit, phaseReceive, phaseTerminate:
		if !p.abandoned {
			callback = time.Duration(max(p.sys.now()-p.began, 1))
		}
	}
	return n, oldest, callback
}

// Touch is host.Port.Touch. It looks at what never changes in the two cache lines that Load needs.
func (p *process) Touch() uint64 {
	n := uint64(p.queue.limit)
	if p.hosted {
		n++
	}
	return n
}

// WaitingBytes is host.Port.WaitingBytes.
func (p *process) WaitingBytes(size func(msg any) int) (bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for it := range p.queue.items.All() {
		bytes += int64(size(it.content()))
	}
	return bytes
}
