package wire

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// ErrSuspended is what [Conn.Next] returns after [Conn.Suspend], and where it
// would wait while [Conn.SetPatient] is off. It does not stay: a later Next goes
// on as if nothing had happened.
var ErrSuspended = errors.New("wire: reading is suspended")

// ErrStopped is what [Conn.Next] returns when the hook for control frames said
// so, or after [Conn.Discard].
var ErrStopped = errors.New("wire: reading was stopped")

// past is a deadline that wakes a reader.
var past = time.Unix(1, 0)

// parkState is how the reading goroutine waits for bytes. Only that goroutine changes it, except from parkOpen to parkAsked.
type parkState uint8

const (
	parkBusy  parkState = iota // it does not wait, or where it must not leave
	parkOpen                   // it waits between two messages, and may be asked to leave
	parkAsked                  // it was asked, and a deadline wakes it
	parkAway                   // it has left: Next has returned ErrSuspended

	parkBits = 2
	parkMask = 1<<parkBits - 1 // the bits of park.word that hold it
)

// park is where the reading goroutine waits, and how others wake it. parked, unpark and until are for that goroutine, the
// other methods are for any.
//
// Others wake it by a read deadline in the past. Before they set it, they say why: in word, or in stop or discard. The
// reader looks at these after it has stopped waiting, and before it waits again. So a deadline for parkAsked either finds
// the reader waiting, or the reader takes it back. One for stop or discard stays, for no read may begin after it.
type park struct {
	t    *transport
	word atomic.Int64 // since when the reader waits for bytes, shifted by parkBits, and the parkState

	stop    atomic.Pointer[error] // why reading is to end, or has ended
	discard atomic.Bool           // nothing is to be delivered any more

	may       parkState // how the reader will wait if nothing is there
	impatient bool      // SetPatient(false)
	lingers   bool      // the read deadline belongs to Linger; stop and discard have no effect any more

	mu sync.Mutex // guards the read deadline and, for others, lingers
}

func (p *park) state() parkState { return parkState(p.word.Load() & parkMask) }

// waitingSince is since when bytes are waited for, also while the reader is away; 0: none are.
func (p *park) waitingSince() int64 { return p.word.Load() >> parkBits }

// parked notes how the reader waits from now on. The time since which it waits stays, when it was woken for nothing or was
// away.
func (p *park) parked(s parkState) {
	w := p.word.Load()
	switch {
	case w == 0:
		w = p.t.Now() << parkBits
	case w&parkMask != int64(parkBusy):
		return // woken for nothing; it may be parkAsked
	}
	p.word.Store(w | int64(s))
}

// unpark notes that the reader does not wait now; done says that the waiting is over, since bytes have come or reading ends.
// It reports whether the reader was asked to leave, and takes back the deadline for that.
func (p *park) unpark(done bool) (wasAsked bool) {
	w := p.word.Load()
	if w == 0 {
		return false
	}
	next := int64(0)
	if !done {
		next = w &^ parkMask
	}
	if parkState(p.word.Swap(next)&parkMask) != parkAsked {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lingers || p.stopped() != nil {
		return false
	}
	p.t.SetReadDeadline(time.Time{}) //nolint:errcheck,gosec // fails only on a connection that is over; the next read says so
	return true
}

// ask wakes the reader if it waits where it may leave.
func (p *park) ask() {
	w := p.word.Load()
	if parkState(w&parkMask) != parkOpen || !p.word.CompareAndSwap(w, w&^parkMask|int64(parkAsked)) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// unpark changes parkAsked before it takes the deadline back, both before the next read. So when the reader has woken
	// meanwhile, nothing is set here; and what is set here, it takes back: it has seen parkAsked, and waits for mu.
	if p.state() == parkAsked && !p.lingers {
		p.t.SetReadDeadline(past) //nolint:errcheck,gosec // fails only on a connection that is over; then no reader waits
	}
}

// wake ends a wait, for stop or discard, which has been set before. While the reader is away nobody waits, and the next
// Next looks at stop and discard itself.
func (p *park) wake() {
	if p.state() == parkAway {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lingers {
		p.t.SetReadDeadline(past) //nolint:errcheck,gosec // fails only on a connection that is over; then no reader waits
	}
}

// stopped returns why reading is to end, nil when it is not.
func (p *park) stopped() error {
	if p.discard.Load() {
		return ErrStopped
	}
	if err := p.stop.Load(); err != nil {
		return *err
	}
	return nil
}

// until sets when reading ends; the zero Time: never. From then on the deadline belongs to Linger.
func (p *park) until(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lingers = true
	return p.t.SetReadDeadline(t)
}
