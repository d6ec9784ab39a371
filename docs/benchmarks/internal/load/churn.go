package load

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// Churn is the workload in which clients connect, send one message, get it back, say goodbye and close.
type Churn struct {
	Clients int // at once
	Size    int
	Warm    time.Duration
	For     time.Duration
}

// Run drives the server. Latency is from the first byte of the connection to its last.
func (ch Churn) Run(t Target) (Sample, error) {
	var (
		phase   atomic.Int32 // 0: warm, 1: measured, 2: over
		mu      sync.Mutex
		latency = &Histogram{}
		failed  = make(chan error, ch.Clients)
		clients sync.WaitGroup
	)
	for range ch.Clients {
		clients.Go(func() {
			for phase.Load() < 2 {
				begun := time.Now()
				if err := ch.once(t); err != nil {
					failed <- err
					return
				}
				if phase.Load() == 1 {
					mu.Lock()
					latency.Record(time.Since(begun))
					mu.Unlock()
				}
			}
		})
	}
	defer clients.Wait()
	defer phase.Store(2)
	pause := func(d time.Duration) error {
		select {
		case err := <-failed:
			return err
		case <-time.After(d):
			return nil
		}
	}
	if err := pause(ch.Warm); err != nil {
		return Sample{}, err
	}
	w, err := openWindow(t)
	if err != nil {
		return Sample{}, err
	}
	phase.Store(1)
	for {
		if err := pause(ch.For); err != nil {
			return Sample{}, err
		}
		mu.Lock()
		done := *latency
		mu.Unlock()
		if done.Count() > 0 {
			s, err := w.shut(done.Count())
			s.Latency = &done
			return s, err
		}
	}
}

// goodbye is a Close frame with 1000.
var goodbye = frame.Append(nil, frame.Close, []byte{0x03, 0xE8})

func (ch Churn) once(t Target) error {
	c, err := net.DialTimeout("tcp", t.Addr, t.patience())
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(t.patience()))
	payload := pattern(ch.Size)
	if t.Raw {
		return ch.exchange(c, payload, payload)
	}
	if _, err := c.Write(t.handshake()); err != nil {
		return err
	}
	b := make([]byte, 1024)
	n := 0
	for !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
		more, err := c.Read(b[n:])
		if err != nil {
			return fmt.Errorf("load: handshake: %w", err)
		}
		n += more
	}
	if err := t.accepted(b[:n]); err != nil {
		return err
	}
	if err := ch.exchange(c, frame.Append(nil, frame.Binary, payload), plainFrame(frame.Binary, payload)); err != nil {
		return err
	}
	if err := ch.exchange(c, goodbye, plainFrame(frame.Close, []byte{0x03, 0xE8})); err != nil {
		return err
	}
	// The server closes TCP first (RFC 6455 section 7.1.1).
	if n, err := c.Read(b); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("load: after the Close frame: %w", err)
	} else if n > 0 {
		return fmt.Errorf("load: %d bytes after the Close frame", n)
	}
	return nil
}

// exchange sends one thing and wants another back.
func (Churn) exchange(c net.Conn, send, want []byte) error {
	if _, err := c.Write(send); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("load: answer: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("load: got %x, want %x", got, want)
	}
	return nil
}

// plainFrame is how a server writes a message of at most 125 bytes, or of 126 to 65535.
func plainFrame(opcode byte, payload []byte) []byte {
	n := len(payload)
	if n < 126 {
		return append([]byte{0x80 | opcode, byte(n)}, payload...)
	}
	return append([]byte{0x80 | opcode, 126, byte(n >> 8), byte(n)}, payload...)
}
