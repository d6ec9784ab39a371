package load

import (
	"bytes"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Idle is the workload in which connections are only there.
type Idle struct {
	Conns  int
	Size   int // of the one message of each
	Quiet  time.Duration
	Memory func() (int64, error) // of the server, in bytes
}

// Footprint is what a connection costs in bytes: before its first message, and after it.
type Footprint struct {
	Fresh, Used float64
}

// Run opens the connections and then sends one message on each. The server has been warmed up by some that are gone.
func (i Idle) Run(t Target) (Footprint, error) {
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
	look := func() (float64, error) {
		if err := l.idle(i.Quiet); err != nil {
			return 0, err
		}
		now, err := i.Memory()
		return float64(now-before) / float64(i.Conns), err
	}
	var f Footprint
	if f.Fresh, err = look(); err != nil {
		return f, err
	}
	if err := i.echo(l, t); err != nil {
		return f, err
	}
	f.Used, err = look()
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
