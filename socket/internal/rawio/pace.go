package rawio

import (
	"errors"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"time"
)

// pieceSize is how much is given to a connection's Write at once: a record of TLS.
const pieceSize = 16 << 10

// pace is Writer.Write by the connection's own Write, in pieces.
func (c *Conn) pace(p []byte, parts [][]byte) error {
	defer c.disarm()
	w := newPacer(c)
	if len(parts) == 0 {
		return w.write(p)
	}
	switch c.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		// A writev of its own. A wrapper may have inherited it, past its own Write.
		return w.writeVectored(parts)
	}
	for _, p := range parts {
		if err := w.write(p); err != nil {
			return err
		}
	}
	return nil
}

// pacer is a write by the connection's own Write, which does not say when the peer has taken something. So each piece has
// a deadline; when a part of the piece was taken by then, what remains is a new piece.
type pacer struct {
	c        *Conn
	patience time.Duration // the longest deadline of one Write
	piece    int           // most bytes of one Write
	last     int64         // when the peer took something, as far as is known; 0: now
	end      int64         // when the write fails unless it takes more; 0: never
}

// newPacer is for one write. Where a Write can go on after its deadline, that is short, so as to learn when the peer
// has taken something: a peer that takes no more is cut off after WriteTimeout, or an eighth later. A Write over TLS
// cannot go on, and of other connections it is not known: there the deadline is WriteTimeout, for a whole piece.
func newPacer(c *Conn) pacer {
	short := max(c.WriteTimeout/8, min(c.WriteTimeout, time.Millisecond))
	switch c.Conn.(type) {
	case waiter:
		return pacer{c: c, patience: short, piece: math.MaxInt}
	case *net.TCPConn, *net.UnixConn:
		return pacer{c: c, patience: short, piece: pieceSize} // not every system tells what a Write with a deadline has done
	}
	return pacer{c: c, patience: c.WriteTimeout, piece: pieceSize}
}

func (w *pacer) write(p []byte) error {
	for len(p) > 0 {
		if err := w.begin(); err != nil {
			return err
		}
		size := min(len(p), w.piece)
		n, err := w.c.Conn.Write(p[:size])
		if err == nil && n < size {
			err = io.ErrShortWrite
		}
		if err := w.took(int64(n), err); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// writeVectored writes pieces that share a call.
func (w *pacer) writeVectored(parts [][]byte) error {
	for len(parts) > 0 {
		var piece net.Buffers
		piece, parts = cut(parts, w.piece)
		for len(piece) > 0 {
			if err := w.begin(); err != nil {
				return err
			}
			n, err := piece.WriteTo(w.c.Conn) // takes off what it has written
			if err := w.took(n, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin sets the deadline of a Write.
func (w *pacer) begin() error {
	c := w.c
	if c.WriteTimeout <= 0 {
		return nil
	}
	now := c.Now()
	if w.last == 0 {
		w.last = now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.end = w.last + int64(c.WriteTimeout)
	if last := c.last(); last != 0 {
		w.end = min(w.end, last)
	}
	return c.armAt(min(w.end, now+int64(w.patience)))
}

// took is called when a Write has taken n bytes. It returns nil when the next one may follow.
func (w *pacer) took(n int64, err error) error {
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case n == 0:
		if w.patience >= w.c.WriteTimeout || w.c.Now() >= w.end {
			return err // TLS returns it at once, and always, once a write has met its deadline
		}
		return nil // the time that began with the last progress goes on
	}
	w.last = 0
	return nil
}

// cut takes size bytes off the front of parts, or all there is.
func cut(parts [][]byte, size int) (piece, remaining [][]byte) {
	for i, p := range parts {
		if len(p) >= size {
			piece = append(slices.Clip(parts[:i]), p[:size])
			if parts[i] = p[size:]; len(parts[i]) == 0 {
				i++
			}
			return piece, parts[i:]
		}
		size -= len(p)
	}
	return parts, nil
}
