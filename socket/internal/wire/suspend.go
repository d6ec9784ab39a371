package wire

import (
	"errors"
	"net"
	"os"
	"time"
)

// ErrSuspended is what [Conn.Next] returns after [Conn.Suspend], and where it
// would wait while [Conn.SetPatient] is off. It does not stay: a later Next goes
// on as if nothing had been.
var ErrSuspended = errors.New("wire: reading is suspended")

// How the reading goroutine stands to Suspend: the lowest bits of clock.waiting.
// Only that goroutine leaves restNone and restAway and returns to them; Suspend
// makes restWaiting restAsked.
const (
	restNone    int64 = iota // not waiting, or not between two messages
	restWaiting              // waits for bytes between two messages
	restAsked                // the same, and Suspend was called
	restAway                 // Next has returned ErrSuspended

	restBits = 2
	restMask = 1<<restBits - 1
)

func (c *Conn) rest() int64 { return c.clock.waiting.Load() & restMask }

// Suspend makes a Next that waits for bytes between two messages return
// [ErrSuspended]. With a Next that waits inside a message, or does anything
// else, or when bytes come at the same moment, it has no effect, now or later.
// Nothing is ever lost by it. [Conn.Interrupt] and [Conn.Discard] win over it.
//
// A Conn whose Next has returned ErrSuspended holds no buffer. Interrupt and
// Discard do not wake it, for nobody reads: it takes a call of Next to learn of
// them. Activity goes on to say since when it waits.
func (c *Conn) Suspend() {
	w := c.clock.waiting.Load()
	if w&restMask != restWaiting || !c.clock.waiting.CompareAndSwap(w, w&^restMask|restAsked) {
		return
	}
	c.wakeMu.Lock()
	defer c.wakeMu.Unlock()
	// The reader takes restAsked back before it takes the deadline back, both
	// before it reads again. So when it has woken meanwhile, nothing is set here;
	// and what is set here, it takes back: it has seen restAsked, and waits for
	// wakeMu.
	if c.rest() == restAsked && !c.unwakable {
		c.conn.SetReadDeadline(past) //nolint:errcheck,gosec // fails on a closed connection only; then no reader waits
	}
}

// SetPatient says whether Next waits for bytes between two messages, which is
// the default. If not, it returns [ErrSuspended] where it would, after the hook
// BeforeWait. Inside a message it always waits, and always on a connection that
// cannot tell without waiting whether bytes are there, as TLS.
//
// It is for the reading goroutine.
func (c *Conn) SetPatient(patient bool) { c.impatient = !patient }

// Transport is the connection as net/http gave it. It is for waiting until bytes
// come while reading is suspended, and not for reading or writing.
func (c *Conn) Transport() net.Conn { return c.conn }

// boundary reports whether the reader stands between two messages, with nothing
// read of the next.
func (c *Conn) boundary() bool {
	return !c.in.open && len(c.source.data) == 0 && !c.draining
}

// mayWait reports whether the reader may wait for bytes here.
func (c *Conn) mayWait() bool { return !c.impatient || !c.boundary() }

// resting is how a reader that is going to block stands to Suspend.
func (c *Conn) resting() int64 {
	if c.boundary() {
		return restWaiting
	}
	return restNone
}

// wait notes that the transport may block now, and how the reader stands to
// Suspend meanwhile.
func (c *Conn) wait(rest int64) {
	if !c.waiting {
		c.waiting = true
		c.clock.waiting.Store(c.now()<<restBits | rest)
		return
	}
	if rest == restNone {
		return
	}
	// The descriptor was readable for nothing, or the reader was away. It may be
	// restAsked.
	if w := c.clock.waiting.Load(); w&restMask == restNone {
		c.clock.waiting.Store(w | rest)
	}
}

// woke ends a read of n bytes. An error that came with bytes will come again.
func (c *Conn) woke(n int, err error) error {
	if n > 0 {
		c.awake()
		c.clock.read.Store(c.now())
		return nil
	}
	if suspended(err, c.getUp()) {
		return ErrSuspended // and the waiting goes on
	}
	c.awake()
	return err
}

// awake notes that the transport is not waited for any more.
func (c *Conn) awake() {
	if c.waiting {
		c.waiting = false
		c.asked(c.clock.waiting.Swap(0))
	}
}

// getUp notes that the reader does not block any more, though the waiting may go
// on. It reports whether it was Suspend that has woken it, if the read has failed
// for a deadline.
func (c *Conn) getUp() bool {
	w := c.clock.waiting.Load()
	if w&restMask == restNone {
		return false
	}
	return c.asked(c.clock.waiting.Swap(w &^ restMask))
}

// asked reports whether clock.waiting, which was w until now, had the question
// of Suspend in it, and if so takes its deadline away. That of Interrupt and
// Discard stays: they set theirs, under wakeMu, after the flag that stopped looks
// at.
func (c *Conn) asked(w int64) bool {
	if w&restMask != restAsked {
		return false
	}
	c.wakeMu.Lock()
	defer c.wakeMu.Unlock()
	if c.unwakable || c.stopped() != nil {
		return false
	}
	c.conn.SetReadDeadline(time.Time{}) //nolint:errcheck,gosec // fails on a closed connection only; the next read says so
	return true
}

// away notes that Next returns ErrSuspended, and returned that there is a Next
// again.
func (c *Conn) away() { c.clock.waiting.Store(c.clock.waiting.Load() | restAway) }

func (c *Conn) returned() {
	if w := c.clock.waiting.Load(); w&restMask == restAway {
		c.clock.waiting.Store(w &^ restMask)
	}
}

// suspended reports whether a read that brought nothing ended for suspension.
func suspended(err error, asked bool) bool {
	return err == ErrSuspended || asked && errors.Is(err, os.ErrDeadlineExceeded) //nolint:errorlint // never wrapped
}
