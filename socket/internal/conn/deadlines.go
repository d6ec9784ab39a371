package conn

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// silence is what is known of the peer's silence. A time of 0 means never.
//
// One deadline serves all limits. It is set for the earliest time at which something can be due. Then Due looks at what has
// happened meanwhile, and writes a ping, lets the connection sleep, or ends reading. Messages do not touch it. Once our Close
// frame is out, the deadline is for CloseTimeout: that of a connection that sleeps, or after an overload.
type silence struct {
	counts    time.Duration // silence before this does not count; see silentSince
	noMessage time.Duration // since when no message has come, unless wire has counted more than frames
	frames    int64         // how many wire had counted when noMessage was set
	suspended time.Duration // when the reader was last asked to suspend
}

// watchSilence sets the deadline when a reader begins. A connection that has just woken may need an earlier one:
// MessageTimeout and HibernateAfter cannot be due while it sleeps.
func (c *Conn) watchSilence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setDeadline(time.Now())
}

// silenceCounts tells whether the limits of the peer's silence still hold. c.mu is held.
func (c *Conn) silenceCounts() bool { return c.life == open && !c.interrupted && !c.saidGoodbye }

// setDeadline sets the deadline for the peer's silence. c.mu is held.
func (c *Conn) setDeadline(now time.Time) {
	if !c.silenceCounts() {
		return
	}
	at := c.group.at(now)
	if next, ok := c.nextDue(at); ok {
		// What has become due meanwhile is looked at in a millisecond.
		c.group.deadlines.Set(&c.deadline, c, now, max(next-at, time.Millisecond))
	}
}

// nextDue is the earliest time at which something can be due. Silence counts only while the connection waits for bytes. While
// it sleeps, there is no incomplete message. c.mu is held.
func (c *Conn) nextDue(now time.Duration) (time.Duration, bool) {
	o := &c.group.opts
	silent, message := c.activity()
	quiet := c.noMessageSince(silent)
	if silent == 0 {
		silent, quiet = now, now
	}
	if message == 0 {
		message = now
	}
	var next time.Duration
	sooner := func(since, d time.Duration) {
		if d > 0 && (next == 0 || since+d < next) {
			next = since + d
		}
	}
	sooner(c.silentSince(silent, now), o.IdleTimeout)
	sooner(max(silent, c.ping.due), o.PingInterval)
	if c.reading != asleep {
		sooner(message, o.MessageTimeout)
	}
	if c.reading == awake {
		sooner(quiet, o.HibernateAfter)
	}
	sooner(0, c.ageDue(now))
	return next, next != 0
}

// activity is since when bytes are waited for, and since when a message is incomplete; 0: not now.
func (c *Conn) activity() (silent, message time.Duration) {
	a := c.wire.Activity()
	return c.group.at(a.WaitingSince), c.group.at(a.MessageSince)
}

// silentSince is when the silence began that IdleTimeout limits; silent is since when bytes are waited for. The time in which
// our ping waits to be written does not count: the peer cannot answer it yet, and WriteTimeout ends a write that takes too
// long. c.mu is held.
func (c *Conn) silentSince(silent, now time.Duration) time.Duration {
	from := max(silent, c.silence.counts)
	if c.ping.writing && c.ping.begun != 0 && c.group.opts.WriteTimeout > 0 {
		from += now - max(silent, c.ping.begun)
	}
	return from
}

// noMessageSince is when the silence began that HibernateAfter limits: with the last message, or when the reader was last
// asked to suspend. silent is since when bytes are waited for; while it is 0, new messages are not looked for. Pings and
// pongs do not end this silence. c.mu is held.
func (c *Conn) noMessageSince(silent time.Duration) time.Duration {
	s := &c.silence
	if silent != 0 {
		if n := c.wire.DataFrames(); n != s.frames {
			s.frames, s.noMessage = n, silent
		}
	}
	return max(s.noMessage, s.suspended)
}

// Due implements deadline.Target.
func (c *Conn) Due(now time.Time) {
	c.mu.Lock()
	goodbye := c.life == open && c.saidGoodbye
	var why error
	old := false
	switch {
	case c.life == closing: // CloseTimeout is over, but the reader may wait longer: see wire's Linger
		c.disarmAndWake()
	case c.silenceCounts():
		old = c.grownOld(now)
		why = c.due(now)
		c.interrupted = why != nil
		c.setDeadline(now)
	}
	c.mu.Unlock()
	if goodbye { // CloseTimeout is over, and a callback still runs
		c.abort()
	}
	if why != nil {
		c.interrupt(why)
	} else if old {
		c.group.opts.TooOld(c)
	}
}

// due does what is due, or returns why reading is to end. c.mu is held.
func (c *Conn) due(now time.Time) (why error) {
	o, at := &c.group.opts, c.group.at(now)
	silent, message := c.activity()
	over := func(since, d time.Duration) bool { return since != 0 && d > 0 && at >= since+d }
	switch {
	case silent != 0 && over(c.silentSince(silent, at), o.IdleTimeout):
		return websock.ErrTimeout
	case over(message, o.MessageTimeout):
		// Also when the reader does not wait: a peer may send more than can be read, such as empty fragments without end.
		return fmt.Errorf("message not complete within Config.MessageTimeout %v: %w", o.MessageTimeout, websock.ErrTimeout)
	case silent == 0:
		return nil
	}
	if over(max(silent, c.ping.due), o.PingInterval) {
		c.askForPong(at)
	}
	if c.reading == awake && over(c.noMessageSince(silent), o.HibernateAfter) {
		c.silence.suspended = at
		c.wire.Suspend()
	}
	return nil
}

// interrupt ends reading with err.
func (c *Conn) interrupt(err error) {
	c.wire.Interrupt(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disarmAndWake()
}
