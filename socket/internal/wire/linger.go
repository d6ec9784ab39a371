package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/frame"
)

// Linger reads on after Next has failed, and throws away what comes, so that closing TCP does not reset the connection
// while our last messages and the Close frame are on their way (RFC 6455 section 7.1.1). It returns nil when the peer's
// Close frame has come or, if that came before or the stream cannot be parsed any more, at the end of TCP. It returns
// an error when timeout is over or the transport fails. It uses no memory but one read buffer.
//
// timeout, 0 for none, begins at since, and anew whenever the peer's kernel has taken something of what was still on
// its way. So the peer gets all of it, unless it takes nothing for timeout, and then has that long to answer. Where the
// progress cannot be seen (see unsent), timeout begins at since only.
//
// It is for the reading goroutine. Interrupt and Discard have no effect on it, Abort ends it.
func (c *Conn) Linger(since time.Time, timeout time.Duration) error {
	if !c.ended {
		c.end(ErrStopped)
	}
	c.draining = true
	q := c.leftover(since, timeout)
	err := c.readUntil(q.next())
	for err == nil {
		if err = c.drain(); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || q.over() {
			break
		}
		err = c.readUntil(q.next())
	}
	c.drop()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// readUntil sets when reading ends; the zero Time: never. From then on the deadline belongs to Linger.
func (c *Conn) readUntil(t time.Time) error {
	c.wakeMu.Lock()
	defer c.wakeMu.Unlock()
	c.unwakable = true
	return c.conn.SetReadDeadline(t)
}

// leftover watches what was written and has not arrived yet, while Linger reads.
type leftover struct {
	c       *Conn
	timeout time.Duration
	end     time.Time // when the time is over; zero: never
	bytes   int       // how many have not arrived; 0 also when that is unknown
}

func (c *Conn) leftover(since time.Time, timeout time.Duration) *leftover {
	q := &leftover{c: c, timeout: timeout}
	if timeout > 0 {
		q.end = since.Add(timeout)
		if q.bytes = c.unsent(); q.bytes > 0 { // it may have shrunk meanwhile
			q.end = time.Now().Add(timeout)
		}
	}
	return q
}

// next is when to look again: the end, or an eighth of the time while something has not arrived.
func (q *leftover) next() time.Time {
	if q.bytes == 0 {
		return q.end
	}
	if step := time.Now().Add(max(q.timeout/8, time.Millisecond)); step.Before(q.end) {
		return step
	}
	return q.end
}

// over reports whether the time is over. It looks, and starts the time anew when something has arrived.
func (q *leftover) over() bool {
	now := time.Now()
	if q.bytes > 0 {
		before := q.bytes
		if q.bytes = q.c.unsent(); q.bytes < before {
			q.end = now.Add(q.timeout)
		}
	}
	return !now.Before(q.end)
}

// unsent is how many of the bytes that were written the peer's kernel has not acknowledged, our FIN included; 0 when it
// has all of them, or when that is unknown. It is known for sockets on Linux, also below TLS and below wrappers that
// have NetConn or SyscallConn, and for connections that have a method for it.
func (c *Conn) unsent() int {
	switch conn := innermost(c.conn).(type) {
	case interface{ Unsent() int }:
		return conn.Unsent()
	case syscall.Conn:
		return sendQueue(conn)
	}
	return 0
}

// innermost returns what conn wraps, as far as conn says.
func innermost(conn net.Conn) net.Conn {
	for {
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return conn
		}
		conn = inner.NetConn()
	}
}

func (c *Conn) drain() error {
	for !c.closed && !c.in.broken {
		if err := c.skipPayload(); err != nil {
			return err
		}
		h, err := c.header()
		if c.in.broken {
			break
		}
		if err != nil {
			return err
		}
		if h.Opcode == frame.Close {
			p, err := c.controlPayload(h)
			if err != nil {
				return err
			}
			c.countIn(frame.Close, h.Length)
			c.peerClosed(p) //nolint:errcheck,gosec // legal or not, it was the last frame
			return nil
		}
		c.source.data = c.source.data[h.Size:]
		c.in.frame, c.in.rest = h, h.Length
		if h.Length == 0 {
			c.countIn(h.Opcode, 0)
		}
	}
	for {
		c.drop()
		if err := c.receive(true); err != nil {
			return err
		}
	}
}

// skipPayload drops what is left of the payload of a frame.
func (c *Conn) skipPayload() error {
	for c.in.rest > 0 {
		if n := int(min(int64(len(c.source.data)), c.in.rest)); n > 0 {
			c.source.data = c.source.data[n:]
			c.consumed(n)
			continue
		}
		if err := c.receive(true); err != nil {
			return err
		}
	}
	return nil
}
