package natsengine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// everybody is the last token of the subject that all nodes of a cluster receive; that of a node is its boot in 16 hex
// digits, so a datagram for an earlier boot reaches nobody.
const everybody = "hello"

// conn implements cluster.Conn.
type conn struct {
	nc   *nats.Conn
	base string // of all subjects, with the last dot

	// turn is held by whoever publishes. nats.go has such a lock, too; this one can be tried.
	turn sync.Mutex
	// lost is why the last datagram could not be sent; nil: it could. See Publish.
	lost atomic.Pointer[error]

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
	return sub.SetPendingLimits(-1, maxPending)
}

// Publish sends a datagram, or says why it is lost. A receiver never holds it. A server that takes no bytes, or a network
// that does not answer, can hold nats.go, with its lock: for flusherTimeout when it writes, for its dial timeout while it
// connects. That must not add up over all that want to publish. So when one has failed, one at a time tries, and the others,
// those that wait included, fail at once, until one has succeeded.
func (c *conn) Publish(to uint64, datagram []byte) error {
	if !c.turn.TryLock() {
		if err := c.lost.Load(); err != nil {
			return *err
		}
		c.turn.Lock()
		if err := c.lost.Load(); err != nil {
			c.turn.Unlock()
			return *err
		}
	}
	defer c.turn.Unlock()
	err := c.nc.Publish(c.subject(to), datagram)
	switch {
	case err == nil:
		if c.lost.Load() != nil {
			c.lost.Store(nil)
		}
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("natsengine: a datagram of %d bytes exceeds MaxDatagram %d: %w", len(datagram), c.MaxDatagram(), err)
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		err = errors.New("natsengine: not connected")
		if last := c.nc.LastError(); last != nil {
			err = fmt.Errorf("natsengine: not connected: %w", last)
		}
	default:
		err = fmt.Errorf("natsengine: publish: %w", err)
	}
	c.lost.Store(&err)
	return err
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
