//go:build linux

package socket_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// A peer that resets TCP while reading is paused is seen by the kernel's means, which only the real network shows.
func TestLoss_whileReadingIsPaused_tcp(t *testing.T) {
	release, closed := make(chan struct{}), make(chan socket.Closed, 1)
	h := &handler{in: func(context.Context, websock.Message) websock.Result { <-release; return websock.OK() }}
	s := tcpSite(t, socket.Config{OnClose: func(cl socket.Closed) { closed <- cl }, AbandonAfter: time.Millisecond, IdleTimeout: -1, PingInterval: -1},
		func() websock.Handler { return h })
	c := s.connect(rawclient.HandshakeOptions{})
	for range 3 { // the callback, one that waits, and one that pauses reading
		if err := c.Text("x"); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); readOf(s) < 3; runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatalf("after %v %d of 3 messages are read", patience, readOf(s))
		}
	}
	if err := c.Conn().(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Conn().Close()
	select {
	case cl := <-closed:
		if !errors.Is(cl.Reason, websock.ErrRemote) {
			t.Errorf("it ended with %v, want ErrRemote", cl.Reason)
		}
	case <-time.After(patience):
		t.Errorf("after %v the loss of the peer is not seen", patience)
	}
	close(release)
}

// readOf is how many messages of its only socket s has read.
func readOf(s *site) (n int64) {
	for _, info := range s.srv.Sockets() {
		n = info.Read.Text.Frames
	}
	return n
}
