package notify

import (
	"errors"
	"fmt"
	"net"
)

// ErrUnsupported is why [Notifier.Arm] does not watch a connection for which
// [Supported] is false. It wraps [errors.ErrUnsupported].
var ErrUnsupported = fmt.Errorf("notify: the connection cannot be watched: %w", errors.ErrUnsupported)

// Waker is who is told that a connection is readable. Wake must not block; it
// is called with no lock held that this package or a connection knows of.
type Waker = interface{ Wake() }

// memory is a connection that calls the Waker itself, such as those of package
// pipe. NotifyReadable registers w for one call and returns true, or returns
// false when a read would not block. ForgetReadable takes the Waker back and
// tells whether there was one.
type memory interface {
	NotifyReadable(w Waker) bool
	ForgetReadable() bool
}

// Supported reports whether [Notifier.Arm] can watch conn: a connection in
// memory, and on Linux a [*net.TCPConn] or a [*net.UnixConn]. A connection that
// wraps one of these two is not supported, since it may hold bytes that it has
// read already.
func Supported(conn net.Conn) bool {
	if _, ok := conn.(memory); ok {
		return true
	}
	return hasDescriptor(conn)
}

// Notifier tells when connections become readable. The zero value works. All
// methods may be called from any goroutine at the same time.
//
// It has one epoll descriptor and one goroutine from the first Arm of a
// connection with a descriptor until all of them are released, and none
// otherwise; connections in memory need neither. Wakers of descriptors are
// called on that goroutine, one after the other; those of connections in memory
// on the goroutine that made them readable.
type Notifier struct {
	descriptors descriptors
}

// Sleeper is the place of one connection in a [Notifier]; embed it. The zero
// value is ready. Calls of Arm, Disarm and Release with one Sleeper must not
// overlap: the caller serializes them with a lock of its own. Wake may take that lock:
// it is never called inside of them.
type Sleeper struct {
	place place
}

// Arm has w.Wake called once, soon after conn is readable: bytes wait, the peer
// has ended its direction or all, or the connection has failed. Bytes that came
// before count. With a descriptor, Wake may be called before Arm returns, and a
// read deadline that passes is not noticed.
//
// When armed is false and err nil, conn, which is in memory, is readable
// already and w was not registered. An error says that conn cannot be watched,
// for example because it is closed or there are no descriptors left for epoll;
// nothing is registered then, and a later Arm may work.
//
// Arming again before the wake or a [Notifier.Disarm] panics.
func (n *Notifier) Arm(s *Sleeper, conn net.Conn, w Waker) (armed bool, err error) {
	if m, ok := conn.(memory); ok {
		return m.NotifyReadable(w), nil
	}
	if err := n.descriptors.arm(&s.place, conn, w); err != nil {
		return false, err
	}
	return true, nil
}

// Disarm takes the last Arm back. True: w.Wake will not be called. False: s was
// not armed, or Wake has been or is being called. The Notifier keeps a place for
// conn, until Release.
func (n *Notifier) Disarm(s *Sleeper, conn net.Conn) bool {
	if m, ok := conn.(memory); ok {
		return m.ForgetReadable()
	}
	return n.descriptors.disarm(&s.place)
}

// Release gives the place of conn up. It must be called before conn is closed,
// when Arm was ever called with s. After it nothing is called, apart from a
// Wake that has begun. Calling it again does nothing.
func (n *Notifier) Release(s *Sleeper, conn net.Conn) {
	if m, ok := conn.(memory); ok {
		m.ForgetReadable()
		return
	}
	n.descriptors.release(&s.place)
}

// Wait blocks until the goroutine has ended, which it does by itself soon after
// the last Release. It must not be called while something may be armed, nor by
// a Waker.
func (n *Notifier) Wait() { n.descriptors.wait() }
