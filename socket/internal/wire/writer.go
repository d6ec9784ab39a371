package wire

import (
	"io"
	"net"
	"sync"
	"time"
)

// writer writes batches to the transport, one at a time, each within a
// deadline.
type writer struct {
	conn    net.Conn
	raw     *rawWriter // for single buffers; nil where it is not possible
	vector  bool       // conn has a writev of its own
	clock   *clock
	timeout time.Duration

	// turn is full while a batch is written. It is no mutex, because whoever
	// waits for a slow peer here must be durably blocked for testing/synctest.
	turn chan struct{}

	deadlineMu sync.Mutex // guards what follows, and the write deadline
	limit      time.Time  // of LimitWrites; zero: none
	armed      time.Time  // deadline of the write in progress; zero: it has none of its own
}

func (w *writer) open(conn net.Conn, clock *clock, timeout time.Duration) {
	w.conn, w.clock, w.timeout = conn, clock, timeout
	w.turn = make(chan struct{}, 1)
	w.raw = newRawWriter(conn)
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		// A wrapper may have inherited it, past its own Write.
		w.vector = true
	}
}

// write writes all of b. The caller has the turn.
func (w *writer) write(b *batch) error {
	err := w.writeAll(b)
	if err == nil {
		w.clock.write.Store(w.clock.now())
	}
	return err
}

func (w *writer) writeAll(b *batch) error {
	if len(b.large) == 0 && w.raw != nil {
		return w.raw.write(w, b.buf) // arms the deadline only when it blocks
	}
	if err := w.arm(); err != nil {
		return err
	}
	defer w.disarm()
	if len(b.large) == 0 {
		return writeFull(w.conn, b.buf)
	}
	segments := b.segments()
	if w.vector {
		_, err := segments.WriteTo(w.conn)
		return err
	}
	for _, p := range *segments {
		if err := writeFull(w.conn, p); err != nil {
			return err
		}
	}
	return nil
}

func writeFull(conn net.Conn, p []byte) error {
	n, err := conn.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// arm gives the write that begins, or begins to block, its deadline.
func (w *writer) arm() error {
	if w.timeout <= 0 {
		return nil
	}
	w.deadlineMu.Lock()
	defer w.deadlineMu.Unlock()
	t := time.Now().Add(w.timeout)
	if !w.limit.IsZero() && w.limit.Before(t) {
		t = w.limit
	}
	w.armed = t
	return w.conn.SetWriteDeadline(t)
}

// disarm takes the deadline of the write away, so that a later one does not
// meet it.
func (w *writer) disarm() {
	w.deadlineMu.Lock()
	defer w.deadlineMu.Unlock()
	if !w.armed.IsZero() {
		w.armed = time.Time{}
		w.conn.SetWriteDeadline(w.limit) //nolint:errcheck,gosec // fails on a closed connection only
	}
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (c *Conn) LimitWrites(t time.Time) {
	w := &c.out.writer
	w.deadlineMu.Lock()
	defer w.deadlineMu.Unlock()
	if !w.limit.IsZero() && !t.Before(w.limit) {
		return
	}
	w.limit = t
	if !w.armed.IsZero() && t.After(w.armed) {
		return // the write in progress ends before; disarm sets t
	}
	w.conn.SetWriteDeadline(t) //nolint:errcheck,gosec // fails on a closed connection only
}
