package socket_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// A connection is the same in both roles, that of the server and that of the client, but for the masks and for who ends TCP.
// So a test of what a peer sends is one for both.

// underTest is what a test of both roles asks for.
type underTest struct {
	h              websock.Handler
	maxMessageSize int64         // 0: 10 MB
	offer          string        // of permessage-deflate; a client has asked for it without context takeover
	closeTimeout   time.Duration // 0: 5 s
	change         func(*conn.Options)
}

// tested is the peer of a connection under test.
type tested struct {
	*rawclient.Client
	conn   *pipe.Conn
	client bool // the connection under test is the client's
	pid    actor.PID
	over   chan struct{} // closed when TCP is closed and the process is dead

	// Of the client only:
	info func() conn.Info
	end  conn.End // set when over is closed
}

// opener opens a connection under test, in a bubble.
type opener func(t *testing.T, u underTest) *tested

// inBothRoles runs f for each role.
func inBothRoles(t *testing.T, f func(t *testing.T, open opener)) {
	t.Helper()
	t.Run("server", func(t *testing.T) { f(t, asServer) })
	t.Run("client", func(t *testing.T) { f(t, asClient) })
}

// asServer is a socket of a Server.
func asServer(t *testing.T, u underTest) *tested {
	t.Helper()
	c := &tested{over: make(chan struct{})}
	h := memorySite(t, socket.Config{
		MaxMessageSize: u.maxMessageSize,
		CloseTimeout:   u.closeTimeout,
		Compression:    socket.Compression{On: u.offer != "", Threshold: -1},
		OnClose:        func(socket.Closed) { close(c.over) },
	}, func() websock.Handler { return u.h })
	c.Client = h.connect(rawclient.HandshakeOptions{Offer: u.offer})
	c.conn = c.Client.Conn().(*pipe.Conn)
	synctest.Wait() // it stands in the table after the 101
	for pid := range h.srv.Sockets() {
		c.pid = pid
	}
	return c
}

// asClient is a connection as a client has it, after the handshake, with the defaults of Config.
func asClient(t *testing.T, u underTest) *tested {
	t.Helper()
	near, far := pipe.New(0)
	c := &tested{Client: rawclient.NewServer(near, nil, u.offer != ""), conn: near, client: true, over: make(chan struct{})}
	near.SetDeadline(time.Now().Add(time.Hour))
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	o := conn.Options{
		Answered: func(time.Duration) {}, Overflowed: func(*conn.Conn) {},
		System: sys, MailboxLimit: 1024, MaxAsync: 128,
		IdleTimeout: time.Minute, PingInterval: 25 * time.Second, MessageTimeout: time.Minute, HibernateAfter: 15 * time.Second,
		WriteTimeout: 10 * time.Second, CloseTimeout: cmp.Or(u.closeTimeout, 5*time.Second), ShutdownTimeout: 5 * time.Second, AbandonAfter: time.Minute,
		IdleClose: websock.CloseDetail{Code: 1002},
		Opened:    func(*conn.Conn) {},
		Closed: func(cc *conn.Conn) {
			c.end = cc.End()
			close(c.over)
		},
	}
	if u.change != nil {
		u.change(&o)
	}
	cc, err := conn.NewGroup(o).Spawn(u.h, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.pid, c.info = cc.PID(), cc.Info
	cc.Open(wire.NewOpener(wire.Options{
		Client: true, MaxMessageSize: cmp.Or(u.maxMessageSize, 10_000_000), WriteTimeout: o.WriteTimeout, Level: 6,
	}).Open(far, "", u.offer != "", nil))
	t.Cleanup(func() {
		near.Close()
		cc.Kill()
		<-c.over
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("System.Shutdown: %v", err)
		}
	})
	return c
}

// stream is frames as this peer sends them.
func (c *tested) stream(frames ...rawclient.Frame) (b []byte) {
	for _, f := range frames {
		f.Masked = !c.Unmasked
		b = rawclient.AppendFrame(b, f, c.Mask)
	}
	return b
}

// ended tells whether TCP is closed and the process is dead.
func (c *tested) ended() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// wantClose reads a Close frame with this code, 0 for an empty one, and what must come after it: from a server the end of
// TCP, from a client nothing, as it leaves that to the server.
func (c *tested) wantClose(t *testing.T, code uint16) {
	t.Helper()
	if !c.client {
		wantClosed(t, c.Client, code)
		return
	}
	c.wantCloseFrame(t, code)
	before := time.Now()
	c.conn.SetReadDeadline(before.Add(time.Millisecond))
	if f, err := c.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after the client's Close: got %v, error %v, want that TCP stays open", f, err)
	}
	c.conn.SetReadDeadline(before.Add(time.Hour))
}

// wantCloseFrame reads a Close frame with this code, and takes no time after it.
func (c *tested) wantCloseFrame(t *testing.T, code uint16) {
	t.Helper()
	op, p, err := c.ReadMessage()
	if err != nil || op != rawclient.OpClose || codeOf(p) != code {
		t.Fatalf("got opcode %#x, payload %.60q, error %v; want Close %d", op, p, err, code)
	}
}

// wantEnd is wantClose, and then that all ends when this peer ends TCP.
func (c *tested) wantEnd(t *testing.T, code uint16) {
	t.Helper()
	c.wantClose(t, code)
	if c.client {
		c.conn.CloseWrite()
		if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the end of TCP from the server: got %v, error %v, want it from the client, too", f, err)
		}
	}
	c.conn.Close()
	select {
	case <-c.over:
	case <-time.After(time.Hour):
		t.Fatal("TCP has ended, and an hour later the connection has not")
	}
}
