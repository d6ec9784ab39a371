package wire

import (
	"sync/atomic"
	"time"
)

// Activity says when a connection last did something. A zero Time stands for
// never, or not now.
type Activity struct {
	LastRead     time.Time // bytes came from the transport
	LastWrite    time.Time // a write to the transport was completed
	WaitingSince time.Time // Next, or Drain, waits for bytes
	MessageSince time.Time // the first byte of a message, or of any frame, that is not complete
}

// clock holds the times of an Activity. They are kept as distance from the
// start of the connection, plus one so that zero means none.
type clock struct {
	base                           time.Time
	read, write, waiting, openedAt atomic.Int64
}

func (c *clock) now() int64 { return int64(time.Since(c.base)) + 1 }

// opened sets since when something is not complete; 0: nothing is.
func (c *clock) opened(at int64) {
	if c.openedAt.Load() != at {
		c.openedAt.Store(at)
	}
}

// pause takes the time since then, which the peer could not help, off what is
// not complete.
func (c *clock) pause(then int64) {
	if at := c.openedAt.Load(); at != 0 {
		c.openedAt.Store(at + c.now() - then)
	}
}

func (c *clock) time(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return c.base.Add(time.Duration(at - 1))
}

func (c *clock) activity() Activity {
	return Activity{
		LastRead:     c.time(c.read.Load()),
		LastWrite:    c.time(c.write.Load()),
		WaitingSince: c.time(c.waiting.Load()),
		MessageSince: c.time(c.openedAt.Load()),
	}
}
