package natsengine_test

import (
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/troupe-dev/troupe/actor/cluster/natsengine"
)

// fullDialer connects with sockets whose buffers are full while it is stopped, as those to a process that stands still are:
// then Write takes nothing until its deadline. (Filling real ones leaves it to chance whether a last Write takes a part,
// after which nats.go gives the connection up.)
type fullDialer struct{ stopped atomic.Bool }

func (d *fullDialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &fullConn{Conn: c, dialer: d}, nil
}

type fullConn struct {
	net.Conn
	dialer   *fullDialer
	deadline atomic.Pointer[time.Time]
}

func (c *fullConn) SetWriteDeadline(t time.Time) error {
	c.deadline.Store(&t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *fullConn) Write(b []byte) (int, error) {
	for c.dialer.stopped.Load() {
		if t := c.deadline.Load(); t != nil && !t.IsZero() && time.Now().After(*t) {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(time.Millisecond)
	}
	return c.Conn.Write(b)
}

// TestConn_aServerThatStandsStill: many publish while the server takes nothing. If each of them waited for its own write to
// fail, the last one would wait for minutes; and with it the links, which are to notice that nothing is heard.
func TestConn_aServerThatStandsStill(t *testing.T) {
	dialer := &fullDialer{}
	e := newEngine(t, natsengine.Config{URL: startServer(t, 0, nil).ClientURL(), Options: []nats.Option{nats.SetCustomDialer(dialer)}})
	a, b := join(t, e, "x", 1), join(t, e, "x", 2)
	a.until(t, b, 2, "taken")
	dialer.stopped.Store(true)
	defer dialer.stopped.Store(false) // before Close
	const many = 300                  // 2 s each: ten minutes
	datagram := make([]byte, 64<<10)
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range many {
		wg.Go(func() {
			if err := a.Publish(2, datagram); err != nil && strings.HasPrefix(err.Error(), "natsengine: ") {
				failed.Add(1)
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%d calls of Publish have not returned after %v", many, patience)
	}
	if failed.Load() != many {
		t.Errorf("%d of %d calls of Publish return an error", failed.Load(), many)
	}
	dialer.stopped.Store(false)
	a.until(t, b, 2, "taken again")
}
