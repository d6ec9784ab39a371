package load

import (
	"bytes"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Broadcast is the workload in which the server sends one message to all connections, and the next when all have it.
type Broadcast struct {
	Conns int
	Size  int           // of the message, at least 64
	Quiet time.Duration // silence before the first broadcast that counts
	Warm  time.Duration
	For   time.Duration      // at least one broadcast
	Send  func([]byte) error // has the server do it
}

// Run drives the server and checks that each connection gets each message once, in order, and compressed if that was
// negotiated. Latency is the time from Send to the arrival, for each delivery.
func (b Broadcast) Run(t Target) (Sample, error) {
	l, err := newLoop(t, b.Size)
	if err != nil {
		return Sample{}, err
	}
	defer l.close()
	r := round{Broadcast: b, loop: l, target: t, latency: &Histogram{}}
	l.handle = r.receive
	if err := t.dial(l, b.Conns); err != nil {
		return Sample{}, err
	}
	if err := r.join(); err != nil {
		return Sample{}, err
	}
	if err := l.idle(b.Quiet); err != nil {
		return Sample{}, err
	}
	for end := time.Now().Add(b.Warm); time.Now().Before(end); {
		if err := r.once(); err != nil {
			return Sample{}, err
		}
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	*r.latency = Histogram{}
	for first, end := true, w.begin.Add(b.For); first || time.Now().Before(end); first = false {
		if err := r.once(); err != nil {
			return Sample{}, err
		}
	}
	s, err := w.shut(r.latency.Count())
	s.Latency = r.latency
	return s, err
}

// idle reads and answers pings for so long.
func (l *loop) idle(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := l.wait(min(time.Until(end)+time.Millisecond, time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// A round is one broadcast after the other.
type round struct {
	Broadcast
	loop    *loop
	target  Target
	latency *Histogram

	joined  bool // all connections are in the group
	number  uint64
	payload []byte
	begun   time.Time
	got     int
	checked []byte // the last message on the wire that was found to be right: all others are compared with it
}

// join broadcasts until one has reached all: most servers put a connection into the group after its handshake.
func (r *round) join() error {
	end := time.Now().Add(r.loop.patience)
	for r.got < len(r.loop.conns) {
		if time.Now().After(end) {
			return fmt.Errorf("load: broadcasts reach only %d of %d", r.got, len(r.loop.conns))
		}
		if err := r.send(); err != nil {
			return err
		}
		for busy := true; busy && r.got < len(r.loop.conns); {
			var err error
			if busy, err = r.loop.wait(100 * time.Millisecond); err != nil {
				return err
			}
		}
	}
	r.joined = true
	return nil
}

func (r *round) send() error {
	r.number++
	r.payload = document(r.number, r.Size)
	r.got, r.checked = 0, r.checked[:0]
	r.begun = time.Now()
	return r.Send(r.payload)
}

func (r *round) once() error {
	if err := r.send(); err != nil {
		return err
	}
	for r.got < len(r.loop.conns) {
		if ok, err := r.loop.wait(r.loop.patience); err != nil || !ok {
			return fmt.Errorf("broadcast %d reached %d of %d: %w", r.number, r.got, len(r.loop.conns), r.loop.silent(err))
		}
	}
	return nil
}

func (r *round) receive(c *conn, m message) error {
	if r.target.Wrapped && string(m.data) == "{}" { // a ping of centrifuge's JSON protocol, to be answered with the same
		c.out = frame.Append(c.out, frame.Text, m.data)
		return nil
	}
	if !r.joined {
		if c.got < r.number && r.check(m) == nil {
			c.got = r.number
			r.got++
		}
		return nil // or one of those before
	}
	if c.got++; c.got != r.number {
		return fmt.Errorf("load: broadcast %d came as number %d", r.number, c.got)
	}
	if len(r.checked) == 0 || !bytes.Equal(m.data, r.checked) {
		if err := r.check(m); err != nil {
			return err
		}
		r.checked = append(r.checked[:0], m.data...)
	}
	r.got++
	r.latency.Record(time.Since(r.begun))
	return nil
}

func (r *round) check(m message) error {
	if m.deflated != r.target.Deflate {
		return fmt.Errorf("load: a message is compressed: %t, want %t", m.deflated, r.target.Deflate)
	}
	text := m.data
	if m.deflated {
		var err error
		if text, err = frame.Inflate(text); err != nil {
			return fmt.Errorf("load: inflate: %w", err)
		}
	}
	if !r.target.Wrapped && !bytes.Equal(text, r.payload) || !bytes.Contains(text, r.payload) {
		return fmt.Errorf("load: got %q, want %q", text, r.payload)
	}
	return nil
}

// document is a JSON text of exactly size bytes with a number in it, such as a service would send.
func document(number uint64, size int) []byte {
	b := fmt.Appendf(make([]byte, 0, size), `{"number":%d,"room":"lobby","items":[`, 1_000_000_000+number)
	for i := number; ; i++ {
		item := fmt.Appendf(nil, `{"id":%d,"user":"user-%d","text":"hello"},`, 1000+i%9000, i*i%1000)
		if len(b)+len(item)+len(`""]}`) > size {
			break
		}
		b = append(b, item...)
	}
	b = append(b, '"')
	for len(b) < size-len(`"]}`) {
		b = append(b, '.')
	}
	return append(b, `"]}`...)
}
