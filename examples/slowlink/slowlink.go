// Package slowlink gives single sockets a slow network, for examples that show what becomes of a slow client. It needs nothing of
// the browser or of the machine, and it is the same for each of them: the writes of such a socket take as long as if so many bytes
// a second went through.
package slowlink

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// Bytes a second that a request may ask for.
const (
	slowest = 100
	fastest = 1 << 20
)

// steps is into how many writes a second is divided.
const steps = 20

// Handler gives what next takes over by Hijack a network with as many bytes a second as the request asks for: /ws?link=500. Without
// link nothing is changed. What is not a number from 100 to 1048576 gets 400.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rate, err := Rate(r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case rate == 0:
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(&hijacker{w, rate}, r)
		}
	})
}

// Rate is what r asks for, in bytes a second; 0: nothing.
func Rate(r *http.Request) (int, error) {
	link := r.URL.Query().Get("link")
	if link == "" {
		return 0, nil
	}
	rate, err := strconv.Atoi(link)
	if err != nil || rate < slowest || rate > fastest {
		return 0, fmt.Errorf("link=%.20q is no number of bytes a second from %d to %d", link, slowest, fastest)
	}
	return rate, nil
}

type hijacker struct {
	http.ResponseWriter
	rate int
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	slow := &conn{Conn: c, rate: h.rate, closed: make(chan struct{})}
	return slow, bufio.NewReadWriter(rw.Reader, bufio.NewWriter(slow)), nil
}

// conn is a connection whose Write takes its time. One goroutine at a time may write; all else is for any goroutine. It does as a
// connection must with the two things that keep a Write from waiting for ever: a deadline, which may come while it waits, and Close.
type conn struct {
	net.Conn
	rate int
	free time.Time // when the network takes more; of the goroutine that writes

	mu       sync.Mutex
	deadline time.Time

	closed chan struct{}
	once   sync.Once
}

// NetConn lets the socket set the buffers of TCP, and see what the peer has taken.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		if err := c.wait(); err != nil {
			return n, err
		}
		size := min(len(p)-n, max(1, c.rate/steps))
		c.free = time.Now().Add(time.Duration(size) * time.Second / time.Duration(c.rate))
		taken, err := c.Conn.Write(p[n : n+size])
		n += taken
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// wait waits until the network takes more. That is a step at most, and what has become of the deadline meanwhile is seen after it.
func (c *conn) wait() error {
	if d := time.Until(c.free); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.closed:
			return net.ErrClosed
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
