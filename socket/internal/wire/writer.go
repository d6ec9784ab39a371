package wire

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

// write writes all of b. It waits as long as the peer takes some of it: WriteTimeout is for a peer that takes nothing.
// The caller has begun writing.
func (c *Conn) write(b *batch) error {
	if c.raw != nil {
		return c.rawWrite(b) // arms the deadline only when it blocks
	}
	return c.writeAll(b)
}

// writeAll writes b by the connection's own Write, in pieces.
func (c *Conn) writeAll(b *batch) error {
	defer c.disarm()
	w := newPacer(c)
	if len(b.large) == 0 {
		return w.write(b.buf)
	}
	segments := b.segments()
	switch c.conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		// A writev of its own. A wrapper may have inherited it, past its own Write.
		return w.writeVectored(segments)
	}
	for _, p := range segments {
		if err := w.write(p); err != nil {
			return err
		}
	}
	return nil
}

// pacer is a write with the connection's own Write, which does not say when the peer took something. So each piece has
// a deadline; when a part of a piece was taken before that, the rest is a new piece.
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
	timeout := c.u.opts.WriteTimeout
	short := max(timeout/8, min(timeout, time.Millisecond))
	switch c.conn.(type) {
	case readWaiter:
		return pacer{c: c, patience: short, piece: math.MaxInt}
	case *net.TCPConn, *net.UnixConn:
		return pacer{c: c, patience: short, piece: pieceSize} // not every system tells what a Write with a deadline has done
	}
	return pacer{c: c, patience: timeout, piece: pieceSize}
}

func (w *pacer) write(p []byte) error {
	for len(p) > 0 {
		if err := w.begin(); err != nil {
			return err
		}
		size := min(len(p), w.piece)
		n, err := w.c.conn.Write(p[:size])
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
func (w *pacer) writeVectored(segments [][]byte) error {
	for len(segments) > 0 {
		var piece net.Buffers
		piece, segments = cut(segments, w.piece)
		for len(piece) > 0 {
			if err := w.begin(); err != nil {
				return err
			}
			n, err := piece.WriteTo(w.c.conn) // takes off what it has written
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
	timeout := c.u.opts.WriteTimeout
	if timeout <= 0 {
		return nil
	}
	now := c.now()
	if w.last == 0 {
		w.last = now
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	w.end = w.last + int64(timeout)
	if o.limit != 0 {
		w.end = min(w.end, o.limit)
	}
	o.armed = min(w.end, now+int64(w.patience))
	return c.conn.SetWriteDeadline(c.u.time(o.armed))
}

// took is called when a Write has taken n bytes. It returns nil when the next one may follow.
func (w *pacer) took(n int64, err error) error {
	switch {
	case err == nil:
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case n == 0:
		if w.patience >= w.c.u.opts.WriteTimeout || w.c.now() >= w.end {
			return err // that of TLS comes at once, and for ever, when it has met a deadline before
		}
		return nil // and the time goes on
	}
	w.last = 0
	return nil
}

// cut takes size bytes off the front of segments, or all there is.
func cut(segments [][]byte, size int) (piece, rest [][]byte) {
	for i, p := range segments {
		if len(p) >= size {
			piece = append(slices.Clip(segments[:i]), p[:size])
			if segments[i] = p[size:]; len(segments[i]) == 0 {
				i++
			}
			return piece, segments[i:]
		}
		size -= len(p)
	}
	return segments, nil
}

// arm sets the deadline of a write to a descriptor that begins to block. The time begins now: the kernel has just taken
// something, or was asked for the first time.
func (c *Conn) arm() error {
	timeout := c.u.opts.WriteTimeout
	if timeout <= 0 {
		return nil
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = c.now() + int64(timeout)
	if o.limit != 0 {
		o.armed = min(o.armed, o.limit)
	}
	return c.conn.SetWriteDeadline(c.u.time(o.armed))
}

// disarm takes the deadline of the write away, so that a later one does not
// meet it.
func (c *Conn) disarm() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.armed != 0 {
		o.armed = 0
		c.conn.SetWriteDeadline(c.u.time(o.limit)) //nolint:errcheck,gosec // fails on a closed connection only
	}
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (c *Conn) LimitWrites(t time.Time) {
	limit := max(int64(t.Sub(c.u.epoch))+1, 1)
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limit != 0 && limit >= o.limit {
		return
	}
	o.limit = limit
	if o.armed != 0 && limit > o.armed {
		return // the write in progress ends before; arm and disarm set the deadline
	}
	c.conn.SetWriteDeadline(c.u.time(limit)) //nolint:errcheck,gosec // fails on a closed connection only
}
