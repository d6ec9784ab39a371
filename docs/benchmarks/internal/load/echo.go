package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Echo is the workload in which each connection keeps InFlight messages on their way.
type Echo struct {
	Conns    int
	InFlight int
	Size     int // of a message, at least 8
	Warm     time.Duration
	For      time.Duration
}

// A Sample is what one run of a workload showed.
type Sample struct {
	Count   uint64        // of messages, deliveries or connections
	CPU     time.Duration // of the server, for all of them
	Load    time.Duration // CPU of this process meanwhile
	Wall    time.Duration
	Latency *Histogram
	Cast    *Histogram // of the broadcasts beside it, if there are any
}

// Run drives the server and checks every byte of every answer. With compression all messages are the same JSON, compressed
// beforehand; without, each has a number of its own. What was sent before the end is waited for, so that a
// message that is missing fails the run.
func (e Echo) Run(t Target) (Sample, error) {
	if t.TLS {
		return e.overTLS(t)
	}
	l, err := newLoop(t, e.Size)
	if err != nil {
		return Sample{}, err
	}
	defer l.close()
	if err := t.dial(l, e.Conns); err != nil {
		return Sample{}, err
	}
	return e.drive(l, t)
}

func (e Echo) drive(l *loop, t Target) (Sample, error) {
	payload := pattern(e.Size)
	encoded := payload
	check := e.check
	switch {
	case t.Deflate:
		payload = document(1, e.Size)
		encoded = frame.Append(nil, frame.Text, frame.Deflate(payload))
		encoded[0] |= 0x40
		check = checkCompressed()
	case !t.Raw:
		encoded = frame.Append(nil, frame.Binary, payload)
	}
	var sent, got uint64
	stop := false
	latency := &Histogram{}
	send := func(c *conn) {
		switch {
		case t.Raw:
			binary.LittleEndian.PutUint64(c.frame, e.sequence(c, c.seq))
		case !t.Deflate:
			c.number(e.sequence(c, c.seq), e.Size)
		}
		c.out = append(c.out, c.frame...)
		c.sent[c.seq%uint64(e.InFlight)] = l.now
		c.seq++
		sent++
	}
	l.handle = func(c *conn, m message) error {
		if err := check(c, m, payload); err != nil {
			return err
		}
		latency.Record(time.Since(c.sent[c.got%uint64(e.InFlight)]))
		c.got++
		got++
		if !stop {
			send(c)
		}
		return nil
	}
	l.now = time.Now()
	for _, c := range l.conns {
		c.frame = bytes.Clone(encoded)
		c.sent = make([]time.Time, e.InFlight)
		for range e.InFlight {
			send(c)
		}
		if err := l.flush(c); err != nil {
			return Sample{}, err
		}
	}
	run := func(until time.Time) error { // and until there is something to measure
		for start := got; l.now.Before(until) || got == start; {
			if ok, err := l.wait(l.patience); err != nil || !ok {
				return l.silent(err)
			}
		}
		return nil
	}
	if err := run(l.now.Add(e.Warm)); err != nil {
		return Sample{}, err
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	before := got
	*latency = Histogram{}
	if err := run(l.now.Add(e.For)); err != nil {
		return Sample{}, err
	}
	s, err := w.shut(got - before)
	if err != nil {
		return s, err
	}
	s.Latency = new(*latency)
	stop = true
	for got < sent {
		if ok, err := l.wait(l.patience); err != nil || !ok {
			return s, fmt.Errorf("%d of %d messages are missing: %w", sent-got, sent, l.silent(err))
		}
	}
	return s, nil
}

// number writes it to where the payload of the frame begins.
func (c *conn) number(n uint64, size int) {
	at := len(c.frame) - size
	binary.LittleEndian.PutUint64(c.frame[at:], n)
	for i := range 8 {
		c.frame[at+i] ^= frame.MaskKey[i&3]
	}
}

// sequence is different for each message of each connection.
func (Echo) sequence(c *conn, n uint64) uint64 { return uint64(c.index)<<40 | n }

func (e Echo) check(c *conn, m message, payload []byte) error { return e.verify(c, c.got, m, payload) }

// verify checks the n-th answer of a connection.
func (e Echo) verify(c *conn, n uint64, m message, payload []byte) error {
	if m.opcode != frame.Binary || m.deflated || len(m.data) != e.Size {
		return fmt.Errorf("load: message %d is not the one sent: opcode %#x, deflated %t, %d bytes", n, m.opcode, m.deflated, len(m.data))
	}
	if got, want := binary.LittleEndian.Uint64(m.data), e.sequence(c, n); got != want {
		return fmt.Errorf("load: got sequence number %#x, want %#x", got, want)
	}
	if !bytes.Equal(m.data[8:], payload[8:]) {
		return fmt.Errorf("load: message %d has other bytes than the one sent", n)
	}
	return nil
}

// checkCompressed compares each message with the last one on the wire that was found to be right.
func checkCompressed() func(*conn, message, []byte) error {
	var right []byte
	return func(_ *conn, m message, payload []byte) error {
		if m.opcode != frame.Text || !m.deflated {
			return fmt.Errorf("load: an answer has opcode %#x and is compressed: %t", m.opcode, m.deflated)
		}
		if bytes.Equal(m.data, right) {
			return nil
		}
		text, err := frame.Inflate(m.data)
		if err != nil {
			return fmt.Errorf("load: inflate: %w", err)
		}
		if !bytes.Equal(text, payload) {
			return fmt.Errorf("load: got %.80q, want %.80q", text, payload)
		}
		right = append(right[:0], m.data...)
		return nil
	}
}

// pattern is a payload that does not repeat within 64 KiB.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*31 + i>>8)
	}
	return b
}

// A window is the time in which a run is measured.
type window struct {
	cpu   func() (time.Duration, error)
	used  time.Duration
	load  time.Duration
	begin time.Time
}

func openWindow(t Target) (window, error) {
	used, err := t.CPU()
	return window{t.CPU, used, ownCPU(), time.Now()}, err
}

func (w window) shut(count uint64) (Sample, error) {
	used, err := w.cpu()
	return Sample{Count: count, CPU: used - w.used, Load: ownCPU() - w.load, Wall: time.Since(w.begin)}, err
}

// ownCPU is what this process has used so far.
func ownCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0 // it does not fail for the process itself
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
