package conn

import (
	"errors"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// reading is whether there is a reader, and may be none; see the package's comment.
type reading uint8

const (
	awake reading = iota
	always
	asleep
	gone
)

// lieDown is called by the reader when it has nothing to do. True: it must leave at once, for another one may run already.
// False: it reads on.
func (c *Conn) lieDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life != open || c.interrupted || c.reading != awake { // nobody would wake it
		return false
	}
	already, err := c.group.notifier.Arm(&c.sleeper, c.wire.Transport(), c, notify.Readable)
	switch {
	case err == nil && already == 0:
		c.reading = asleep
		c.role++
	case errors.Is(err, notify.ErrUnsupported):
		c.reading = always
	}
	return c.reading == asleep
}

// Wake implements notify.Waker. A call that comes late finds another reader, or wakes the connection once for nothing; then
// the notifier may still be armed.
func (c *Conn) Wake(what notify.Event) {
	c.mu.Lock()
	paused := c.backlog.paused
	c.rouse()
	c.mu.Unlock()
	if paused {
		c.peerEnded(what)
	}
}

// wake starts a reader if there is none. c.mu is held.
func (c *Conn) wake() {
	if c.reading == asleep {
		c.reading = awake
		c.port.Go((*reader)(c))
	}
}

// rouse wakes the connection if it sleeps, whatever the notifier waits for. c.mu is held.
func (c *Conn) rouse() {
	if c.reading == asleep {
		c.group.notifier.Disarm(&c.sleeper, c.wire.Transport())
		c.wake()
	}
}
