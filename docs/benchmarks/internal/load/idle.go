package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Idle is the workload in which connections are only there.
type Idle struct {
	Conns  int
	Size   int // of the one message of each
	Quiet  time.Duration
	Memory func() (int64, error) // of the server, in bytes, after a garbage collection that was asked for
	Now    func() (int64, error) // the same as it is; nil: the look is by Memory
}

// Footprint is what a connection costs in bytes: before its first message, and after it. With Idle.Now it is measured
// only after it, and no garbage collection is forced from the first connection on: that is what a program really holds.
type Footprint struct {
	Fresh, Used float64
}

// Run opens the connections and then sends one message on each. The server has been warmed up by some that are gone.
func (i Idle) Run(t Target) (Footprint, error) {
	if t.TLS {
		return i.overTLS(t)
	}
	warm := i
	warm.Conns = min(i.Conns, 200)
	l, err := warm.open(t)
	if err == nil {
		err = warm.echo(l, t)
	}
	if err != nil {
		return Footprint{}, err
	}
	l.close()
	time.Sleep(300 * time.Millisecond)
	before, err := i.Memory()
	if err != nil {
		return Footprint{}, err
	}
	if l, err = i.open(t); err != nil {
		return Footprint{}, err
	}
	defer l.close()
	return i.looks(before, func() error { return i.echo(l, t) }, func() error { return l.idle(i.Quiet) })
}

// looks takes the footprint of connections that are there.
func (i Idle) looks(before int64, echo, idle func() error) (f Footprint, err error) {
	each := func(memory func() (int64, error)) (float64, error) {
		now, err := memory()
		return float64(now-before) / float64(i.Conns), err
	}
	if err := idle(); err != nil {
		return f, err
	}
	used := i.Now
	if used == nil {
		used = i.Memory
		if f.Fresh, err = each(i.Memory); err != nil {
			return f, err
		}
	}
	if err := errors.Join(echo(), idle()); err != nil {
		return f, err
	}
	f.Used, err = each(used)
	return f, err
}

func (i Idle) open(t Target) (*loop, error) {
	l, err := newLoop(t, i.Size)
	if err != nil {
		return nil, err
	}
	l.handle = func(*conn, message) error { return fmt.Errorf("load: a message that nobody asked for") }
	if err := t.dial(l, i.Conns); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// echo sends one message on each connection, and the next when it is back: a burst would measure queues.
func (i Idle) echo(l *loop, t Target) error {
	payload := document(1, i.Size)
	encoded := payload
	if !t.Raw {
		encoded = frame.Append(nil, frame.Text, payload)
	}
	if t.Deflate {
		packed := frame.Deflate(payload)
		encoded = frame.Append(nil, frame.Text, packed)
		encoded[0] |= 0x40
	}
	var expect *conn
	l.handle = func(c *conn, m message) error {
		if c != expect {
			return fmt.Errorf("load: a message that nobody asked for")
		}
		expect = nil
		text := m.data
		if m.deflated {
			var err error
			if text, err = frame.Inflate(text); err != nil {
				return err
			}
		}
		if m.deflated != t.Deflate || !bytes.Equal(text, payload) {
			return fmt.Errorf("load: got %.80q (compressed: %t), want %.80q", text, m.deflated, payload)
		}
		return nil
	}
	for _, c := range l.conns {
		expect = c
		c.out = append(c.out, encoded...)
		if err := l.flush(c); err != nil {
			return err
		}
		for expect != nil {
			if ok, err := l.wait(l.patience); err != nil || !ok {
				return fmt.Errorf("connection %d: %w", c.index, l.silent(err))
			}
		}
	}
	return nil
}
