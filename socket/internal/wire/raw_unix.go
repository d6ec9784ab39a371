//go:build unix

package wire

import (
	"io"
	"net"
	"os"
	"syscall"
)

// rawReader reads from a descriptor and waits for it without holding a buffer.
type rawReader struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool // (*rawReader).read, made once

	source *source // of the call in progress
	n      int
	err    error
}

// newRawReader returns nil unless conn is exactly a TCP or Unix connection: a
// wrapper that inherited SyscallConn would have its own Read bypassed.
func newRawReader(conn net.Conn) *rawReader {
	raw := rawConnOf(conn)
	if raw == nil {
		return nil
	}
	r := &rawReader{conn: raw}
	r.try = r.read
	return r
}

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

// fill waits until bytes are there and reads them behind s.data, in a pooled
// buffer that it takes then.
func (r *rawReader) fill(s *source) (int, error) {
	r.source, r.n, r.err = s, 0, nil
	err := r.conn.Read(r.try)
	r.source = nil
	if err != nil {
		return 0, err
	}
	return r.n, r.err
}

// read tries once. It returns false to be called again when fd is readable.
func (r *rawReader) read(fd uintptr) bool {
	s := r.source
	have := s.take()
	for {
		n, err := syscall.Read(int(fd), s.store[have:])
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
			continue
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			s.shrink()
			s.wait()
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

// rawWriter writes to a descriptor and gives the write a deadline only when the
// kernel's buffer is full, for setting one costs more than most writes wait.
type rawWriter struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool // (*rawWriter).write1, made once

	writer *writer // of the call in progress
	rest   []byte
	armed  bool
	err    error
}

// newRawWriter returns nil unless conn is exactly a TCP or Unix connection.
func newRawWriter(conn net.Conn) *rawWriter {
	raw := rawConnOf(conn)
	if raw == nil {
		return nil
	}
	r := &rawWriter{conn: raw}
	r.try = r.write1
	return r
}

func (r *rawWriter) write(w *writer, p []byte) error {
	r.writer, r.rest, r.armed, r.err = w, p, false, nil
	err := r.conn.Write(r.try)
	r.writer, r.rest = nil, nil
	if r.armed {
		w.disarm()
	}
	if err != nil {
		return err
	}
	return r.err
}

// write1 writes what the kernel takes. It returns false to be called again when
// fd is writable.
func (r *rawWriter) write1(fd uintptr) bool {
	for len(r.rest) > 0 {
		n, err := syscall.Write(int(fd), r.rest)
		switch {
		case err == syscall.EINTR: //nolint:errorlint // a syscall.Errno, never wrapped
		case err == syscall.EAGAIN: //nolint:errorlint // a syscall.Errno, never wrapped
			if !r.armed {
				r.armed = true
				if r.err = r.writer.arm(); r.err != nil {
					return true
				}
			}
			return false
		case err != nil:
			r.err = os.NewSyscallError("write", err)
			return true
		default:
			r.rest = r.rest[n:]
		}
	}
	return true
}
