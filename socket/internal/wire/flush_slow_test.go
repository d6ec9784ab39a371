package wire_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// slowWrites are what one Flush writes: each takes a peer that reads 1,000 bytes in 100 ms longer than a second.
var slowWrites = map[string]struct {
	deflate  bool
	messages []int // sizes
}{
	"a batch":           {false, []int{9_000, 9_000, 9_000, 9_000, 9_000, 9_000}},
	"one large payload": {false, []int{100_000}},
	"both":              {false, []int{5_000, 30_000, 100, 20_000}},
	"compressed":        {true, []int{60_000}},
}

// TestFlush_slowPeer: WriteTimeout is for a peer that takes nothing. One that is slow, and takes many times as long for
// one write, gets all.
func TestFlush_slowPeer(t *testing.T) {
	for name, tt := range slowWrites {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe.New(1000)
				defer near.Close()
				c := slowAccept(t, far, near, wire.Options{WriteTimeout: time.Second}, tt.deflate)
				defer c.Abort()
				read := make(chan int)
				go func() {
					p, total := make([]byte, 1000), 0
					for {
						time.Sleep(100 * time.Millisecond)
						n, err := near.Read(p)
						total += n
						if err != nil {
							read <- total
							return
						}
					}
				}()
				start, want := time.Now(), 0
				for _, size := range tt.messages {
					want += size
					if err := c.Append(websock.Binary([]byte(noise(size)))); err != nil {
						t.Errorf("Append: %v", err) // it flushes when much waits
					}
				}
				if err := c.Flush(); err != nil {
					t.Errorf("Flush of %d bytes to a peer that reads 1,000 in 100 ms: %v after %v; want all written, WriteTimeout 1s", want, err, time.Since(start))
				}
				if took := time.Since(start); took < 2*time.Second {
					t.Errorf("the write took %v: the test shows nothing", took)
				}
				far.Close()
				if got := <-read; got < want/2 || !tt.deflate && got < want {
					t.Errorf("the peer read %d bytes, want %d and their headers", got, want)
				}
			})
		})
	}
}

// slowAccept is acceptInto over a pipe that does not hold the 101.
func slowAccept(t *testing.T, far, near *pipe.Conn, o wire.Options, deflate bool) *wire.Conn {
	t.Helper()
	head := make(chan struct{})
	go func() {
		defer close(head)
	}()
	c := accept(t, far, o, deflate)
	<-head
	return c
}

// TestFlush_peerThatStops: a peer that takes something, and then nothing more for WriteTimeout, is cut off. The pipe
// does not say when it was last read, so it may take an eighth longer.
func TestFlush_peerThatStops(t *testing.T) {
	for name, tt := range slowWrites {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := pipe.New(1000)
				defer near.Close()
				c := slowAccept(t, far, near, wire.Options{WriteTimeout: time.Second}, tt.deflate)
				defer c.Abort()
				stopped := make(chan time.Time, 1)
				go func() {
					for range 20 {
						time.Sleep(100 * time.Millisecond)
						if _, err := io.ReadFull(near, make([]byte, 1000)); err != nil {
							t.Errorf("the peer cannot read: %v", err)
						}
					}
					stopped <- time.Now()
				}()
				for _, size := range tt.messages {
					c.Append(websock.Binary([]byte(noise(size))))
				}
				err := c.Flush()
				if took := time.Since(<-stopped); !errors.Is(err, os.ErrDeadlineExceeded) || took < time.Second || took > time.Second+time.Second/8 {
					t.Errorf("Flush to a peer that has read for 2 s and stopped: %v, %v after it last read; want a deadline error after WriteTimeout 1s, an eighth more at most",
						err, took)
				}
			})
		})
	}
}

// deadlines is a connection that counts the write deadlines which are set, and refuses those beyond most.
type deadlines struct {
	*pipe.Conn
	set, most int
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	if d.set++; d.set > d.most {
		return errors.New("too many deadlines")
	}
	return d.Conn.SetWriteDeadline(t)
}

// TestFlush_tlsPeerThatStops: TLS writes no more after a deadline, and says so without waiting. One that met it between
// two of the small records with which TLS begins is at its end then, and does not ask again until WriteTimeout is over
// once more.
func TestFlush_tlsPeerThatStops(t *testing.T) {
	server := httptest.NewUnstartedServer(nil) // for its certificate
	server.StartTLS()
	config := server.TLS
	server.Close()
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(4000)
		defer near.Close()
		conn := &deadlines{Conn: far, most: 100}
		client := tls.Client(near, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // a certificate of the test's
		go func() {
			client.Handshake()
		}()
		c := accept(t, tls.Server(conn, config), wire.Options{WriteTimeout: time.Second}, false)
		defer c.Abort()
		start := time.Now()
		c.Append(websock.Binary([]byte(noise(60_000))))
		err := c.Flush()
		if took := time.Since(start); !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Second {
			t.Errorf("Flush to a peer that does not read: %v after %v, with %d deadlines; want a deadline error after WriteTimeout 1s", err, took, conn.set)
		}
	})
}
