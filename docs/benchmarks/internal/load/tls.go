package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A tlsConn is one connection over TLS. It has a goroutine, so it costs the load generator more than a connection of a
// loop.
type tlsConn struct {
	*tls.Conn
	in  *bufio.Reader
	got []byte
}

func (t Target) dialTLS() (*tlsConn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: t.patience()}, Config: &tls.Config{InsecureSkipVerify: true}}
	raw, err := dialer.DialContext(context.Background(), "tcp", t.Addr)
	if err != nil {
		return nil, err
	}
	c := &tlsConn{Conn: raw.(*tls.Conn), in: bufio.NewReaderSize(raw, 512)}
	c.SetDeadline(time.Now().Add(t.patience()))
	defer c.SetDeadline(time.Time{})
	if err := c.handshake(t); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *tlsConn) handshake(t Target) error {
	if t.Raw {
		return nil
	}
	if _, err := c.Write(t.handshake()); err != nil {
		return err
	}
	var response []byte
	for !bytes.HasSuffix(response, []byte("\r\n\r\n")) {
		line, err := c.in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("load: handshake: %q, then %w", response, err)
		}
		response = append(response, line...)
	}
	return t.accepted(response)
}

// echo sends one thing and wants another back.
func (c *tlsConn) echo(send, want []byte, patience time.Duration) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(send); err != nil {
		return err
	}
	if cap(c.got) < len(want) {
		c.got = make([]byte, len(want))
	}
	got := c.got[:len(want)]
	if _, err := io.ReadFull(c.in, got); err != nil {
		return fmt.Errorf("load: answer: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("load: got %.80x, want %.80x", got, want)
	}
	return nil
}

// message is what a client sends, and what it gets back.
func (t Target) message(opcode byte, payload []byte) (send, want []byte) {
	if t.Raw {
		return payload, payload
	}
	return frame.Append(nil, opcode, payload), plainFrame(opcode, payload)
}

// overTLS keeps one message on its way on each connection.
func (e Echo) overTLS(t Target) (Sample, error) {
	if e.InFlight != 1 {
		return Sample{}, errors.New("load: over TLS one message is in flight")
	}
	var (
		phase   atomic.Int32 // 0: warm, 1: measured, 2: over
		done    atomic.Uint64
		failed  = make(chan error, e.Conns)
		clients sync.WaitGroup
	)
	latencies := make([]Histogram, e.Conns)
	send, want := t.message(frame.Binary, pattern(e.Size))
	conns, err := t.dialAllTLS(e.Conns)
	if err != nil {
		return Sample{}, err
	}
	defer closeAll(conns)
	for i, c := range conns {
		clients.Go(func() {
			for phase.Load() < 2 {
				begun := time.Now()
				if err := c.echo(send, want, t.patience()); err != nil {
					failed <- err
					return
				}
				if phase.Load() == 1 {
					latencies[i].Record(time.Since(begun))
				}
				done.Add(1)
			}
		})
	}
	stop := sync.OnceFunc(func() {
		phase.Store(2)
		clients.Wait()
	})
	defer stop()
	pause := func(d time.Duration) error {
		select {
		case err := <-failed:
			return err
		case <-time.After(d):
			return nil
		}
	}
	if err := pause(e.Warm); err != nil {
		return Sample{}, err
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	before := done.Load()
	phase.Store(1)
	for first := true; first || done.Load() == before; first = false { // until there is something to measure
		if err := pause(e.For); err != nil {
			return Sample{}, err
		}
	}
	s, err := w.shut(done.Load() - before)
	stop()
	s.Latency = &Histogram{}
	for i := range latencies {
		s.Latency.add(&latencies[i])
	}
	return s, err
}

func (t Target) dialAllTLS(n int) ([]*tlsConn, error) {
	var conns []*tlsConn
	for range n {
		c, err := t.dialTLS()
		if err != nil {
			closeAll(conns)
			return nil, fmt.Errorf("connection %d: %w", len(conns), err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func closeAll(conns []*tlsConn) {
	for _, c := range conns {
		c.Close()
	}
}

// overTLS is Run over TLS. Nobody reads while the connections are silent: that is too short for a ping.
func (i Idle) overTLS(t Target) (Footprint, error) {
	send, want := t.message(frame.Text, document(1, i.Size))
	open := func(n int) (conns []*tlsConn, echo func() error, err error) {
		conns, err = t.dialAllTLS(n)
		return conns, func() error {
			for _, c := range conns {
				if err := c.echo(send, want, t.patience()); err != nil {
					return err
				}
			}
			return nil
		}, err
	}
	conns, echo, err := open(min(i.Conns, 200))
	if err == nil {
		err = echo()
	}
	closeAll(conns)
	if err != nil {
		return Footprint{}, err
	}
	time.Sleep(300 * time.Millisecond)
	before, err := i.Memory()
	if err != nil {
		return Footprint{}, err
	}
	if conns, echo, err = open(i.Conns); err != nil {
		return Footprint{}, err
	}
	defer closeAll(conns)
	return i.looks(before, echo, func() error {
		time.Sleep(i.Quiet)
		return nil
	})
}
