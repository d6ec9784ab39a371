package notify

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
)

// ErrUnsupported is why [Notifier.Arm] does not watch a connection for which
// [Supported] is false. It wraps [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("notify: the connection cannot be watched: %w", errors.ErrUnsupported)

// Waker is told what has happened to a connection: the Event that it was armed
// for, or one that includes it. Wake must not block; no lock of this package or of
// a connection is held while it runs.
//
// When [Notifier.Disarm] came too late, that Wake may arrive after the connection
// was armed again. What it tells is true, but it may be less than is waited for
// now: then ignore it. A Wake that arms again must call Disarm first, for it may
// be such a late one itself.
type Waker = interface{ Wake(what Event) }

// memory is a connection that calls the Waker itself, such as those of package
// pipe. Notify registers w for one call and returns 0, or returns what has
// happened when that is want or more. Forget removes the Waker and tells whether
// there was one.
type memory interface {
	Notify(w Waker, want Event) (already Event)
	Forget() bool
}

// lender is a connection that lends its descriptor itself, such as those of package
// rawio. Control is as that of a [syscall.RawConn].
type lender interface {
	Control(f func(fd uintptr)) error
}

// Supported reports whether [Notifier.Arm] can watch conn: a connection in memory,
// on Linux a [*net.TCPConn], a [*net.UnixConn] or one that lends its descriptor, and a [*tls.Conn] over one of these. Any other that wraps one is not supported, since it may hold bytes that it
// has read already.
//
// A [*tls.Conn] holds such bytes, too. What is watched is the connection below it.
// So whoever waits for [Readable] must have read until a read deadline has ended
// the Read: after that it holds at most the beginning of a record.
func Supported(conn net.Conn) bool {
	conn = carrier(conn)
	if _, ok := conn.(memory); ok {
		return true
	}
	return hasDescriptor(conn)
}

// Notifier tells when connections become readable, or when their peers have gone.
// The zero value works. All methods may be called from any goroutine at the same
// time.
//
// It has one epoll descriptor and one goroutine from the first Arm of a
// connection with a descriptor until all of them are released, and none
// otherwise; connections in memory need neither. Wakers of descriptors are
// called on that goroutine, one after the other; those of connections in memory
// on the goroutine that made it happen.
type Notifier struct {
	descriptors descriptors
}

// Sleeper is what a [Notifier] keeps for one connection; embed it. The zero value
// is ready. Calls of Arm, Disarm and Release with one Sleeper must not overlap: the
// caller holds a lock of its own around them. Wake may take that lock, for it is
// never called inside them.
type Sleeper struct {
	registration registration
}

// Arm has w.Wake called once, soon after want, or more, has happened to conn. What
// happened before counts. With a descriptor, Wake may be called before Arm
// returns, and a read deadline that passes is not noticed.
//
// Where conn is not read, arm it for HalfClosed: bytes do not wake then. After the
// half close, arm it for Gone, which tells of the reset that may follow and not of
// the half close again. A peer that has sent more than the kernel holds for the
// reader is not seen to half close before that was read; its reset is. A peer that
// is cut off is seen when TCP gives up, by keep-alive or by what waits to be sent.
//
// When already is not 0, that has happened to conn, which is in memory, and w was
// not registered. An error says that conn cannot be watched, for example because
// it is closed or there are no descriptors left for epoll; nothing is registered
// then, and a later Arm may work.
//
// Arming again before the wake or a [Notifier.Disarm] panics. After that it may be
// for another Event.
func (n *Notifier) Arm(s *Sleeper, conn net.Conn, w Waker, want Event) (already Event, err error) {
	conn = carrier(conn)
	if m, ok := conn.(memory); ok {
		return m.Notify(w, want), nil
	}
	return 0, n.descriptors.arm(&s.registration, conn, w, want)
}

// carrier is the connection that conn runs over: with it conn ends, too.
func carrier(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// Disarm undoes the last Arm. True: w.Wake will not be called. False: s was not
// armed, or Wake has been or is being called. conn stays registered until
// Release.
func (n *Notifier) Disarm(s *Sleeper, conn net.Conn) bool {
	if m, ok := carrier(conn).(memory); ok {
		return m.Forget()
	}
	return n.descriptors.disarm(&s.registration)
}

// Leave takes the descriptor of conn out of what is watched, since it is about to be closed while conn goes on with another
// one. It must not be armed. The next Arm is for the new descriptor.
func (n *Notifier) Leave(s *Sleeper, conn net.Conn) {
	n.descriptors.forget(&s.registration, carrier(conn))
}

// Release ends the registration of conn. When Arm was ever called with s, it must
// be called before conn is closed. After it no Wake is called, apart from one
// that has begun. Calling it again does nothing.
func (n *Notifier) Release(s *Sleeper, conn net.Conn) {
	if m, ok := carrier(conn).(memory); ok {
		m.Forget()
		return
	}
	n.descriptors.release(&s.registration)
}

// Wait blocks until the goroutine has ended, which it does by itself soon after
// the last Release. It must not be called while something may be armed, nor by
// a Waker.
func (n *Notifier) Wait() { n.descriptors.wait() }
