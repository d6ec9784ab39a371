package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// reading says whether there is a reader, and whether there may be none; see the package's comment.
type reading uint8

const (
	awake reading = iota
	always
	asleep
	gone
)

// fallAsleep is called by the reader when there is nothing to read. True: the connection sleeps, and the reader must return
// at once, for the next one may run already. False: it must read on.
func (c *Conn) fallAsleep() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != open || c.interrupted || c.reading != awake { // nobody would wake it
		return false
	}
	if c.wire.MayRest() {
		c.group.notifier.Leave(&c.sleeper, c.wire.Transport())
		c.wire.Rest()
	}
	already, err := c.group.notifier.Arm(&c.sleeper, c.wire.Transport(), c, notify.Readable)
	switch {
	case err == nil && already == 0:
		c.reads(asleep)
		c.role++
	case errors.Is(err, notify.ErrUnsupported):
		c.reads(always)
	case err != nil: // there is no descriptor for the notifier, or the kernel watches no more: not every second again
		c.silence.doubled = mostDoubled
	}
	return c.reading == asleep
}

// reads notes whether there is a reader from now on. c.mu is held.
func (c *Conn) reads(r reading) {
	switch {
	case c.reading == asleep && r != asleep:
		c.group.asleep.Add(-1)
	case c.reading != asleep && r == asleep:
		c.group.asleep.Add(1)
	}
	c.reading = r
}

// Wake implements notify.Waker. A call that comes late finds a reader that runs, or wakes the connection once for nothing; in
// that case the notifier may still be armed, and is disarmed here.
func (c *Conn) Wake(what notify.Event) {
	c.mu.Lock()
	paused := c.backlog.paused
	c.disarmAndWake()
	c.mu.Unlock()
	if paused {
		c.peerEnded(what)
	}
}

// wake starts a reader if the connection sleeps. c.mu is held.
func (c *Conn) wake() {
	if c.reading == asleep {
		c.reads(awake)
		c.port.Go((*reader)(c))
	}
}

// disarmAndWake wakes the connection if it sleeps, and takes back what the notifier was armed for. c.mu is held.
func (c *Conn) disarmAndWake() {
	if c.reading == asleep {
		c.group.notifier.Disarm(&c.sleeper, c.wire.Transport())
		c.wake()
	}
}
