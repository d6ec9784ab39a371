package rawio

import "time"

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
	if c.limit != 0 {
		at = min(at, c.limit)
	}
	c.armed = at
	return c.SetWriteDeadline(c.Time(at))
}

// disarm removes the deadline of a write, so that it does not end a later one.
func (c *Conn) disarm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed != 0 {
		c.armed = 0
		c.SetWriteDeadline(c.Time(c.limit)) //nolint:errcheck,gosec // fails on a closed connection only
	}
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (c *Conn) LimitWrites(t time.Time) {
	limit := max(int64(t.Sub(c.Epoch))+1, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limit != 0 && limit >= c.limit {
		return
	}
	c.limit = limit
	if c.armed != 0 && limit > c.armed {
		return // the write in progress ends before; arm and disarm set the deadline
	}
	c.SetWriteDeadline(c.Time(limit)) //nolint:errcheck,gosec // fails on a closed connection only
}
