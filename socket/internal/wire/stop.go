package wire

import (
	"errors"
	"time"
)

// ErrStopped is what [Conn.Next] returns when the hook for control frames said
// so, or after [Conn.Discard].
var ErrStopped = errors.New("wire: reading was stopped")

// past is a deadline that wakes a reader.
var past = time.Unix(1, 0)

// Interrupt makes a Next that waits for bytes, or would, return err. Messages
// that were read before are still delivered. The first err stays.
func (c *Conn) Interrupt(err error) {
	if c.interrupt.CompareAndSwap(nil, &err) {
		c.wake()
	}
}

// Discard ends delivery: Next returns [ErrStopped] as soon as it would deliver a
// message, call the hook for control frames or wait.
func (c *Conn) Discard() {
	if !c.discard.Swap(true) {
		c.wake()
	}
}

// wake ends a blocked read. The reader looks at interrupt and discard before it
// reads, and the deadline stays in the past: so it either sees what was set
// before wake, or its read fails at once. While reading is suspended there is
// nothing to end, and a Next that comes looks at them after it has left restAway.
func (c *Conn) wake() {
	if c.rest() == restAway {
		return
	}
	c.wakeMu.Lock()
	defer c.wakeMu.Unlock()
	if !c.unwakable {
		// It fails when the connection is closed; then no reader waits.
		c.conn.SetReadDeadline(past) //nolint:errcheck,gosec // see above
	}
}

// stopped returns why reading is to end, nil when it is not.
func (c *Conn) stopped() error {
	if c.discard.Load() {
		return ErrStopped
	}
	if err := c.interrupt.Load(); err != nil {
		return *err
	}
	return nil
}

// more waits for bytes, unless reading is to end.
func (c *Conn) more() error {
	if err := c.beforeRead(); err != nil {
		return err
	}
	if err := c.receive(c.in.rest > 0); err != nil {
		return c.afterRead(err)
	}
	return nil
}

func (c *Conn) beforeRead() error {
	if c.draining {
		return nil
	}
	if err := c.stopped(); err != nil {
		return err
	}
	if c.Pending() && c.hooks != nil {
		c.hooks.BeforeWait()
		if err := c.stopped(); err != nil { // by what the hook did
			return err
		}
	}
	switch {
	case !c.in.open && len(c.source.data) == 0:
		c.clock.opened(0)
	case c.clock.openedAt.Load() == 0:
		// Its first byte came with the last read, and with messages before it,
		// whose handling is not the peer's time.
		c.clock.openedAt.Store(c.now())
	}
	return nil
}

// afterRead tells a read that was woken from one that failed.
func (c *Conn) afterRead(err error) error {
	if !c.draining {
		if stop := c.stopped(); stop != nil {
			return stop
		}
	}
	return err
}

// Finished reports whether the peer's Close frame was read and nothing after it: TCP can be closed without a reset. It
// is for the reading goroutine.
func (c *Conn) Finished() bool { return c.finished }
