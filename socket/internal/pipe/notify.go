package pipe

// Waker is who is told that a Conn can be read; see [Conn.NotifyReadable].
type Waker = interface{ Wake() }

// Readable reports whether a Read would not block: data, the end of the stream,
// a reset or an expired deadline waits, or c is closed.
func (c *Conn) Readable() bool {
	c.pair.mu.Lock()
	defer c.unlock()
	return c.readable()
}

// NotifyReadable registers w: w.Wake is called once, as soon as a Read would
// not block, and w is forgotten before that. When a Read would not block
// already it returns false and registers nothing.
//
// Wake is called with no lock held, on the goroutine that made c readable: in
// the peer's Write, Close, CloseWrite or Reset, in c's own Close or
// SetReadDeadline, or on a timer's when the deadline passes. It must not
// block. Registering a second Waker panics.
func (c *Conn) NotifyReadable(w Waker) bool {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.waker != nil {
		panic("pipe: NotifyReadable while a Waker is registered")
	}
	if c.readable() {
		return false
	}
	c.waker = w
	c.read.arm(c)
	return true
}

// ForgetReadable takes the Waker back and reports whether there was one: if so
// it will not be called; if not it was never registered, or Wake has been or is
// being called.
func (c *Conn) ForgetReadable() bool {
	c.pair.mu.Lock()
	defer c.unlock()
	return c.takeWaker() != nil
}

func (c *Conn) readable() bool {
	return c.closed || c.reset || c.received.n > 0 || c.eof || c.read.expired(c.pair)
}

func (c *Conn) takeWaker() Waker {
	w := c.waker
	if w != nil {
		c.waker = nil
		c.read.settle(c)
	}
	return w
}

// due takes the Waker when it is time to call it.
func (c *Conn) due() Waker {
	if c.waker == nil || !c.readable() {
		return nil
	}
	return c.takeWaker()
}

// unlock gives up the pair's mutex and calls the Wakers of the ends that have
// become readable.
func (c *Conn) unlock() {
	own, peers := c.due(), c.peer.due()
	c.pair.mu.Unlock()
	if own != nil {
		own.Wake()
	}
	if peers != nil {
		peers.Wake()
	}
}
