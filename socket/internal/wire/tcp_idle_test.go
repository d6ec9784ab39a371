//go:build unix && !troupe_nosyscalls

package wire_test

import (
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// The tests need descriptors: reading without a buffer works on nothing else.

// TestNetwork_idleHoldsNoBuffer: what has been read large, or stopped inside a
// header, gives its buffer back before it waits.
func TestNetwork_idleHoldsNoBuffer(t *testing.T) {
	const conns = 200
	clients := make([]*rawclient.Client, conns)
	servers := make([]*wire.Conn, conns)
	for i := range conns {
		clients[i], servers[i] = overTCP(t, wire.Options{MaxMessageSize: mb}, true, nil)
	}
	before := heap()
	var readers sync.WaitGroup
	for i := range conns {
		c := servers[i]
		readers.Go(func() {
			for {
				m, err := c.Next()
				if err != nil {
					return
				}
				c.Append(m)
				c.Flush()
			}
		})
		clients[i].WriteBytes(frame(fin|rsv1, opText, deflated(str(10_000))))
		if op, _, err := clients[i].ReadMessage(); op != opText || err != nil {
			t.Fatal(op, err)
		}
		clients[i].WriteBytes([]byte{0x81}) // the beginning of a header
	}
	for _, c := range servers {
		for a := c.Activity(); a.MessageSince.IsZero() || a.WaitingSince.IsZero(); a = c.Activity() {
			runtime.Gosched() // the beginning has not been read
		}
	}
	per := (int64(heap()) - int64(before)) / conns
	t.Logf("%d bytes of heap more per connection that waits", per)
	if per > 4<<10 {
		t.Errorf("each connection that waits holds %d bytes more than before it read", per)
	}
	for i := range conns {
		servers[i].Abort()
	}
	readers.Wait()
}

func TestSuspended_holdsNoBufferOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const n = 200
	near, far := make([]net.Conn, n), make([]net.Conn, n)
	for i := range n {
		if near[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer near[i].Close()
		if far[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	input := frame(fin, opText, str(2000))
	got := idleBytes(t, wire.Options{MaxMessageSize: mb, Level: 6}, false, far, func(i int) { near[i].Write(input) })
	t.Logf("TCP: %d bytes", got)
	if got > idleTarget && !raceEnabled {
		t.Errorf("a suspended connection holds %d bytes, want at most %d", got, idleTarget)
	}
}
