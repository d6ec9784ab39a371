//go:build unix && !troupe_nosyscalls

package rawio

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is a TCP or Unix connection that nothing wraps. At first Go's poller watches it, by way of package net. Both keep
// 0.9 KB for it, whether somebody waits or not. So a TCP connection can [descriptor.rest]: then it is a number and nothing else,
// which mu guards, and is read and written without waiting. Whoever has to wait gives it to the poller again, as an *os.File,
// since package net would ask the kernel for its addresses.
//
// To rest, it gets another number, for neither a net.Conn nor an os.File lets its own go without closing it.
type descriptor struct {
	mu     sync.Mutex
	polled polled         // nil while it rests
	over   over           // why it cannot be used any more
	fd     int32          // while it rests. Else its number is known in polled's Control only: others may close that
	remote netip.AddrPort // since it has first rested
}

// over is whether and why a descriptor cannot be used any more.
type over uint8

const (
	notOver    over = iota
	wasClosed       // Close was called
	notWatched      // Go's poller has not taken it, and it is closed
)

var errNotWatched = errors.New("rawio: Go's poller does not take the connection; is fs.epoll.max_user_watches reached?")

// err is why it cannot be used any more; nil: it can.
func (o over) err() error {
	switch o {
	case wasClosed:
		return net.ErrClosed
	case notWatched:
		return errNotWatched
	}
	return nil
}

// polled is a descriptor that Go's poller watches: a *net.TCPConn, a *net.UnixConn or an *os.File.
type polled interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	Close() error
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	SyscallConn() (syscall.RawConn, error)
}

// poll returns the connection in Go's poller, where it is from now on, until rest. d.mu is held.
func (d *descriptor) poll() (polled, error) {
	switch {
	case d.over != notOver:
		return nil, d.over.err()
	case d.polled != nil:
		return d.polled, nil
	}
	unix.SetNonblock(int(d.fd), true) //nolint:errcheck,gosec // File of a net.Conn, and then Fd, have taken that off; if it fails, see below
	f := os.NewFile(uintptr(d.fd), "tcp")
	if err := f.SetDeadline(time.Time{}); err != nil { // this is how it shows that the poller has not taken it
		d.over = notWatched
		f.Close() //nolint:errcheck,gosec // it is lost in any case
		return nil, errNotWatched
	}
	d.polled = f
	return f, nil
}

// raw is for calls that wait, or not.
func (d *descriptor) raw() (syscall.RawConn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.poll()
	if err != nil {
		return nil, err
	}
	return p.SyscallConn()
}

// resting calls f with the descriptor if it rests, and tells what f returns: whether it is done. f must not wait.
func (d *descriptor) resting(f func(fd uintptr) bool) (done bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.over != notOver:
		return false, d.over.err()
	case d.polled != nil:
		return false, nil
	}
	return f(uintptr(d.fd)), nil
}

// mayRest tells whether rest may do something.
func (d *descriptor) mayRest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.polled.(type) {
	case *net.TCPConn, *os.File:
		return d.over == notOver
	}
	return false // it rests, or it is a Unix connection, of which few are idle
}

// rest takes the connection out of Go's poller. Nobody may read or write it meanwhile. It does nothing when there is no other number
// left.
func (d *descriptor) rest() (rests bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over != notOver || d.polled == nil {
		return d.over == notOver
	}
	fd, failed := -1, error(nil)
	err := d.control(func(old uintptr) { fd, failed = duplicate(old) })
	if err != nil || failed != nil {
		return false
	}
	if tcp, first := d.polled.(*net.TCPConn); first {
		if a, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
			d.remote = a.AddrPort()
		}
	}
	d.polled.Close() //nolint:errcheck,gosec // the connection goes on
	d.polled, d.fd = nil, int32(fd)
	return true
}

// Control calls f with the descriptor, as a syscall.RawConn does: it is not closed meanwhile, nor gets another number.
func (d *descriptor) Control(f func(fd uintptr)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.control(f)
}

// control is Control; d.mu is held.
func (d *descriptor) control(f func(fd uintptr)) error {
	switch {
	case d.over != notOver:
		return d.over.err()
	case d.polled == nil:
		f(uintptr(d.fd))
		return nil
	}
	raw, err := d.polled.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}

// Close implements net.Conn. It wakes every call that waits.
func (d *descriptor) Close() error {
	d.mu.Lock()
	if d.over != notOver {
		d.mu.Unlock()
		return net.ErrClosed
	}
	d.over = wasClosed
	if d.polled == nil {
		defer d.mu.Unlock()
		return os.NewSyscallError("close", unix.Close(int(d.fd)))
	}
	d.mu.Unlock() // for it waits until nobody is in a call, and a write sets its deadline in one
	return d.polled.Close()
}

// why is err, of a call, in the words of package net: those of an os.File that was closed are others.
func (d *descriptor) why(err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // itself
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over != notOver {
		return d.over.err()
	}
	return err
}

// Read implements net.Conn.
func (d *descriptor) Read(p []byte) (int, error) {
	conn, err := d.toWait()
	if err != nil {
		return 0, err
	}
	n, err := conn.Read(p)
	return n, d.why(err)
}

// Write implements net.Conn.
func (d *descriptor) Write(p []byte) (int, error) {
	conn, err := d.toWait()
	if err != nil {
		return 0, err
	}
	n, err := conn.Write(p)
	return n, d.why(err)
}

func (d *descriptor) toWait() (polled, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.poll()
}

// CloseWrite sends FIN.
func (d *descriptor) CloseWrite() error {
	var failed error
	err := d.Control(func(fd uintptr) { failed = os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_WR)) })
	if err != nil {
		return err
	}
	return failed
}

// A deadline is for whoever waits, so they give the connection to the poller. mu is held until it is set: it would be lost if the
// connection came to rest meanwhile.

// SetDeadline implements net.Conn.
func (d *descriptor) SetDeadline(t time.Time) error { return d.set(polled.SetDeadline, t) }

// SetReadDeadline implements net.Conn.
func (d *descriptor) SetReadDeadline(t time.Time) error { return d.set(polled.SetReadDeadline, t) }

// SetWriteDeadline implements net.Conn.
func (d *descriptor) SetWriteDeadline(t time.Time) error { return d.set(polled.SetWriteDeadline, t) }

func (d *descriptor) set(deadline func(polled, time.Time) error, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.poll()
	if err != nil {
		return err
	}
	return deadline(p, t)
}

// RemoteAddr implements net.Conn.
func (d *descriptor) RemoteAddr() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conn, ok := d.polled.(net.Conn); ok {
		return conn.RemoteAddr()
	}
	return net.TCPAddrFromAddrPort(d.remote)
}

// LocalAddr implements net.Conn. Once the connection has rested, it is known only until Close.
func (d *descriptor) LocalAddr() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conn, ok := d.polled.(net.Conn); ok {
		return conn.LocalAddr()
	}
	addr := new(net.TCPAddr)
	d.control(func(fd uintptr) { //nolint:errcheck,gosec // it is closed
		switch a, _ := unix.Getsockname(int(fd)); a := a.(type) {
		case *unix.SockaddrInet4:
			addr.IP, addr.Port = a.Addr[:], a.Port
		case *unix.SockaddrInet6:
			addr.IP, addr.Port = a.Addr[:], a.Port
		}
	})
	return addr
}
