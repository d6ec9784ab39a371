package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// receive takes a datagram that speaks of a session. An error says why it makes no sense.
func (pr *pair) receive(h head, body []byte) error {
	pr.mu.Lock()
	if pr.gone || pr.phase == ended && h.session == pr.peer.session { // its Down is on its way
		pr.mu.Unlock()
		return nil
	}
	pr.mu.Unlock()

	pr.deliver.Lock()
	defer pr.deliver.Unlock()
	pr.mu.Lock()
	p := pr.peer
	switch {
	case pr.gone:
		pr.mu.Unlock()
		return nil
	case pr.confirms(h):
		p = pr.begin(h)
		pr.mu.Unlock()
		pr.mesh.o.Up(p)
		pr.mu.Lock()
	case p == nil || h.session != p.session:
		if h.kind == kindData || h.kind == kindAck || h.kind == kindBye && h.seq != 0 {
			pr.refuse(h.session)
		}
		pr.mu.Unlock()
		return nil
	}
	if h.kind == kindOpen && p.over == nil { // our confirmation was lost
		p.ackNow = true
		pr.poke()
	}
	if h.kind == kindOpen || p.over != nil {
		pr.mu.Unlock()
		return nil
	}
	deliver, err := p.accept(h, body, time.Now())
	pr.mu.Unlock()
	if deliver {
		if err = p.records(body); err != nil {
			p.Reset(err)
		}
	}
	return err
}

// confirms reports whether h makes a session of the proposal: the answer to it, or the first datagram within it. mu is held.
func (pr *pair) confirms(h head) bool {
	return pr.phase == opening && h.session == pr.proposal && h.version == pr.version && !pr.mesh.leaving.Load() &&
		(h.kind == kindData || h.kind == kindAck || h.kind == kindOpen)
}

// accept takes all of a datagram but the records: life, what is wanted and granted, its place in the stream. It reports
// whether the records are the next ones. mu is held.
func (p *Peer) accept(h head, body []byte, now time.Time) (deliver bool, err error) {
	if h.version != p.version {
		return false, fmt.Errorf("link: version %d in a session of version %d", h.version, p.version)
	}
	if h.kind == kindBye && h.seq == 0 {
		if p.byeSent {
			p.pair.end(ErrClosed)
		}
		return false, nil
	}
	if !p.acked(h.ack, now) {
		return false, fmt.Errorf("link: frame %d is wanted, %d is the next", h.ack, p.next)
	}
	p.heard, p.forgiven, p.suspectAt = now, false, time.Time{}
	p.pair.lives()
	if h.ack == p.first {
		p.setGrant(h.grant)
	}
	defer p.urge(now)
	switch {
	case h.kind == kindAck:
		return false, p.acceptAck(h, body, now)
	case h.seq < p.want: // my acknowledgement was lost, or the engine has repeated it
		p.stats.Duplicates++
		p.ackNow = true
	case h.seq > p.want:
		p.stats.Gaps++
		if p.gapOf != p.want || now.Sub(p.gapAt) >= p.gapPause() {
			p.gap, p.gapOf, p.gapAt = true, p.want, now
		}
	case h.kind == kindBye:
		p.want++
		p.pair.byeOf, p.pair.byeAck, p.pair.byeVersion = p.session, p.want, p.version
		p.pair.end(ErrGoodbye)
	default:
		p.want++
		p.unacked++
		p.stats.FramesIn++
		return true, nil
	}
	return false, nil
}

// urge has the goroutine do at once what a datagram made necessary, or acknowledge it within ackAfter.
func (p *Peer) urge(now time.Time) {
	switch {
	case p.gap || p.ackNow || p.unacked >= ackFrames || p.again != 0 || p.queue.len() > 0:
		p.pair.poke()
	case p.unacked > 0 && p.ackAt.IsZero():
		p.ackAt = now.Add(ackAfter)
		p.pair.by(now, p.ackAt)
	}
}

func (p *Peer) acceptAck(h head, body []byte, now time.Time) error {
	a, ok := parseAck(body)
	if !ok {
		return fmt.Errorf("link: ACK with a body of %d bytes", len(body))
	}
	p.measure(a, now)
	if a.flags&flagGap != 0 {
		p.complained(h.ack, now)
	}
	if a.flags&flagAsk != 0 {
		p.ackNow = true
	}
	return nil
}

// records delivers the records of a frame; pair.deliver is held. What breaks the stream ends the session.
func (p *Peer) records(b []byte) error {
	n := uint64(0)
	total := uint64(len(b))
	defer func() { p.recordsIn.Add(n); p.bytesIn.Add(total) }()
	record := p.pair.mesh.o.Record
	if p.rest > 0 {
		take := min(p.rest, len(b))
		p.join(b[:take])
		b = b[take:]
		if p.rest > 0 {
			return nil
		}
		rec := p.part
		p.part = nil
		n++
		record(p, rec, true)
	}
	for len(b) > 0 {
		l, k := binary.Uvarint(b)
		if k <= 0 {
			return errors.New("link: a frame with a broken record length")
		}
		if l > uint64(p.pair.mesh.o.MaxRecord) {
			return fmt.Errorf("link: a record of %d bytes exceeds MaxRecord %d", l, p.pair.mesh.o.MaxRecord)
		}
		b = b[k:]
		if l > uint64(len(b)) {
			p.rest = int(l)
			p.join(b)
			return nil
		}
		n++
		record(p, b[:l:l], false)
		b = b[l:]
	}
	return nil
}

// join appends b to the record in pieces. Its memory grows with what arrives, not with what was announced, and is at the end no
// larger than the record.
func (p *Peer) join(b []byte) {
	if need := len(p.part) + len(b); need > cap(p.part) {
		grown := make([]byte, len(p.part), min(len(p.part)+p.rest, 2*need))
		copy(grown, p.part)
		p.part = grown
	}
	p.part = append(p.part, b...)
	p.rest -= len(b)
}
