package rawio

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// Settings are what connections share.
type Settings struct {
	Epoch        time.Time     // all times are counted from it
	WriteTimeout time.Duration // for a write of which the peer takes nothing; 0 or less: none
	SendBuffer   int           // bytes that the kernel may hold for the peer; 0: 128 KiB that it has not sent; negative: what it likes
}

// Now is the time since the Epoch, plus one nanosecond, so that 0 can stand for no time.
func (s *Settings) Now() int64 { return int64(time.Since(s.Epoch)) + 1 }

// Time turns what Now has returned into a Time; 0 becomes the zero Time.
func (s *Settings) Time(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return s.Epoch.Add(time.Duration(at - 1))
}

// Conn is a connection that is read by [Conn.Receive] and written by [Writer.Write]. One goroutine at a time may read,
// and one write; everything else is for any goroutine.
type Conn struct {
	mu    sync.Mutex // guards limit, armed and the deadline for writing
	limit int64      // of LimitWrites; 0: none
	armed int64      // deadline of the write in progress; 0: it has none of its own

	net.Conn
	raw syscall.RawConn // of Conn, where it is a descriptor; else nil
	*Settings
}

// Init makes c a Conn of conn. It must be called once, before all else.
func (c *Conn) Init(conn net.Conn, s *Settings) {
	c.Conn, c.raw, c.Settings = conn, rawConnOf(conn), s
	c.boundSendQueue()
}

// boundSendQueue bounds what the kernel takes beyond what it can send, which is up to 4 MiB otherwise: all of that is older than
// whatever waits here, cannot be left out any more, and is counted nowhere. Below TLS it is bounded in any case: a write of
// TLS that has met its deadline cannot go on, and the kernel says that a descriptor is writable when a third of its buffer is
// free, for which a slow peer takes longer than WriteTimeout when that is 4 MiB.
func (c *Conn) boundSendQueue() {
	d, ok := innermost(c.Conn).(syscall.Conn)
	if !ok {
		return
	}
	unsent := c.SendBuffer
	if unsent < 0 {
		if _, ok := c.Conn.(*tls.Conn); !ok {
			return
		}
	}
	if unsent > 0 {
		if b, ok := d.(interface{ SetWriteBuffer(bytes int) error }); ok {
			b.SetWriteBuffer(unsent) //nolint:errcheck,gosec // then it stays as it is
		}
	} else {
		unsent = mostUnsent
	}
	limitUnsent(d, unsent)
}

// mostUnsent is how much the kernel takes beyond what it can send, where SendBuffer does not say it.
const mostUnsent = 128 << 10

// Unsent is how many of the bytes that were written the peer's kernel has not acknowledged, our FIN included; 0 when it
// has all of them, or when that is unknown. It is known for sockets on Linux, also below TLS and below wrappers that
// have NetConn or SyscallConn, and for connections that have a method for it.
func (c *Conn) Unsent() int {
	switch conn := innermost(c.Conn).(type) {
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
