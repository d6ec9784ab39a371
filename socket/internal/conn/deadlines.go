package conn

import (
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// silence is what is known of the peer's silence. 0: never.
//
// One deadline watches over it: it comes when something can be due at the earliest, looks at what has happened since, and
// pings, lets the connection sleep, or ends reading. Traffic does not touch it. After the end it is how long the peer's
// Close is waited for.
type silence struct {
	counts    time.Duration // since when the silence counts, if it has not ended since; see silentSince
	noMessage time.Duration // since when no message has come, as far as frames does not say otherwise
	frames    int64         // of messages that had come when noMessage was set
	suspended time.Duration // when the reader was last asked to suspend
}

// watchSilence begins the watch. When the connection wakes, it begins anew: what can be due is more then.
func (c *Conn) watchSilence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.setDeadline(time.Now())
}

// silenceCounts tells whether the peer's silence means something. c.mu is held.
func (c *Conn) silenceCounts() bool { return c.life == open && !c.interrupted && !c.saidGoodbye }

// setDeadline sets the deadline for the peer's silence. c.mu is held.
func (c *Conn) setDeadline(now time.Time) {
	if !c.silenceCounts() {
		return
	}
	at := c.group.at(now)
	if next, ok := c.nextDue(at); ok {
		// What became due just now is looked at again.
		c.group.deadlines.Set(&c.deadline, c, now, max(next-at, time.Millisecond))
	}
}

// nextDue is when something can be due at the earliest. Silence counts only while the connection waits for bytes; of one
// that sleeps, no message can be open. c.mu is held.
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
	return next, next != 0
}

// activity is since when the reader waits for bytes, and since when a message is not complete; 0: not now.
func (c *Conn) activity() (silent, message time.Duration) {
	a := c.wire.Activity()
	return c.group.at(a.WaitingSince), c.group.at(a.MessageSince)
}

// silentSince is since when the peer is silent, of which IdleTimeout is the end, if nothing has come from it since silent.
// The time that our ping waits does not count: a slow peer takes what was written before it, WriteTimeout sees to that, and
// cannot answer. c.mu is held.
func (c *Conn) silentSince(silent, now time.Duration) time.Duration {
	from := max(silent, c.silence.counts)
	if c.ping.writing && c.ping.begun != 0 && c.group.opts.WriteTimeout > 0 {
		from += now - max(silent, c.ping.begun)
	}
	return from
}

// noMessageSince is since when the connection can sleep: no message has come, as far as is known while it waits for bytes
// since silent, and it was not asked to; 0: it does not wait. Pings and pongs end the silence of the peer, not this one.
// c.mu is held.
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
	switch {
	case c.life == closing: // the reader goes on waiting while the peer takes what was sent
		c.rouse()
	case c.silenceCounts():
		why = c.due(now)
		c.interrupted = why != nil
		c.setDeadline(now)
	}
	c.mu.Unlock()
	if goodbye { // a callback still runs
		c.abort()
	}
	if why != nil {
		c.interrupt(why)
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
		// Without waiting: the peer sends faster than is read, such as fragments of nothing without end.
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
	c.rouse()
}
