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

// become sets the life, unless it is later already. c.mu is held.
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

// Kill ends the connection at once, also when the process is dead and the wire waits for the peer's Close.
func (c *Conn) Kill() {
	c.PID().Exit(actor.ErrKilled)
	c.abort()
}

// hold lets a task be under way, unless TCP is closed. The task ends with letGo.
func (c *Conn) hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == closed {
		return false
	}
	c.holders++
	return true
}

// letGo ends what hold began; the last one reports.
func (c *Conn) letGo() {
	if c.letGoLast() {
		c.report()
	}
}

// letGoLast is letGo for those who have to report themselves, if it says so.
func (c *Conn) letGoLast() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holders--
	return c.holders == 0
}

// readerGone ends the role of the reader.
func (c *Conn) readerGone() {
	c.mu.Lock()
	before := c.reading
	c.reading = gone
	c.mu.Unlock()
	if before != gone {
		c.letGo()
	}
}

// report is the last act: TCP is closed and the process is dead.
func (c *Conn) report() { c.group.opts.Closed(c) }

// reporter is report as a task.
type reporter Conn

func (r *reporter) Run() { (*Conn)(r).report() }
