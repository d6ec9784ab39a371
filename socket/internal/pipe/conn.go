package pipe

import (
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/notify"
)

// defaultBuffer is what one direction holds when no size is given.
const defaultBuffer = 64 << 10

// ErrReset is what the other end of an aborted connection gets. It wraps
// [syscall.ECONNRESET].
var ErrReset = fmt.Errorf("pipe: the peer reset the connection: %w", syscall.ECONNRESET)

// ErrWriteClosed is what Write returns after CloseWrite. It wraps
// [syscall.EPIPE].
var ErrWriteClosed = fmt.Errorf("pipe: write after CloseWrite: %w", syscall.EPIPE)

// Conn is one end of a pipe. It implements [net.Conn].
//
// All methods may be called from any goroutine at the same time. The bytes of
// one Write are never mixed with those of another. Errors other than [io.EOF]
// are a [*net.OpError] around [ErrReset], [ErrWriteClosed], [net.ErrClosed] or
// [os.ErrDeadlineExceeded].
type Conn struct {
	pair *pair // its mutex guards both ends
	peer *Conn

	received ring
	read     waiters
	write    waiters
	waker    notify.Waker // nil: nobody waits for c without a goroutine

	addr  Addr
	limit uint32 // most bytes that wait in received

	want        notify.Event // what waker waits for
	writing     bool         // a Write is in progress, perhaps blocked
	eof         bool         // the peer sends nothing more
	reset       bool         // the peer aborted the connection
	writeClosed bool
	closed      bool
}

var _ net.Conn = (*Conn)(nil)

// pair is both ends in one piece of memory.
type pair struct {
	mu   sync.Mutex
	born time.Time // from which deadlines are counted
	a, b Conn
}

// New returns the two ends of a new connection. Each direction holds buffer
// bytes before Write blocks; 0 or less: 64 KiB. An end that is dropped without
// Close leaks nothing, but its peer does not learn of it.
func New(buffer int) (a, b *Conn) {
	return newPair(buffer, 1, 2)
}

func newPair(buffer int, addrA, addrB Addr) (a, b *Conn) {
	limit := bufferLimit(buffer)
	p := &pair{born: time.Now()}
	p.a = Conn{pair: p, peer: &p.b, addr: addrA, limit: limit}
	p.b = Conn{pair: p, peer: &p.a, addr: addrB, limit: limit}
	return &p.a, &p.b
}

func bufferLimit(buffer int) uint32 {
	if buffer <= 0 {
		buffer = defaultBuffer
	}
	return uint32(min(buffer, math.MaxInt32))
}

// Read reads what has arrived, at most len(p) bytes, and blocks while there is
// nothing. It returns [io.EOF] when the peer closed or half closed and all it
// sent was read, and [ErrReset] after a reset. An expired deadline fails it
// even when data waits. A Read into an empty p returns at once.
func (c *Conn) Read(p []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.unlock()
	if len(p) == 0 && !c.closed {
		return 0, nil
	}
	if err := c.waitRead(); err != nil {
		return 0, c.opError("read", err)
	}
	switch {
	case c.reset:
		return 0, c.opError("read", ErrReset)
	case c.received.n == 0:
		return 0, io.EOF
	}
	n := c.received.take(p)
	c.peer.write.wake()
	return n, nil
}

// WaitRead blocks until a Read would not block, and reads nothing. It returns
// nil when data, the end of the stream or a reset waits to be read; the error
// that Read would return when the deadline has passed or c is closed.
func (c *Conn) WaitRead() error {
	c.pair.mu.Lock()
	defer c.unlock()
	if err := c.waitRead(); err != nil {
		return c.opError("read", err)
	}
	return nil
}

// waitRead is WaitRead, without the lock and without the OpError.
func (c *Conn) waitRead() error {
	for {
		switch {
		case c.closed:
			return net.ErrClosed
		case c.read.expired(c.pair):
			return os.ErrDeadlineExceeded
		case c.reset, c.received.n > 0, c.eof:
			return nil
		}
		c.read.wait(c)
	}
}

// Write hands all of p to the peer, in parts when the buffer has no room for
// it, and blocks while the buffer is full. p is copied. With an error it
// returns how many bytes went into the buffer before. An expired deadline
// fails it even when there is room.
//
// A Write to a peer that has closed its end resets the connection, as in TCP:
// it fails with [ErrReset] and what waited here to be read is lost.
func (c *Conn) Write(p []byte) (int, error) {
	c.pair.mu.Lock()
	defer c.unlock()
	if len(p) == 0 && !c.closed {
		return 0, nil // nothing that a peer could answer with a reset
	}
	// Another Write may be blocked halfway: its bytes come first.
	for c.writing {
		if err := c.writeErr(); err != nil {
			return 0, c.opError("write", err)
		}
		c.write.wait(c)
	}
	c.writing = true
	defer func() {
		c.writing = false
		c.write.wake()
	}()

	var n int
	for {
		if err := c.writeErr(); err != nil {
			return n, c.opError("write", err)
		}
		part := p[n:min(len(p), n+c.peer.room())]
		if len(part) > 0 {
			c.peer.received.put(part)
			c.peer.read.wake()
			n += len(part)
		}
		switch {
		case n == len(p):
			return n, nil
		case c.peer.isDue():
			c.unlock() // calls it, which must not wait until there is room again
			c.pair.mu.Lock()
		default:
			c.write.wait(c)
		}
	}
}

// SetReadBuffer sets how many bytes may wait here to be read before the peer's
// Write blocks; 0 or less: 64 KiB. What waits already stays.
func (c *Conn) SetReadBuffer(bytes int) error {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	c.limit = bufferLimit(bytes)
	c.peer.write.wake()
	return nil
}

// kernel is how much of what waits to be read counts as taken by the reader, as if it were in the buffer of its kernel.
const kernel = 64 << 10

// Unsent returns how many bytes of what was written here have not reached the peer: those beyond the first 64 KiB that
// wait for it to read. It is 0 after a [Conn.Close] that meets unread bytes, and when the peer writes to a closed
// connection: both throw them away.
func (c *Conn) Unsent() int {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.closed || c.reset {
		return 0
	}
	return max(0, int(c.peer.received.n)-kernel)
}

// room is how many more bytes may wait here to be read.
func (c *Conn) room() int { return max(0, int(c.limit)-int(c.received.n)) }

// writeErr says why a Write must fail now. A peer that is gone answers with a
// reset, which is noted here.
func (c *Conn) writeErr() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.write.expired(c.pair):
		return os.ErrDeadlineExceeded
	case c.writeClosed:
		return ErrWriteClosed
	case c.peer.closed && !c.reset:
		c.abort()
	}
	if c.reset {
		return ErrReset
	}
	return nil
}

// Close ends both directions. Calls of this end that are blocked, and all
// later ones, fail with [net.ErrClosed].
//
// When everything received was read, the peer reads what was sent and then
// [io.EOF]. When not, the connection is reset as TCP does (RFC 2525 section
// 2.17, RFC 1122 section 4.2.2.13): the peer gets [ErrReset] and loses what it
// had not read.
func (c *Conn) Close() error {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if c.received.n > 0 {
		c.peer.abort()
	}
	c.shut()
	return nil
}

// Reset ends both directions at once: the peer gets [ErrReset]
// and loses what it had not read. For this end it is a Close. It does nothing
// when this end is closed.
func (c *Conn) Reset() {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.closed {
		return
	}
	c.peer.abort()
	c.shut()
}

// CloseWrite ends the direction to the peer, which reads what was sent and
// then [io.EOF]. Reading here goes on. Calling it again does nothing.
func (c *Conn) CloseWrite() error {
	c.pair.mu.Lock()
	defer c.unlock()
	switch {
	case c.closed:
		return c.opError("close", net.ErrClosed)
	case c.reset:
		return c.opError("close", ErrReset)
	}
	c.writeClosed = true
	c.write.wake()
	c.peer.eof = true
	c.peer.read.wake()
	return nil
}

// shut marks this end as closed and tells both.
func (c *Conn) shut() {
	c.closed = true
	c.received.drop()
	c.read.wake()
	c.write.wake()
	c.peer.eof = true
	c.peer.read.wake()
	c.peer.write.wake()
}

// abort is the arrival of a reset at this end.
func (c *Conn) abort() {
	c.reset = true
	c.received.drop()
	c.read.wake()
	c.write.wake()
}

// LocalAddr returns the [Addr] of this end.
func (c *Conn) LocalAddr() net.Addr { return c.addr }

// RemoteAddr returns the [Addr] of the other end.
func (c *Conn) RemoteAddr() net.Addr { return c.peer.addr }

// SetDeadline sets the deadline of reads and writes.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.read, &c.write) }

// SetReadDeadline sets when Read and WaitRead fail with
// [os.ErrDeadlineExceeded], blocked calls included. Zero: never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.read) }

// SetWriteDeadline sets when Write fails with [os.ErrDeadlineExceeded],
// blocked calls included. Zero: never.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.write) }

func (c *Conn) setDeadline(t time.Time, all ...*waiters) error {
	c.pair.mu.Lock()
	defer c.unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, g := range all {
		g.deadline = c.pair.instant(t)
		g.wake()
	}
	if c.waker != nil {
		c.read.arm(c)
	}
	return nil
}

// opError says where err happened, in the form that net/http looks for.
func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: c.addr.Network(), Source: c.addr, Addr: c.peer.addr, Err: err}
}
