package conn

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/websock"
)

// expiry is when the right of a connection ends: one Expire. It is a message of the connection to itself, too, which comes by a
// timer of the process, so it takes its place in the mailbox: what the peer has sent before is handled first, and may renew.
// One that is not that of the connection any more, because another Expire has come, is dropped.
//
// The timer is set for a minute at most. So a time of the wall clock, which can be set forward, comes a minute late at most; when
// that clock is set back, the timer comes early, and is set again.
type expiry struct {
	at    time.Time
	warn  time.Time   // when HandleExpiry is called; zero: it has been, or there is none. Owned by the turn, once the timer is set
	timer actor.Timer // by Conn.mu
}

const longestExpiryTimer = time.Minute

// Expire has the connection end at a time, by the wall clock if at has no monotonic reading; zero: never. It undoes the Expire
// before it. ctx is that of the process.
func (c *Conn) Expire(ctx context.Context, at time.Time) {
	var next *expiry
	if !at.IsZero() {
		next = &expiry{at: at}
		if _, ok := optional[websock.ExpiryHandler](c.handler); ok && c.group.opts.ExpiryWarning > 0 {
			next.warn = at.Add(-min(c.group.opts.ExpiryWarning, max(c.untilWall(at), 0)/2))
		}
	}
	var before *expiry
	var timer actor.Timer
	c.ends(func(e *end) {
		if before, e.expiry = e.expiry, next; before != nil {
			timer = before.timer
		}
	})
	timer.Stop() // nothing, if before has none yet; then its message finds that it is not the one
	if next != nil {
		c.setTimer(ctx, next)
	}
}

// untilWall is how long it is until at.
func (c *Conn) untilWall(at time.Time) time.Duration {
	if now := c.group.opts.Now; now != nil {
		return at.Sub(now())
	}
	return time.Until(at)
}

// setTimer sets the timer of x for what is due next.
func (c *Conn) setTimer(ctx context.Context, x *expiry) {
	next := x.at
	if !x.warn.IsZero() {
		next = x.warn
	}
	timer := actor.SendAfter(ctx, min(max(c.untilWall(next), 0), longestExpiryTimer), x)
	last := false
	c.ends(func(e *end) {
		if last = e.expiry == x; last {
			x.timer = timer
		}
	})
	if !last { // another Expire has come meanwhile, and has found no timer to stop
		timer.Stop()
	}
}

// expires tells whether x is the last Expire.
func (c *Conn) expires(x *expiry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end != nil && c.end.expiry == x
}

func (c *Conn) receiveExpiry(ctx context.Context, x *expiry) error {
	if !c.expires(x) {
		return nil
	}
	if c.untilWall(x.at) <= 0 {
		return websock.ErrExpired
	}
	if !x.warn.IsZero() && c.untilWall(x.warn) <= 0 {
		x.warn = time.Time{}
		if err := c.warn(ctx); err != nil {
			return err
		}
		if !c.expires(x) {
			return nil
		}
	}
	c.setTimer(ctx, x)
	return nil
}

func (c *Conn) warn(ctx context.Context) error {
	c.beforeCallback()
	if r := c.recorder(); r != nil {
		defer r.returned(c.begins(r, "expiry", 0))
	}
	defer c.took(callExpiry, c.clock())
	r := c.handler.(websock.ExpiryHandler).HandleExpiry(ctx)
	return c.apply(&r)
}
