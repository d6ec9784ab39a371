//go:build unix && !troupe_nosyscalls

package rawio

import (
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
	closed bool           // Close was called. fd is closed only after that, when mu is not held
	fd     int32          // the number; that of polled, unless it rests
	remote netip.AddrPort // since it has first rested
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
	case d.closed:
		return nil, net.ErrClosed
	case d.polled != nil:
		return d.polled, nil
	}
	f := os.NewFile(uintptr(d.fd), "tcp") // its finalizer is for nobody: what is polled is closed, or rests
	if err := f.SetDeadline(time.Time{}); err != nil {
		// The poller has not taken it, since the kernel has no memory or watches no more. Closed with f, it is lost in any case.
		d.closed = true
		f.Close() //nolint:errcheck,gosec // see above
		return nil, err
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
	case d.closed:
		return false, net.ErrClosed
	case d.polled != nil:
		return false, nil
	}
	return f(uintptr(d.fd)), nil
}

// rest takes the connection out of Go's poller. Nobody may read or write it meanwhile. False: it stays there.
func (d *descriptor) rest() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.polled == nil {
		return !d.closed
	}
	tcp, first := d.polled.(*net.TCPConn)
	if first {
		if a, ok := tcp.RemoteAddr().(*net.TCPAddr); ok {
			d.remote = a.AddrPort()
		}
	} else if _, ok := d.polled.(*os.File); !ok {
		return false // a Unix connection: few are idle
	}
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil { // there is no other number left
		return false
	}
	d.polled.Close() //nolint:errcheck,gosec // the connection goes on
	d.polled, d.fd = nil, int32(fd)
	return true
}

// isPolled tells whether it can be that there is something to rest.
func (d *descriptor) isPolled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.polled != nil
}

// Lend returns the descriptor, which is not closed, and does not get another number, before Return.
func (d *descriptor) Lend() (fd int, err error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return 0, net.ErrClosed
	}
	return int(d.fd), nil
}

// Return undoes a Lend that was successful.
func (d *descriptor) Return() { d.mu.Unlock() }

// Control calls f with the descriptor, as a syscall.RawConn does.
func (d *descriptor) Control(f func(fd uintptr)) error {
	fd, err := d.Lend()
	if err != nil {
		return err
	}
	defer d.Return()
	f(uintptr(fd))
	return nil
}

// Close implements net.Conn. It wakes every call that waits.
func (d *descriptor) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return net.ErrClosed
	}
	d.closed = true
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
	if d.closed {
		return net.ErrClosed
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

// LocalAddr implements net.Conn; nil once the connection has rested, for nobody asks.
func (d *descriptor) LocalAddr() net.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conn, ok := d.polled.(net.Conn); ok {
		return conn.LocalAddr()
	}
	return nil
}
