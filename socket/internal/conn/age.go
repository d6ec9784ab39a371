package conn

import (
	"hash/maphash"
	"time"
)

// maxAge is how long the connection may live: MaxAge, or up to a tenth less, by its PID, so that those which have come together
// do not go together. 0: as long as it likes, or it was told to end already. c.mu is held.
func (c *Conn) maxAge() time.Duration {
	most := c.group.opts.MaxAge
	if most <= 0 || c.end != nil && c.end.tooOld {
		return 0
	}
	const parts = 1 << 16
	part := float64(maphash.Comparable(c.group.seed, c.PID())%parts) / parts
	return most - time.Duration(part*float64(most/10))
}

// ageDue is when to look at the age of the connection next; 0: never. A deadline is late by up to 1/32 of the time until it,
// so it is set for a part of the time that is left, again and again, until that is short. So the end comes when it should.
// c.mu is held.
func (c *Conn) ageDue(now time.Duration) time.Duration {
	age := c.maxAge()
	if age == 0 {
		return 0
	}
	due := c.since + age
	if left := due - now; left > 100*time.Millisecond {
		due -= left / 16
	}
	return due
}

// grownOld tells, once, whether the connection has lived for so long. c.mu is held.
func (c *Conn) grownOld(now time.Time) bool {
	age := c.maxAge()
	if age == 0 || c.group.at(now) < c.since+age {
		return false
	}
	if c.end == nil {
		c.end = new(end)
	}
	c.end.tooOld = true
	return true
}
