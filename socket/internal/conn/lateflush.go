package conn

import "time"

// lateFlushAfter is how long pushes wait at most for the callbacks that run after them.
const lateFlushAfter = time.Millisecond

// armLateFlush arms the late flush, which writes what was pushed if the callbacks after that take long. A connection that
// gets one message at a time and answers it never arms this: nothing waits when a callback begins. The holder of the turn
// calls it.
func (c *Conn) armLateFlush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == closed {
		return
	}
	c.lateFlushArmed.Store(true)
	if c.lateFlush == nil {
		c.lateFlush = time.AfterFunc(lateFlushAfter, c.flushLate)
	} else {
		c.lateFlush.Reset(lateFlushAfter)
	}
}

func (c *Conn) flushLate() {
	c.lateFlushArmed.Store(false)
	if c.hold() {
		defer c.release()
		c.flush()
	}
}

// disarmLateFlush is called before a flush. c.mu is held.
func (c *Conn) disarmLateFlush() {
	if c.lateFlushArmed.Load() && c.lateFlush.Stop() {
		c.lateFlushArmed.Store(false)
	}
}

// flush writes what was pushed.
func (c *Conn) flush() {
	if c.lateFlushArmed.Load() {
		c.mu.Lock()
		c.disarmLateFlush()
		c.mu.Unlock()
	}
	if err := c.wire.Flush(); err != nil {
		c.lose("write", err)
	}
}
