//go:build !troupe_nosyscalls

package socket_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestClose_slowPeerOverTCP is TestClose_slowPeer over TCP, whose kernels hold what was written, where a close that
// meets unread bytes resets the connection. Linux alone tells what has not arrived.
func TestClose_slowPeerOverTCP(t *testing.T) {
	h := newSite(t, socket.Config{CloseTimeout: time.Second})
	h.overTCP(h.sockets(func() websock.Handler {
		hd := closesWithALastMessage()
		hd.in = func(ctx context.Context, _ websock.Message) websock.Result { return hd.info(ctx, nil) }
		return hd
	}))
	c := h.connect(rawclient.HandshakeOptions{})
	c.Conn().(*net.TCPConn).SetReadBuffer(64 << 10)
	if err := c.Text("close"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond): // on the kernel's clock; no bubble reaches its queues
				c.Text("beat")
			}
		}
	})
	got := readSlowly(c.Conn(), 16<<10, 15*time.Millisecond, 0)
	close(stop)
	beating.Wait()
	if got.bytes != lastFrames || got.err != io.EOF {
		t.Errorf("the peer, which reads 16 KiB in 15 ms, got %d bytes and %v after %v; want %d and EOF", got.bytes, got.err, got.after, lastFrames)
	}
}
