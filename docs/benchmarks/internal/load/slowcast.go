package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// SlowCast is the workload in which the server broadcasts, and some clients are slow: they have a small buffer in their kernel and read
// it after every tenth broadcast. The next broadcast comes when all others have the last one.
type SlowCast struct {
	Conns   int
	Slow    int  // one of so many is slow, or would be; at least 2
	None    bool // it is not: all read at once. What counts are the others, in any case
	Size    int
	Keys    int // of the messages, which take turns
	Fill    int // broadcasts before the window, so that the slow ones are behind
	For     time.Duration
	Ready   func() error // waits until a broadcast reaches all
	Cast    func() error // has the server do it
	Receive int          // bytes that the kernel of a slow client holds
}

// SlowCounts is what the slow clients have got.
type SlowCounts struct{ Arrived, Bytes int }

// Run drives the server. Latency is the time from the message's making to its arrival, of those that are not slow; they must get each
// message once and in order. Afterwards the slow ones read all that there is for them, until over says that no more comes.
func (b SlowCast) Run(t Target, over func(SlowCounts) (bool, error)) (Sample, SlowCounts, error) {
	l, err := newLoop(t, b.Size)
	if err != nil {
		return Sample{}, SlowCounts{}, err
	}
	defer l.close()
	r := &slowRound{SlowCast: b, loop: l, latency: &Histogram{}, newest: map[*conn][]uint64{}}
	l.handle = r.receive
	if err := t.dial(l, b.Conns); err != nil {
		return Sample{}, r.counts, err
	}
	for _, c := range l.conns {
		if r.isSlow(c) {
			if err := errors.Join(unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, b.Receive), l.watch(c, unix.EPOLL_CTL_DEL, 0)); err != nil {
				return Sample{}, r.counts, err
			}
			r.slow = append(r.slow, c)
			r.newest[c] = make([]uint64, b.Keys)
		}
	}
	if err := b.Ready(); err != nil {
		return Sample{}, r.counts, err
	}
	for range b.Fill {
		if err := r.once(); err != nil {
			return Sample{}, r.counts, err
		}
	}
	*r.latency = Histogram{}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, r.counts, err
	}
	for end := w.begin.Add(b.For); time.Now().Before(end); {
		if err := r.once(); err != nil {
			return Sample{}, r.counts, err
		}
	}
	s, err := w.shut(r.latency.Count())
	s.Latency = r.latency
	if err != nil {
		return s, r.counts, err
	}
	for done := false; !done; {
		for _, c := range r.slow {
			if err := r.sip(c); err != nil {
				return s, r.counts, err
			}
		}
		if done, err = over(r.counts); err != nil {
			return s, r.counts, err
		}
	}
	return s, r.counts, nil
}

// A slowRound is one broadcast after the other.
type slowRound struct {
	SlowCast
	loop    *loop
	latency *Histogram
	slow    []*conn
	newest  map[*conn][]uint64 // of each slow one, for each key: the number after that of the newest that has come
	counts  SlowCounts

	number uint64 // of broadcasts
	got    int    // how many have the last one, of those that count
}

// isSlow tells whether c is a slow one, and counts whether it would be.
func (r *slowRound) isSlow(c *conn) bool  { return !r.None && !r.counted(c) }
func (r *slowRound) counted(c *conn) bool { return c.index%r.Slow != 0 }

// once is one broadcast.
func (r *slowRound) once() error {
	r.number++
	r.got = 0
	if err := r.Cast(); err != nil {
		return err
	}
	if err := r.trickle(); err != nil {
		return err
	}
	fast := len(r.loop.conns) - (len(r.loop.conns)+r.Slow-1)/r.Slow
	for end := time.Now().Add(r.loop.patience); r.got < fast; {
		if _, err := r.loop.wait(time.Millisecond); err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("broadcast %d reached %d of %d: %w", r.number, r.got, fast, r.loop.silent(nil))
		}
	}
	return nil
}

// trickle has a tenth of the slow ones read, all in turn.
func (r *slowRound) trickle() error {
	for i := int(r.number % 10); i < len(r.slow); i += 10 {
		if err := r.sip(r.slow[i]); err != nil {
			return err
		}
	}
	return nil
}

// sip has a slow one read once.
func (r *slowRound) sip(c *conn) error {
	return errors.Join(r.loop.read(c), r.loop.flush(c))
}

func (r *slowRound) receive(c *conn, m message) error {
	if m.opcode != frame.Binary || len(m.data) != r.Size {
		return fmt.Errorf("load: got opcode %#x and %d bytes, want a message of %d", m.opcode, len(m.data), r.Size)
	}
	number := binary.BigEndian.Uint64(m.data) + 1
	if r.isSlow(c) {
		r.counts.Arrived++
		r.counts.Bytes += len(m.data)
		newest := &r.newest[c][number%uint64(r.Keys)]
		if number <= *newest {
			return fmt.Errorf("load: broadcast %d came after %d", number, *newest)
		}
		*newest = number
		return nil
	}
	if c.got++; c.got != number || r.counted(c) && number != r.number {
		return fmt.Errorf("load: broadcast %d came as number %d, after %d were sent", number, c.got, r.number)
	}
	if r.counted(c) {
		r.got++
		r.latency.Record(time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(m.data[8:])))))
	}
	return nil
}
