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
	WaitingSince time.Time // Next, or Linger, waits for bytes
	MessageSince time.Time // the first byte of a message, or of any frame, that is not complete; never while OnControl runs
}

// clock holds the times of an Activity. They are kept as distance from the
// Opener's epoch, plus one so that zero means none.
type clock struct {
	read, openedAt atomic.Int64

	// waiting is shifted by restBits; the bits below say how the reading goroutine
	// stands to Suspend. 0: it does not wait.
	waiting atomic.Int64
}

func (c *Conn) now() int64 { return int64(time.Since(c.u.epoch)) + 1 }

// opened sets since when something is not complete; 0: nothing is.
func (c *clock) opened(at int64) {
	if c.openedAt.Load() != at {
		c.openedAt.Store(at)
	}
}

func (u *Opener) time(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return u.epoch.Add(time.Duration(at - 1))
}

func (u *Opener) activity(c *clock, wrote int64) Activity {
	return Activity{
		LastRead:     u.time(c.read.Load()),
		LastWrite:    u.time(wrote),
		WaitingSince: u.time(c.waiting.Load() >> restBits),
		MessageSince: u.time(c.openedAt.Load()),
	}
}
