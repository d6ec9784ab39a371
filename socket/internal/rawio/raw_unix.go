//go:build unix && !troupe_nosyscalls

package rawio

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// describe makes c.Conn a descriptor if it is exactly a TCP or Unix connection: a wrapper that inherited SyscallConn would have
// its own Read and Write bypassed.
func (c *Conn) describe() {
	var d *descriptor
	switch conn := c.Conn.(type) {
	case *net.TCPConn:
		d = &descriptor{polled: conn}
	case *net.UnixConn:
		d = &descriptor{polled: conn}
	default:
		return
	}
	if raw, err := d.raw(); err == nil {
		c.Conn, c.in, c.out = d, raw, raw
	}
}

// Rest takes the connection out of Go's poller, and of package net, until somebody has to wait for it. It costs less memory then.
// Nobody may read or write meanwhile. It does nothing unless MayRest.
func (c *Conn) Rest() {
	if !c.MayRest() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last() == 0 && c.Conn.(*descriptor).rest() {
		c.in, c.out = nil, nil
	}
}

// MayRest tells whether Rest may do something: the connection is one of TCP that nothing wraps, is in the poller, and has no deadline
// for writes.
func (c *Conn) MayRest() bool {
	d, ok := c.Conn.(*descriptor)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last() == 0 && d.mayRest()
}

// rawRead is a Receive from a descriptor. It is pooled, so that the function for RawConn is not made for every call.
type rawRead struct {
	try    func(fd uintptr) bool // (*rawRead).read
	reader Reader
	n      int
	err    error
}

// maxVector is how many pieces one sendmsg takes (IOV_MAX).
const maxVector = 1024

var rawReads = sync.Pool{New: func() any {
	r := new(rawRead)
	r.try = r.read
	return r
}}

// Receive reads once, what is there or comes first. A read deadline ends waiting.
func (c *Conn) Receive(reader Reader) (int, error) {
	if c.in == nil {
		if _, ok := c.Conn.(*descriptor); !ok {
			return c.receive(reader)
		}
	}
	r := rawReads.Get().(*rawRead)
	r.reader, r.n, r.err = reader, 0, nil
	done, err := false, error(nil)
	if c.in == nil {
		done, err = c.attempt(r.try, &c.in)
	}
	if !done && err == nil {
		if err = c.in.Read(r.try); err != nil {
			err = c.Conn.(*descriptor).why(err)
		}
	}
	n := r.n
	if err == nil {
		err = r.err
	}
	r.reader, r.err = nil, nil
	rawReads.Put(r)
	return n, err
}

// attempt calls f with a descriptor that rests. When f is not done, which means that it has to wait, or when the descriptor does not
// rest, that is given to Go's poller, and *raw is for using it there.
func (c *Conn) attempt(f func(fd uintptr) bool, raw *syscall.RawConn) (done bool, err error) {
	d := c.Conn.(*descriptor)
	if done, err = d.resting(f); !done && err == nil {
		*raw, err = d.raw()
	}
	return done, err
}

// read tries once. It returns false to be called again when fd is readable.
func (r *rawRead) read(fd uintptr) bool {
	p := r.reader.Room()
	for {
		n, err := recv(fd, p)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
			continue
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			r.err = r.reader.Block()
			return r.err != nil
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

// Writer is the memory of a write, which is kept for the next one. The zero value is ready.
//
// A write to a descriptor sets a deadline only when the kernel's buffer is full, for setting one costs more than most
// writes wait.
type Writer struct {
	try    func(fd uintptr) bool // (*Writer).some, made once
	vec    vector
	c      *Conn
	unsent []byte   // what is to be written, when it is one piece
	parts  [][]byte // what is to be written, when it is several
	armed  bool     // there is a deadline
	taken  bool     // the kernel has taken something since the deadline was set
	rests  bool     // the descriptor does: nothing waits
	late   bool     // the deadline has passed, and this is the last try
	err    error
}

// Write writes parts, which it uses up, or p when there are none. It waits as long as the peer takes some of it:
// WriteTimeout is for a peer that takes nothing. It ends before in any case at the time of [Conn.LimitWrites].
//
// After an error it is not known how much was written.
func (w *Writer) Write(c *Conn, p []byte, parts [][]byte) error {
	if c.out == nil {
		if _, ok := c.Conn.(*descriptor); !ok {
			return c.pace(p, parts)
		}
	}
	if w.try == nil {
		w.try = w.some
	}
	w.c, w.parts = c, parts
	if len(parts) == 0 {
		w.unsent = p
	}
	done, err := false, error(nil)
	if c.out == nil {
		w.rests = true
		done, err = c.attempt(w.try, &c.out)
		w.rests = false
	}
	if !done && err == nil {
		err = c.out.Write(w.try)
		for errors.Is(err, os.ErrDeadlineExceeded) && w.again() {
			err = c.out.Write(w.try)
		}
		if err != nil {
			err = c.Conn.(*descriptor).why(err)
		}
	}
	if err == nil {
		err = w.err
	}
	if w.armed {
		c.disarm()
	}
	*w = Writer{try: w.try, vec: w.vec}
	return err
}

// again lets a write whose deadline has passed try once more. The kernel may have room all the same: it says that a
// descriptor is writable only when a third of its buffer is free, and with a buffer of 4 MiB a slow peer takes longer
// for that than WriteTimeout.
func (w *Writer) again() bool {
	if w.late {
		return false // it has tried once more; or the deadline of LimitWrites has passed
	}
	w.late = true
	return w.c.arm() == nil
}

// some writes what the kernel takes. It returns false to be called again when
// fd is writable.
func (w *Writer) some(fd uintptr) bool {
	for {
		var n int
		var err error
		switch {
		case len(w.parts) > 0:
			n, err = sendv(fd, w.parts[:min(len(w.parts), maxVector)], &w.vec)
		case len(w.unsent) > 0:
			n, err = send(fd, w.unsent)
		default:
			return true
		}
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			return !w.rests && !w.wait()
		case err != nil:
			w.err = os.NewSyscallError("write", err)
			return true
		default:
			w.written(n)
			if w.rests && len(w.unsent)+len(w.parts) > 0 {
				return false // it is no short call any more
			}
		}
	}
}

// wait is called when the kernel takes nothing now. It starts the time anew if something was taken since it last began,
// and tells whether there is time left.
func (w *Writer) wait() bool {
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
func (w *Writer) written(n int) {
	w.taken = true
	if len(w.parts) == 0 {
		w.unsent = w.unsent[n:]
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
