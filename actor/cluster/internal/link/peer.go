package link

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Peer is another node during one session; the next session has another Peer. Its methods may be called from any
// goroutine, also in callbacks: they take the lock of the pair for a short time, and call nothing of the user's.
type Peer struct {
	State any // the user's: set in Up, read in Record and Down

	pair      *pair
	name      string
	session   uint64
	version   uint8
	since     time.Time
	maxRecord int
	heartbeat time.Duration // as the other needs it
	done      chan struct{} // closed after Down

	// All below is under pair.mu, except what is said to be the goroutine's or the receiver's.
	over    error // why the session ended; nil: it lasts
	leaving bool  // say BYE when all has been sent

	// Out (send.go, gather.go).
	queue   fifo[item]   // what waits: frames and snapshots, in order. The last frame still takes records
	tail    *frame       // the last of queue, if that takes records
	begin   func(*frame) // beginFrame
	waiting int          // bytes of frames in queue
	sent    fifo[*frame] // on their way
	flying  int          // bytes of sent
	first   uint64       // number of the oldest frame in sent, or next
	next    uint64       // number of the next frame
	grant   int          // what may be on its way
	byeSent bool
	slow    bool // an Offer was refused since used was at most half the grant

	// Sending again (resend.go).
	again     uint64    // the next frame to send again; 0: none
	probe     uint64    // the frame that was sent again for want of progress; 0: none
	tries     int       // of it
	resendAt  time.Time // when it is sent again; zero: nothing is on its way
	rewound   uint64    // the frame from which all was sent again
	rewoundAt time.Time
	busy      *frame // being published: it must not be used for something else

	// In (receive.go).
	want      uint64    // number of the next frame
	unacked   int       // frames since the last acknowledgement
	ackAt     time.Time // when the next is due; zero: no frame waits for it
	ackNow    bool
	gap       bool      // complain about a gap
	gapOf     uint64    // the frame that the last complaint wanted
	gapAt     time.Time // when
	part      []byte    // a record whose rest is to come: the receiver's, under pair.deliver
	rest      int       // bytes of it that are to come
	bytesIn   atomic.Uint64
	recordsIn atomic.Uint64

	// Life.
	heard     time.Time // any datagram of the session
	forgiven  bool      // a pause of this process was taken off its silence since
	spoke     time.Time
	suspectAt time.Time // the engine suspects that the node is gone, and nothing was heard since; zero: it does not
	ask       bool      // ask for an ACK

	// Round trip.
	rtt      time.Duration // smoothed; 0: not measured
	echo     uint32        // the other's clock in its last ACK
	echoedAt time.Time     // when that came; zero: none came

	snapshot puller // the goroutine's
	stats    Stats
}

// Name is the name of the node.
func (p *Peer) Name() string { return p.name }

// Boot tells the node from earlier ones of its name.
func (p *Peer) Boot() uint64 { return p.pair.boot }

// Session is the number of the session: later ones of the same node have higher numbers.
func (p *Peer) Session() uint64 { return p.session }

// Since is when the session began.
func (p *Peer) Since() time.Time { return p.since }

// MaxRecord is the longest record that both nodes take.
func (p *Peer) MaxRecord() int { return p.maxRecord }

// Offer sends a record, the parts joined, which are copied. False: it is refused and never delivered, because the
// window is full, it is longer than MaxRecord, or the session has ended. True: it is delivered, after all that was taken before,
// or the session ends and both sides are told.
//
// A record longer than the grant is taken when nothing is on its way.
func (p *Peer) Offer(parts ...[]byte) bool {
	n := length(parts)
	pr := p.pair
	pr.mu.Lock()
	defer pr.mu.Unlock()
	used := p.waiting + p.flying
	if p.over != nil || p.leaving || n > p.maxRecord {
		p.stats.Refused++
		return false
	}
	if used > 0 && used+n > p.grant {
		p.refuse()
		return false
	}
	p.gather(n, parts)
	pr.poke()
	return true
}

// refuse counts an Offer beyond the grant.
func (p *Peer) refuse() {
	p.stats.Refused++
	if !p.slow {
		p.slow = true
		p.pair.tell[Slow] = true
		p.pair.poke()
	}
}

// Control sends a record that is never refused: where an Offer would be, it waits. When the grant and as much again wait
// (or the grant and MaxRecord, if that is more), the session ends with ErrOverflow. After the end of the session it does nothing. It
// panics if the record is longer than MaxRecord.
func (p *Peer) Control(parts ...[]byte) {
	n := length(parts)
	if n > p.maxRecord {
		panic(fmt.Sprintf("link: control record of %d bytes exceeds MaxRecord %d", n, p.maxRecord))
	}
	pr := p.pair
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if p.over != nil || p.leaving {
		return
	}
	if p.waiting+p.flying+n > p.grant+max(p.grant, p.maxRecord) {
		pr.refuse(p.session)
		pr.end(fmt.Errorf("%w: %d bytes wait, it grants %d", ErrOverflow, p.waiting+p.flying, p.grant))
		return
	}
	p.gather(n, parts)
	pr.poke()
}

// Reset ends the session, with a reason that says what was wrong with what the node sent. Down gets ErrProtocol, wrapping reason.
func (p *Peer) Reset(reason error) {
	pr := p.pair
	pr.mu.Lock()
	defer pr.mu.Unlock()
	p.reset(reason)
}

// reset is Reset under the lock.
func (p *Peer) reset(reason error) {
	if p.over == nil {
		p.pair.refuse(p.session)
		p.pair.end(errors.Join(ErrProtocol, reason))
	}
}

// setGrant takes what the other grants. More than the Window of this node is not believed: it bounds what this node keeps.
func (p *Peer) setGrant(grant uint32) { p.grant = min(int(grant), p.pair.mesh.o.Window) }

// drop frees what a session held that has ended.
func (p *Peer) drop() {
	p.queue, p.sent, p.tail = fifo[item]{}, fifo[*frame]{}, nil
	p.waiting, p.flying = 0, 0
}

func length(parts [][]byte) int {
	n := 0
	for _, b := range parts {
		n += len(b)
	}
	return n
}
