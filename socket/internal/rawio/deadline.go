package rawio

import "time"

// limits are the deadlines of writes.
type limits struct {
	last  int64 // of LimitWrites; 0: none
	armed int64 // of the write in progress; 0: it has none of its own
}

// limited returns the limits, and makes them if there are none. c.mu is held.
func (c *Conn) limited() *limits {
	if c.limits == nil {
		c.limits = new(limits)
	}
	return c.limits
}

// last is the time of LimitWrites; 0: none. c.mu is held.
func (c *Conn) last() int64 {
	if c.limits == nil {
		return 0
	}
	return c.limits.last
}

// arm sets the deadline of a write to a descriptor that begins to block. The time begins now: the kernel has just taken
// something, or was asked for the first time.
func (c *Conn) arm() error {
	if c.WriteTimeout <= 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.armAt(c.Now() + int64(c.WriteTimeout))
}

// armAt sets the deadline of the write in progress, or that of LimitWrites if it is before. c.mu is held.
func (c *Conn) armAt(at int64) error {
	l := c.limited()
	if l.last != 0 {
		at = min(at, l.last)
	}
	l.armed = at
	return c.SetWriteDeadline(c.Time(at))
}

// disarm removes the deadline of a write, so that it does not end a later one.
func (c *Conn) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.limits; l != nil && l.armed != 0 {
		l.armed = 0
		c.SetWriteDeadline(c.Time(l.last)) //nolint:errcheck,gosec // fails only on a connection that is over
	}
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (c *Conn) LimitWrites(t time.Time) {
	last := max(int64(t.Sub(c.Epoch))+1, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.limited()
	if l.last != 0 && last >= l.last {
		return
	}
	l.last = last
	if l.armed != 0 && last > l.armed {
		return // the write in progress ends before; arm and disarm set the deadline
	}
	c.SetWriteDeadline(c.Time(last)) //nolint:errcheck,gosec // fails only on a connection that is over
}
