package load

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A message is what the server sent. data is valid until the handler returns.
type message struct {
	opcode   byte
	deflated bool
	data     []byte
}

// A conn is one connection of a loop.
type conn struct {
	fd      int
	index   int
	rest    []byte // read, and not yet a whole frame
	whole   []byte // the fragments of a message that is not complete
	first   message
	out     []byte // to be written
	blocked bool   // waits until the kernel takes more of out

	// For the workload.
	frame []byte
	seq   uint64
	got   uint64
	sent  []time.Time
}

// A loop reads and writes many connections on one goroutine, with an epoll of its own: the load has to be cheaper than
// the server, and its order of work the same for every server.
type loop struct {
	epoll   int
	raw     int // > 0: messages of so many bytes, no frames
	conns   []*conn
	events  []unix.EpollEvent
	scratch []byte
	now     time.Time // when the last wait returned
	handle  func(*conn, message) error
	failed  error // of a write that a handler has tried on another connection

	patience time.Duration
}

// silent is the error of a wait for which nothing came.
func (l *loop) silent(err error) error {
	if err == nil {
		err = fmt.Errorf("load: nothing came from the server for %v", l.patience)
	}
	return err
}

// newLoop is for messages of size bytes, if nothing else says where they end.
func newLoop(t Target, size int) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("load: epoll_create: %w", err)
	}
	l := &loop{epoll: fd, patience: t.patience(), events: make([]unix.EpollEvent, 512), scratch: make([]byte, 256<<10)}
	if t.Raw {
		l.raw = size
	}
	return l, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		unix.Close(c.fd)
	}
	unix.Close(l.epoll)
}

// add takes over a connected descriptor.
func (l *loop) add(fd int) error {
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	c := &conn{fd: fd, index: len(l.conns)}
	l.conns = append(l.conns, c)
	return l.watch(c, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

func (l *loop) watch(c *conn, op int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, op, c.fd, &unix.EpollEvent{Events: events, Fd: int32(c.index)}); err != nil {
		return fmt.Errorf("load: epoll_ctl: %w", err)
	}
	return nil
}

// wait handles what is ready, and returns false when nothing was within the timeout.
func (l *loop) wait(timeout time.Duration) (bool, error) {
	n, err := unix.EpollWait(l.epoll, l.events, int(timeout.Milliseconds()))
	l.now = time.Now()
	if err == unix.EINTR {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("load: epoll_wait: %w", err)
	}
	for _, e := range l.events[:n] {
		c := l.conns[e.Fd]
		if e.Events&^unix.EPOLLOUT != 0 {
			if err := l.read(c); err != nil {
				return false, fmt.Errorf("connection %d: %w", c.index, err)
			}
		}
		if err := l.flush(c); err != nil {
			return false, fmt.Errorf("connection %d: %w", c.index, err)
		}
	}
	return n > 0, l.failed
}

// read reads once, so that no connection starves another.
func (l *loop) read(c *conn) error {
	b := l.scratch
	kept := len(c.rest)
	if kept > 0 {
		b = c.rest[:cap(c.rest)]
	}
	n, err := unix.Read(c.fd, b[kept:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return fmt.Errorf("load: read: %w", err)
	case n == 0:
		return errors.New("load: the server closed the connection")
	}
	b = b[:kept+n]
	used, need := 0, 0
	for used < len(b) && need == 0 {
		var n int
		if n, need, err = l.next(c, b[used:]); err != nil {
			return err
		}
		used += n
	}
	rest := b[used:]
	if used > 0 || kept == 0 {
		c.rest = append(c.rest[:0], rest...)
	} else {
		c.rest = rest
	}
	if need > 0 {
		c.rest = slices.Grow(c.rest, need-len(c.rest))
	}
	return nil
}

// next handles the frame at the beginning of b and returns its size, or how many bytes it will have.
func (l *loop) next(c *conn, b []byte) (used, need int, err error) {
	if l.raw > 0 {
		if len(b) < l.raw {
			return 0, l.raw, nil
		}
		return l.raw, 0, l.handle(c, message{opcode: frame.Binary, data: b[:l.raw]})
	}
	h, err := frame.Parse(b)
	if errors.Is(err, frame.ErrShort) {
		return 0, frame.MaxHeader, nil
	}
	if err != nil {
		return 0, 0, err
	}
	size := h.Size + h.Length
	if len(b) < size {
		return 0, size, nil
	}
	return size, 0, l.frame(c, h, b[h.Size:size])
}

func (l *loop) frame(c *conn, h frame.Header, payload []byte) error {
	switch {
	case h.Opcode == frame.Close:
		return fmt.Errorf("load: the server sent a Close frame: %q", payload)
	case h.Opcode == frame.Ping:
		c.out = frame.Append(c.out, frame.Pong, payload)
	case h.Opcode == frame.Pong:
	case (h.Opcode == frame.Continuation) != (c.first.opcode != 0):
		return fmt.Errorf("load: opcode %#x in the wrong place", h.Opcode)
	case h.Fin && h.Opcode != frame.Continuation:
		return l.handle(c, message{h.Opcode, h.Deflated, payload})
	default:
		if h.Opcode != frame.Continuation {
			c.first = message{opcode: h.Opcode, deflated: h.Deflated}
		}
		c.whole = append(c.whole, payload...)
		if h.Fin {
			m := c.first
			m.data = c.whole
			c.first, c.whole = message{}, c.whole[:0]
			return l.handle(c, m)
		}
	}
	return nil
}

// flush writes what it can and waits for the rest by EPOLLOUT.
func (l *loop) flush(c *conn) error {
	sent := 0
	for sent < len(c.out) {
		n, err := unix.Write(c.fd, c.out[sent:])
		if err == unix.EAGAIN {
			break
		}
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("load: write: %w", err)
		}
		sent += max(n, 0)
	}
	c.out = append(c.out[:0], c.out[sent:]...)
	if blocked := len(c.out) > 0; blocked != c.blocked {
		c.blocked = blocked
		events := uint32(unix.EPOLLIN)
		if blocked {
			events |= unix.EPOLLOUT
		}
		return l.watch(c, unix.EPOLL_CTL_MOD, events)
	}
	return nil
}
