package link

import "time"

// patience is how long a frame may be on its way without progress: longer each time it was sent again.
func (p *Peer) patience() time.Duration {
	return min(max(resendAfter, 2*p.rtt)<<min(p.tries, 10), resendMost)
}

// acked takes what the other wants next; false: that makes no sense, as it was never sent. pair.mu is held.
//
// After a time without progress only the first missing frame is sent again. If the ack that follows wants the very next
// one, the rest was lost as well and is sent again. If it wants a later one, the others had arrived, and only their acks
// were late: a node that stood still is not sent again what waits for it.
func (p *Peer) acked(want uint64, now time.Time) bool {
	if want > p.next {
		return false
	}
	if want <= p.first { // nothing new; or an old one that was overtaken
		return true
	}
	m := p.pair.mesh
	for p.first < want {
		f := p.sent.pop()
		p.flying -= len(f.b)
		p.first++
		if f != p.busy {
			m.free(f)
		}
	}
	switch {
	case p.again != 0 && p.again < p.first:
		p.again = p.first
	case p.again == 0 && p.probe != 0 && want == p.probe+1:
		p.again = p.first
	}
	if p.again == p.next {
		p.again = 0
	}
	p.probe, p.tries = 0, 0
	p.resendAt = now.Add(p.patience())
	if p.waiting+p.flying <= p.grant/2 {
		p.slow = false
	}
	return true
}

// complained takes an ACK that says that a frame came out of place: all is sent again from the first on. The complaints
// about one gap come several times, as each frame after it is out of place: one in a round trip counts. pair.mu is held.
func (p *Peer) complained(want uint64, now time.Time) {
	if p.sent.len() == 0 || want != p.first || p.again != 0 {
		return
	}
	if p.rewound == p.first && now.Sub(p.rewoundAt) < p.gapPause() {
		return
	}
	p.again, p.rewound, p.rewoundAt = p.first, p.first, now
	p.probe, p.tries = 0, 0
	p.resendAt = now.Add(p.patience())
}

// gapPause is the least time between two complaints about one gap.
func (p *Peer) gapPause() time.Duration { return max(gapEvery, p.rtt) }

// measure takes a round trip from an ACK; pair.mu is held. One that is no later than the last says nothing: it was overtaken, or the
// engine has repeated it, and how long it took is how late it is. When the last came long ago, none is too late for that: the clock
// wraps around, and a node that sends frames all the time may send no ACK for hours.
func (p *Peer) measure(a ack, now time.Time) {
	if int32(a.sent-p.echo) <= 0 && now.Sub(p.echoedAt) <= p.pair.mesh.o.DownAfter {
		return
	}
	p.echo, p.echoedAt = a.sent, now
	if a.flags&flagEcho == 0 {
		return
	}
	took := time.Duration(p.pair.mesh.clock(now)-a.echo-a.held) * time.Microsecond
	if took > p.pair.mesh.o.DownAfter { // no session lasts so long without a word; or the other's clock is not to be believed
		return
	}
	took = max(took, time.Microsecond)
	if p.rtt == 0 {
		p.rtt = took
	} else {
		p.rtt += (took - p.rtt) / 8
	}
}
