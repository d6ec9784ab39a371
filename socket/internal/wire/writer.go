package wire

import (
	"io"
	"net"
	"time"
)

// write writes all of b, within a deadline. The caller has begun writing.
func (c *Conn) write(b *batch) error {
	if c.raw != nil && (rawVector || len(b.large) == 0) {
		return c.rawWrite(b) // arms the deadline only when it blocks
	}
	return c.writeAll(b)
}

func (c *Conn) writeAll(b *batch) error {
	if err := c.arm(); err != nil {
		return err
	}
	defer c.disarm()
	if len(b.large) == 0 {
		return writeFull(c.conn, b.buf)
	}
	segments := b.segments()
	switch c.conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		// A writev of its own. A wrapper may have inherited it, past its own Write.
		left := net.Buffers(segments)
		_, err := left.WriteTo(c.conn)
		return err
	}
	for _, p := range segments {
		if err := writeFull(c.conn, p); err != nil {
			return err
		}
	}
	return nil
}

func writeFull(conn net.Conn, p []byte) error {
	n, err := conn.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// arm gives the write that begins, or begins to block, its deadline.
func (c *Conn) arm() error {
	timeout := c.u.opts.WriteTimeout
	if timeout <= 0 {
		return nil
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = c.now() + int64(timeout)
	if o.limit != 0 {
		o.armed = min(o.armed, o.limit)
	}
	return c.conn.SetWriteDeadline(c.u.time(o.armed))
}

// disarm takes the deadline of the write away, so that a later one does not
// meet it.
func (c *Conn) disarm() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.armed != 0 {
		o.armed = 0
		c.conn.SetWriteDeadline(c.u.time(o.limit)) //nolint:errcheck,gosec // fails on a closed connection only
	}
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (c *Conn) LimitWrites(t time.Time) {
	limit := max(int64(t.Sub(c.u.epoch))+1, 1)
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limit != 0 && limit >= o.limit {
		return
	}
	o.limit = limit
	if o.armed != 0 && limit > o.armed {
		return // the write in progress ends before; disarm sets it
	}
	c.conn.SetWriteDeadline(c.u.time(limit)) //nolint:errcheck,gosec // fails on a closed connection only
}
