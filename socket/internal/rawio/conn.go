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
	mu     sync.Mutex // guards limits and the deadline for writing
	limits *limits    // nil: there is none, and never was

	net.Conn // a *descriptor where system calls of ours read and write it

	// of a descriptor, since it is in Go's poller and they have asked for it; else nil
	in  syscall.RawConn // whoever reads has it
	out syscall.RawConn // whoever writes has it

	*Settings
}

// Init makes c a Conn of conn. It must be called once, before all else.
func (c *Conn) Init(conn net.Conn, s *Settings) {
	c.Conn, c.Settings = conn, s
	c.boundSendQueue()
	c.describe()
}

// boundSendQueue bounds what the kernel takes beyond what it can send, which is up to 4 MiB otherwise: all of that is older than
// whatever waits here, cannot be left out any more, and is counted nowhere. Below TLS it is bounded in any case: a write of
// TLS that has met its deadline cannot go on, and the kernel says that a descriptor is writable when a third of its buffer is
// free, for which a slow peer takes longer than WriteTimeout when that is 4 MiB.
func (c *Conn) boundSendQueue() {
	conn := innermost(c.Conn)
	d := controlOf(conn)
	if d == nil {
		return
	}
	unsent := c.SendBuffer
	if unsent < 0 {
		if _, ok := c.Conn.(*tls.Conn); !ok {
			return
		}
	}
	if unsent > 0 {
		if b, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
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
	conn := innermost(c.Conn)
	if u, ok := conn.(interface{ Unsent() int }); ok {
		return u.Unsent()
	}
	if d := controlOf(conn); d != nil {
		return sendQueue(d)
	}
	return 0
}

// control is the part of a syscall.RawConn that neither reads nor writes.
type control interface {
	Control(f func(fd uintptr)) error
}

// controlOf returns nil where there is no descriptor.
func controlOf(conn net.Conn) control {
	switch c := conn.(type) {
	case control:
		return c
	case syscall.Conn:
		if raw, err := c.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
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
