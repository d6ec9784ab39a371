package pipe

import "github.com/troupe-dev/troupe/socket/internal/notify"

// Readable reports whether a Read would not block: data, the end of the stream,
// a reset or an expired deadline waits, or c is closed.
func (c *Conn) Readable() bool {
	c.pair.mu.Lock()
	defer c.unlock()
	return c.happened() != 0
}

// Notify registers w: w.Wake is called once, as soon as want, or more, has
// happened to c, and w is forgotten before that. When it has happened already,
// Notify returns what has, and registers nothing.
//
// An expired read deadline counts as [notify.Readable], a Close of the peer that
// has read everything as [notify.HalfClosed], until something is written to it,
// and c's own Close as [notify.Gone].
//
// Wake is called with no lock held, on the goroutine that made it happen: in
// the peer's Write, Close, CloseWrite or Reset, in c's own Write, Close, Reset or
// SetReadDeadline, or on a timer's when the deadline passes. It must not
// block. Registering a second Waker panics.
func (c *Conn) Notify(w notify.Waker, want notify.Event) (already notify.Event) {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.waker != nil {
		panic("pipe: Notify while a Waker is registered")
	}
	if what := c.happened(); what >= want {
		return what
	}
	c.waker, c.want = w, want
	c.read.arm(c)
	return 0
}

// Forget takes the Waker back and reports whether there was one: if so it will
// not be called; if not it was never registered, or Wake has been or is being
// called.
func (c *Conn) Forget() bool {
	c.pair.mu.Lock()
	defer c.unlock()
	return c.takeWaker() != nil
}

// happened is what a Waker can be told.
func (c *Conn) happened() notify.Event {
	switch {
	case c.closed, c.reset:
		return notify.Gone
	case c.eof:
		return notify.HalfClosed
	case c.received.n > 0, c.read.expired(c.pair):
		return notify.Readable
	}
	return 0
}

// isDue reports whether it is time to call the Waker.
func (c *Conn) isDue() bool { return c.waker != nil && c.happened() >= c.want }

func (c *Conn) takeWaker() notify.Waker {
	w := c.waker
	if w != nil {
		c.waker = nil
		c.read.settle(c)
	}
	return w
}

// due takes the Waker, if it is time to call it.
func (c *Conn) due() (notify.Waker, notify.Event) {
	if !c.isDue() {
		return nil, 0
	}
	return c.takeWaker(), c.happened()
}

// unlock gives up the pair's mutex and calls the Wakers for which it is time.
func (c *Conn) unlock() {
	own, what := c.due()
	peers, whatPeers := c.peer.due()
	c.pair.mu.Unlock()
	if own != nil {
		own.Wake(what)
	}
	if peers != nil {
		peers.Wake(whatPeers)
	}
}
