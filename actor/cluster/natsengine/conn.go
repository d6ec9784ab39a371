package natsengine

import (
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"
)

// everybody is the last token of the subject that all nodes of a cluster receive; that of a node is its boot in 16 hex
// digits, so a datagram for an earlier boot reaches nobody.
const everybody = "hello"

// conn implements cluster.Conn.
type conn struct {
	nc   *nats.Conn
	base string // of all subjects, with the last dot

	subs      []*nats.Subscription
	receiving sync.WaitGroup // the goroutines of the subscriptions
}

// subject is that of one node; 0: of all.
func (c *conn) subject(to uint64) string {
	if to == 0 {
		return c.base + everybody
	}
	var digits [16]byte
	for i := range digits {
		digits[i] = "0123456789abcdef"[to>>(60-4*i)&15]
	}
	return c.base + string(digits[:])
}

// subscribe runs recv for each message of a subject, on a goroutine that nats.go starts, until the connection is closed.
func (c *conn) subscribe(subject string, recv func([]byte)) error {
	sub, err := c.nc.Subscribe(subject, func(m *nats.Msg) { recv(m.Data) })
	if err != nil {
		return err
	}
	c.receiving.Add(1)
	sub.SetClosedHandler(func(string) { c.receiving.Done() })
	c.subs = append(c.subs, sub)
	return sub.SetPendingLimits(-1, maxPending)
}

// Publish sends a datagram, or says why it is lost: without a connection, the last error of that.
func (c *conn) Publish(to uint64, datagram []byte) error {
	err := c.nc.Publish(c.subject(to), datagram)
	if err == nil {
		return nil
	}
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		if last := c.nc.LastError(); last != nil {
			return fmt.Errorf("natsengine: not connected: %w", last)
		}
		return errors.New("natsengine: not connected")
	}
	return fmt.Errorf("natsengine: publish %d bytes: %w", len(datagram), err)
}

// MaxDatagram is the server's max_payload.
func (c *conn) MaxDatagram() int {
	if n := c.nc.MaxPayload(); n > 0 {
		return int(n)
	}
	return unknownMaxDatagram
}

// Close sends what Publish has taken, for 2 s at most, closes the connection, and waits for the calls of recv that run.
func (c *conn) Close() error {
	if c.nc.IsConnected() {
		_ = c.nc.FlushTimeout(flusherTimeout) // a failure is a loss, as any
	}
	c.nc.Close()
	c.receiving.Wait()
	return nil
}
