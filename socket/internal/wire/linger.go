package wire

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/frame"
)

// Linger reads on after Next has failed, and throws away what comes, so that closing TCP does not reset the connection
// while our last messages and the Close frame are on their way (RFC 6455 section 7.1.1). It returns nil when the peer's
// Close frame has come or, if that came before or the stream cannot be parsed any more, at the end of TCP. A client waits
// for the end of TCP in any case, as the server is to close it first. Linger returns
// an error when timeout is over or the transport fails. It uses no memory but one read buffer.
//
// timeout, 0 for none, begins at since, and begins again whenever the peer's kernel has taken some of what was still on
// its way. So the peer gets all of it, unless it takes nothing for as long as timeout, and then has as long to answer.
// Where this progress cannot be seen (see rawio), timeout begins at since only.
//
// It is for the reading goroutine. Interrupt and Discard have no effect on it, Abort ends it.
func (r *reader) Linger(since time.Time, timeout time.Duration) error {
	if !r.ended {
		r.end(ErrStopped)
	}
	q := r.leftover(since, timeout)
	err := r.source.until(q.next())
	for err == nil {
		if err = r.drain(); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || q.over() {
			break
		}
		err = r.source.until(q.next())
	}
	r.source.drop()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// leftover is what was written and has not arrived yet, while Linger reads.
type leftover struct {
	t       *transport
	timeout time.Duration
	end     time.Time // when the time is over; zero: never
	bytes   int       // how many have not arrived; 0 also when that is unknown
}

func (r *reader) leftover(since time.Time, timeout time.Duration) *leftover {
	q := &leftover{t: r.source.t, timeout: timeout}
	if timeout > 0 {
		q.end = since.Add(timeout)
		if q.bytes = q.t.Unsent(); q.bytes > 0 { // it may have shrunk meanwhile
			q.end = time.Now().Add(timeout)
		}
	}
	return q
}

// next is when to look again: the end, or an eighth of the time while something has not arrived.
func (q *leftover) next() time.Time {
	if q.bytes == 0 {
		return q.end
	}
	if step := time.Now().Add(max(q.timeout/8, time.Millisecond)); step.Before(q.end) {
		return step
	}
	return q.end
}

// over reports whether the time is over. It looks, and starts the time anew when something has arrived.
func (q *leftover) over() bool {
	now := time.Now()
	if q.bytes > 0 {
		before := q.bytes
		if q.bytes = q.t.Unsent(); q.bytes < before {
			q.end = now.Add(q.timeout)
		}
	}
	return !now.Before(q.end)
}

func (r *reader) drain() error {
	for !r.closed && !r.broken {
		if err := r.skipPayload(); err != nil {
			return err
		}
		h, err := r.header()
		if r.broken {
			break
		}
		if err != nil {
			return err
		}
		if h.Opcode == frame.Close {
			p, err := r.controlPayload(h)
			if err != nil {
				return err
			}
			r.count(frame.Close, h.Length)
			r.peerClosed(p) //nolint:errcheck,gosec // legal or not, it was the last frame
			if r.source.t.client() {
				break
			}
			return nil
		}
		r.source.data = r.source.data[h.Size:]
		r.frame, r.remaining = h, h.Length
		if h.Length == 0 {
			r.count(h.Opcode, 0)
		}
	}
	for {
		r.source.drop()
		if _, err := r.more(nil); err != nil {
			return err
		}
	}
}

// skipPayload drops what is left of the payload of a frame.
func (r *reader) skipPayload() error {
	for r.remaining > 0 {
		if n := int(min(int64(len(r.source.data)), r.remaining)); n > 0 {
			r.source.data = r.source.data[n:]
			r.consumed(n)
			continue
		}
		if _, err := r.more(nil); err != nil {
			return err
		}
	}
	return nil
}
