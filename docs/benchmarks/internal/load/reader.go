package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A Reader is a client that reads a message when it is asked to, and no byte more: what it has not read is in the kernel.
type Reader struct {
	c net.Conn
}

// A Seen is a message with a number and a time, as the server of slow clients sends it.
type Seen struct {
	Number uint64
	Age    time.Duration
	Size   int // of the frame
}

// A ClosedError is the Close frame of the server.
type ClosedError struct{ Code uint16 }

func (e *ClosedError) Error() string {
	return fmt.Sprintf("load: the server has closed with %d", e.Code)
}

// Reader connects one, whose kernel holds about so many bytes that it has not read; 0: as many as it likes.
func (t Target) Reader(receive int) (*Reader, error) {
	d := net.Dialer{Timeout: t.patience(), Control: func(_, _ string, c syscall.RawConn) error {
		if receive == 0 {
			return nil
		}
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receive) }), err)
	}}
	c, err := d.Dial("tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	r := &Reader{c}
	if err := r.upgrade(t); err != nil {
		c.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) upgrade(t Target) error {
	r.c.SetDeadline(time.Now().Add(t.patience()))
	if _, err := r.c.Write(t.handshake()); err != nil {
		return err
	}
	var response strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(response.String(), "\r\n\r\n"); {
		if _, err := io.ReadFull(r.c, b); err != nil {
			return fmt.Errorf("load: handshake: %w", err)
		}
		response.Write(b)
	}
	return t.accepted([]byte(response.String()))
}

// Close ends TCP.
func (r *Reader) Close() error { return r.c.Close() }

// Unbounded has the kernel hold as much as it likes, for a client that reads the rest.
func (r *Reader) Unbounded() error { return r.c.(*net.TCPConn).SetReadBuffer(1 << 20) }

// Next reads the next message, and waits for it until a time. The error is a [ClosedError] when a Close frame comes instead. Pings are
// answered on the way.
func (r *Reader) Next(until time.Time) (Seen, error) {
	r.c.SetDeadline(until)
	for {
		h, payload, err := r.frame()
		switch {
		case err != nil:
			return Seen{}, err
		case h.Opcode == frame.Ping:
			if _, err := r.c.Write(frame.Append(nil, frame.Pong, payload)); err != nil {
				return Seen{}, err
			}
		case h.Opcode == frame.Close && len(payload) >= 2:
			return Seen{}, &ClosedError{binary.BigEndian.Uint16(payload)}
		case h.Opcode != frame.Binary || !h.Fin || len(payload) < 16:
			return Seen{}, fmt.Errorf("load: got a frame with opcode %#x and %d bytes, want a message with a number", h.Opcode, len(payload))
		default:
			at := time.Unix(0, int64(binary.BigEndian.Uint64(payload[8:])))
			return Seen{binary.BigEndian.Uint64(payload), time.Since(at), h.Size + h.Length}, nil
		}
	}
}

func (r *Reader) frame() (h frame.Header, payload []byte, err error) {
	b := make([]byte, 2, frame.MaxHeader)
	if _, err := io.ReadFull(r.c, b); err != nil {
		return h, nil, err
	}
	if h, err = frame.Parse(b); errors.Is(err, frame.ErrShort) {
		b = b[:h.Size]
		if _, err := io.ReadFull(r.c, b[2:]); err != nil {
			return h, nil, err
		}
		h, err = frame.Parse(b)
	}
	if err != nil {
		return h, nil, err
	}
	payload = make([]byte, h.Length)
	_, err = io.ReadFull(r.c, payload)
	return h, payload, err
}
