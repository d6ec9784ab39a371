package pipe

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// Listener accepts pipes, so that a real [net/http.Server] can serve over
// memory. It implements [net.Listener]; all methods may be called from any
// goroutine at the same time.
type Listener struct {
	// Buffer is how many bytes each direction of a new connection holds before
	// Write blocks; 0: 64 KiB. It must not change after the first Dial.
	Buffer int

	mu      sync.Mutex
	dialled sync.Cond
	waiting []*Conn // server ends that nobody accepted yet, oldest first
	dials   Addr    // the address of the newest client
	closed  bool
}

var _ net.Listener = (*Listener)(nil)

// NewListener returns an open listener.
func NewListener() *Listener {
	l := new(Listener)
	l.dialled.L = &l.mu
	return l
}

// Accept returns the server's end of the next connection in the order of Dial,
// and blocks while there is none. After Close it fails with [net.ErrClosed].
// The connection is a [*Conn].
func (l *Listener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 && !l.closed {
		l.dialled.Wait()
	}
	if l.closed {
		return nil, l.opError("accept", net.ErrClosed)
	}
	c := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	return c, nil
}

// Dial returns the client's end of a new connection, a [*Conn]. As with TCP it
// does not wait for Accept; there is no limit to how many may wait. It fails
// when ctx is already done, or with [syscall.ECONNREFUSED] after Close. Each
// client has an [Addr] of its own.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, l.opError("dial", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, l.opError("dial", syscall.ECONNREFUSED)
	}
	l.dials++
	client, server := newPair(l.Buffer, l.dials, 0)
	l.waiting = append(l.waiting, server)
	l.dialled.Signal()
	return client, nil
}

// Close ends listening. Connections that nobody accepted are reset, the others
// are left alone. Closing again fails with [net.ErrClosed].
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.closed = true
	for _, c := range l.waiting {
		c.Reset()
	}
	l.waiting = nil
	l.dialled.Broadcast()
	return nil
}

// Addr returns the [Addr] of every server end, "pipe:0".
func (l *Listener) Addr() net.Addr { return Addr(0) }

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.Addr().Network(), Addr: l.Addr(), Err: err}
}
