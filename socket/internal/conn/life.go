package conn

import (
	"github.com/troupe-dev/troupe/actor"
)

// life is how far a connection has come; see the package's comment.
type life uint8

const (
	opening life = iota
	open
	ending
	closing
	closed
)

// become moves life on to l, unless it is further already, and wakes those who wait for that. c.mu is held.
func (c *Conn) become(l life) {
	c.life = max(c.life, l)
	c.tell()
}

// awaitClosing waits until the Close frame is out, or will never be. c.mu is held.
func (c *Conn) awaitClosing() {
	for c.life < closing {
		c.await()
	}
}

// abort closes TCP at once.
func (c *Conn) abort() {
	c.mu.Lock()
	c.become(closed)
	c.group.deadlines.Stop(&c.deadline)
	c.disarmLateFlush()
	c.group.notifier.Release(&c.sleeper, c.wire.Transport()) // before TCP is closed
	c.wake()
	c.mu.Unlock()
	c.wire.Abort() //nolint:errcheck,gosec // there is nothing left to do
}

// Kill ends the connection at once, even if the process is dead and only the peer's Close is waited for. It returns whether
// it is the first one.
func (c *Conn) Kill() (first bool) {
	c.ends(func(e *end) { first, e.killed = !e.killed, true })
	c.PID().Exit(actor.ErrKilled)
	c.abort()
	return first
}

// hold must be called before a task begins to work on the connection, which must call release at its end. False: TCP is
// closed, and the task must not begin.
func (c *Conn) hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == closed {
		return false
	}
	c.holders++
	return true
}

// release undoes a hold. The last one reports the end of the connection.
func (c *Conn) release() {
	if c.releaseLast() {
		c.report()
	}
}

// releaseLast is release without the report. True: it was the last one, and the caller must see to the report.
func (c *Conn) releaseLast() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders--
	return c.holders == 0
}

// readerGone releases the connection for the reader, once: there will be no reader again.
func (c *Conn) readerGone() {
	c.mu.Lock()
	before := c.reading
	c.reads(gone)
	c.mu.Unlock()
	if before != gone {
		c.release()
	}
}

// report tells the owner that TCP is closed and the process is dead. Nothing happens to the connection after it.
func (c *Conn) report() { c.group.opts.Closed(c) }

// reporter is report as a task.
type reporter Conn

func (r *reporter) Run() { (*Conn)(r).report() }
