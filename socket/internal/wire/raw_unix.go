//go:build unix && !troupe_nosyscalls

package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// rawConnOf returns nil unless conn is exactly a TCP or Unix connection: a
// wrapper that inherited SyscallConn would have its own Read and Write bypassed.
func rawConnOf(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	var err error
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		raw, err = c.SyscallConn()
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return raw
}

// rawReader is a read from a descriptor that waits without holding a buffer. It
// is pooled, so that the function for RawConn is not made for every call.
type rawReader struct {
	try func(fd uintptr) bool // (*rawReader).read
	c   *Conn
	n   int
	err error
}

// maxVector is how many pieces one sendmsg takes (IOV_MAX).
const maxVector = 1024

var rawReaders = sync.Pool{New: func() any {
	r := new(rawReader)
	r.try = r.read
	return r
}}

// rawRead waits until bytes are there and reads them after source.data, in a
// pooled buffer that it takes then.
func (c *Conn) rawRead() (int, error) {
	r := rawReaders.Get().(*rawReader)
	r.c, r.n, r.err = c, 0, nil
	err := c.raw.Read(r.try)
	n := r.n
	if err == nil {
		err = r.err
	}
	r.c, r.err = nil, nil
	rawReaders.Put(r)
	return n, err
}

// read tries once. It returns false to be called again when fd is readable.
func (r *rawReader) read(fd uintptr) bool {
	s := &r.c.source
	have := s.take()
	for {
		n, err := recv(fd, s.store[have:])
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
			continue
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			r.c.shrink()
			if !r.c.mayWait() {
				r.c.wait(restNone)
				r.err = ErrSuspended
				return true
			}
			r.c.wait(r.c.resting())
			return false
		case err != nil:
			r.err = os.NewSyscallError("read", err)
		case n == 0:
			r.err = io.EOF
		default:
			r.n = n
		}
		return true
	}
}

// rawWriter is a write to a descriptor that sets a deadline only when the
// kernel's buffer is full, for setting one costs more than most writes wait. It
// is pooled with its batch.
type rawWriter struct {
	try   func(fd uintptr) bool // (*rawWriter).write, made once
	vec   vector
	c     *Conn
	rest  []byte   // what is to be written, or
	parts [][]byte // in several pieces
	armed bool     // there is a deadline
	taken bool     // the kernel has taken something since the deadline was set
	late  bool     // the deadline has passed, and this is the last try
	err   error
}

func (c *Conn) rawWrite(b *batch) error {
	w := &b.raw
	if w.try == nil {
		w.try = w.write
	}
	w.c = c
	if len(b.large) == 0 {
		w.rest = b.buf
	} else {
		w.parts = b.segments()
	}
	err := c.raw.Write(w.try)
	for errors.Is(err, os.ErrDeadlineExceeded) && w.again() {
		err = c.raw.Write(w.try)
	}
	if err == nil {
		err = w.err
	}
	if w.armed {
		c.disarm()
	}
	*w = rawWriter{try: w.try, vec: w.vec}
	return err
}

// again lets a write whose deadline has passed try once more. The kernel may have room all the same: it says that a
// descriptor is writable only when a third of its buffer is free, and with a buffer of 4 MiB a slow peer takes longer
// for that than WriteTimeout.
func (w *rawWriter) again() bool {
	if w.late {
		return false // tried, or not even that: the deadline of LimitWrites
	}
	w.late = true
	return w.c.arm() == nil
}

// write writes what the kernel takes. It returns false to be called again when
// fd is writable.
func (w *rawWriter) write(fd uintptr) bool {
	for {
		var n int
		var err error
		switch {
		case len(w.parts) > 0:
			n, err = sendv(fd, w.parts, &w.vec)
		case len(w.rest) > 0:
			n, err = send(fd, w.rest)
		default:
			return true
		}
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			return !w.wait()
		case err != nil:
			w.err = os.NewSyscallError("write", err)
			return true
		default:
			w.written(n)
		}
	}
}

// wait is called when the kernel takes nothing now. It starts the time anew if something was taken since it last began,
// and tells whether there is time left.
func (w *rawWriter) wait() bool {
	if w.armed && !w.taken {
		if w.late {
			w.err = os.ErrDeadlineExceeded
		}
		return !w.late
	}
	w.armed, w.taken, w.late = true, false, false
	w.err = w.c.arm()
	return w.err == nil
}

// written takes n bytes off what is to be written.
func (w *rawWriter) written(n int) {
	w.taken = true
	if len(w.parts) == 0 {
		w.rest = w.rest[n:]
		return
	}
	for len(w.parts) > 0 {
		if n < len(w.parts[0]) {
			w.parts[0] = w.parts[0][n:]
			return
		}
		n -= len(w.parts[0])
		w.parts = w.parts[1:]
	}
}
