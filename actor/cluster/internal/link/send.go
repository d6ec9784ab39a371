package link

import "time"

// datagram is the next one of the session; nil: there is nothing to say now. pair.mu is held. The goroutine publishes it
// without the lock.
func (p *Peer) datagram(now time.Time) []byte {
	switch {
	case p.gap || p.ask:
		return p.ack(now)
	case p.again != 0:
		f := *p.sent.at(int(p.again - p.first))
		if p.again++; p.again == p.next {
			p.again = 0
		}
		p.stats.Resent++
		return p.frame(f, now)
	case p.sent.len() > 0 && !now.Before(p.resendAt):
		p.probe = p.first
		p.tries++
		p.resendAt = now.Add(p.patience())
		p.stats.Resent++
		return p.frame(*p.sent.at(0), now)
	}
	if f := p.take(now); f != nil {
		return p.frame(f, now)
	}
	if p.ackNow || p.unacked >= ackFrames || !p.ackAt.IsZero() && !now.Before(p.ackAt) || now.Sub(p.spoke) >= p.heartbeat {
		return p.ack(now)
	}
	return nil
}

// take moves the next frame from what waits to what is on its way, if the grant allows; nil: there is none.
func (p *Peer) take(now time.Time) *frame {
	var f *frame
	kind := uint8(kindData)
	switch {
	case p.queue.len() > 0:
		f = p.queue.at(0).frame
		if f == nil || p.flying > 0 && p.flying+len(f.b) > p.grant {
			return nil
		}
		p.queue.pop()
		p.waiting -= len(f.b)
		if f == p.tail {
			p.tail = nil
		}
	case p.leaving && !p.byeSent:
		f, kind = p.pair.mesh.newFrame(headLen), kindBye
		p.byeSent = true
	default:
		return nil
	}
	if p.sent.len() == 0 {
		p.tries, p.resendAt = 0, now.Add(p.patience())
	}
	head{version: p.version, kind: kind, from: p.pair.mesh.o.Boot, session: p.session, seq: p.next}.put(f.b)
	p.next++
	p.sent.push(f)
	p.flying += len(f.b)
	p.stats.FramesOut++
	return f
}

// frame is the datagram of a frame, with what is wanted now.
func (p *Peer) frame(f *frame, now time.Time) []byte {
	h, _, _ := parseHead(f.b)
	h.ack, h.grant = p.want, p.grantIn()
	h.put(f.b)
	p.acknowledged(now)
	p.busy = f
	return f.b
}

// ack is an ACK: an acknowledgement, a heartbeat, a complaint about a gap.
func (p *Peer) ack(now time.Time) []byte {
	const n = headLen + ackLen
	b := p.pair.scratch[:n]
	head{
		version: p.version, kind: kindAck, from: p.pair.mesh.o.Boot, session: p.session, ack: p.want, grant: p.grantIn(),
	}.put(b)
	a := ack{sent: p.pair.mesh.clock(now)}
	if p.gap {
		a.flags |= flagGap
	}
	if p.ask {
		a.flags |= flagAsk
	}
	if !p.echoedAt.IsZero() {
		a.flags |= flagEcho
		a.echo, a.held = p.echo, uint32(now.Sub(p.echoedAt)/time.Microsecond)
	}
	a.put(b[headLen:])
	p.gap, p.ask = false, false
	p.acknowledged(now)
	return b
}

// acknowledged notes that a datagram leaves which says what is wanted.
func (p *Peer) acknowledged(now time.Time) {
	p.unacked, p.ackAt, p.ackNow, p.spoke = 0, time.Time{}, false, now
}

// grantIn is what the other may have on its way to this node.
func (p *Peer) grantIn() uint32 { return p.pair.mesh.grant(p.pair.mesh.sessions.Load()) }

// deadline is the time to the next thing that the clock decides; pair.mu is held.
func (p *Peer) deadline(now time.Time) time.Duration {
	d := min(p.spoke.Add(p.heartbeat).Sub(now), p.heard.Add(p.pair.mesh.o.DownAfter).Sub(now)+1)
	if !p.ackAt.IsZero() {
		d = min(d, p.ackAt.Sub(now))
	}
	if p.sent.len() > 0 {
		d = min(d, p.resendAt.Sub(now))
	}
	if !p.suspectAt.IsZero() {
		d = min(d, p.suspectAt.Add(suspectFor).Sub(now)+1)
	}
	return d
}

// isSilent reports whether the node is to be given up; pair.mu is held.
func (p *Peer) isSilent(now time.Time) bool {
	return now.Sub(p.heard) > p.pair.mesh.o.DownAfter ||
		!p.suspectAt.IsZero() && now.Sub(p.suspectAt) > suspectFor
}
