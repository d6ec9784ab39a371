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
	suspended time.Duration // when the reader was last asked to suspend
	frames    uint32        // how many wire had counted when noMessage was set; it wraps around
	doubled   uint8         // how often firstSleep is doubled; see sleepAfter
}

// firstSleep is how long a connection must have been silent to fall asleep, at first. It is doubled so often at most: more is no Duration.
const (
	firstSleep  = time.Second
	mostDoubled = 33
)

// sleepAfter is how long no message must have come for the connection to fall asleep. It begins with firstSleep, is doubled
// whenever the connection turns out not to be silent, up to HibernateAfter, and begins anew after a silence longer than
// HibernateAfter: a connection that is silent for so long sleeps in any case, so sleeping sooner costs it nothing. Others
// pay for it a few times. 0 or less: never. c.mu is held.
func (c *Conn) sleepAfter() time.Duration {
	return min(firstSleep<<c.silence.doubled, c.group.opts.HibernateAfter)
}

// notSilent notes that there was something within d of what there was before, or of when that was looked for last. c.mu is held.
func (c *Conn) notSilent(d time.Duration) {
	most := c.group.opts.HibernateAfter
	if d <= most && c.sleepAfter() < most && c.silence.doubled < mostDoubled {
		c.silence.doubled++
	}
}

// watchSilence sets the deadline when a reader begins. A connection that has just woken may need an earlier one:
// MessageTimeout and HibernateAfter cannot be due while it sleeps.
func (c *Conn) watchSilence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.group.at(now)-c.silence.noMessage > c.group.opts.HibernateAfter {
		c.silence.doubled = 0
	}
	c.setDeadline(now)
}

// wasSilent tells whether a connection that has slept was silent for longer than the time after which it sleeps. Then it is likely
// to be so again.
func (c *Conn) wasSilent() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	silent, _, _ := c.activity()
	since, talked := c.talked(silent) // it may have been awake for no longer than a message
	if c.group.at(time.Now())-c.silence.noMessage <= c.sleepAfter() {
		return false
	}
	if talked {
		c.notSilent(since)
	}
	return true
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
	silent, message, _ := c.activity()
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
		sooner(quiet, c.sleepAfter())
	}
	sooner(0, c.ageDue(now))
	return next, next != 0
}

// activity is since when bytes are waited for, and since when a message is incomplete, 0: not now; and when something was
// written last.
func (c *Conn) activity() (silent, message, wrote time.Duration) {
	a := c.wire.Activity()
	return c.group.at(a.WaitingSince), c.group.at(a.MessageSince), c.group.at(a.LastWrite)
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

// noMessageSince is when the silence began that sleepAfter limits: with the last message, or when the reader was last
// asked to suspend. silent is since when bytes are waited for; while it is 0, new messages are not looked for. Pings and
// pongs do not end this silence. c.mu is held.
func (c *Conn) noMessageSince(silent time.Duration) time.Duration {
	if since, talked := c.talked(silent); talked {
		c.notSilent(since)
	}
	return max(c.silence.noMessage, c.silence.suspended)
}

// talked looks whether there were messages since it has looked last, and how long it took until then from the last message before. It
// does not look while silent is 0. c.mu is held.
func (c *Conn) talked(silent time.Duration) (since time.Duration, talked bool) {
	s, n := &c.silence, uint32(c.wire.DataFrames())
	if silent == 0 || n == s.frames {
		return 0, false
	}
	since = silent - s.noMessage
	s.frames, s.noMessage = n, silent
	return since, true
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
	silent, message, wrote := c.activity()
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
	if quiet := c.noMessageSince(silent); c.reading == awake && over(quiet, c.sleepAfter()) {
		c.maySleep(quiet, wrote, at)
	}
	return nil
}

// maySleep asks the reader to suspend, unless there was something to write lately and HibernateAfter is not over: what is
// written to often would gain little. c.mu is held.
func (c *Conn) maySleep(quiet, wrote, now time.Duration) {
	if now-quiet < c.group.opts.HibernateAfter && now-wrote < c.sleepAfter() {
		c.notSilent(now - quiet)
		return
	}
	c.silence.suspended = now
	c.wire.Suspend()
}

// interrupt ends reading with err.
func (c *Conn) interrupt(err error) {
	c.wire.Interrupt(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disarmAndWake()
}
