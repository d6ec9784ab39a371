package socket_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// A callback that stops has decided, also while its last messages wait for a peer that reads slowly.
func TestEnding_takesNothingWhileTheLastMessagesAreWritten(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{WriteTimeout: time.Minute})
		c := r.dial(puppet())
		large := websock.Text(strings.Repeat("x", 1<<20)) // more than the transport holds
		c.pid.Send(do(func(context.Context) websock.Result { return websock.Close(4000, "", large) }))
		synctest.Wait()
		if c.pid.Send("late") || c.pid.Alive() {
			t.Errorf("while the last message is written: Send = %t, Alive = %t; want false, false", c.pid.Send("late"), c.pid.Alive())
		}
		c.pid.Exit(actor.ErrKilled)
	})
}

// A flush that is on its way when the socket ends is waited for: OnClose is called when no goroutine of the socket is
// at work.
func TestEnd_waitsForAFlushOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSite(t, socket.Config{PingInterval: -1})
		held := &heldConn{writes: make(chan struct{}), release: make(chan struct{})}
		gate, proceed := make(chan struct{}), make(chan struct{})
		defer close(proceed)
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.srv.Upgrade(&holdingWriter{ResponseWriter: w, conn: held}, r, puppet())
		}))
		h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		pid := h.idOf()
		pid.Send(do(func(context.Context) websock.Result { <-gate; return websock.Push(websock.Text("pushed")) }))
		pid.Send(do(func(context.Context) websock.Result { <-proceed; return websock.OK() }))
		held.hold.Store(true)
		close(gate)
		<-held.writes // what was pushed is on its way, since the next callback takes long
		pid.Exit(actor.ErrKilled)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := len(h.ends()); n != 0 {
			t.Errorf("OnClose was called %d times while a goroutine of the socket is in a Write, want 0", n)
		}
		close(held.release)
		h.wantEnds(1)
	})
}

// holdingWriter is a ResponseWriter whose connection is a heldConn.
type holdingWriter struct {
	http.ResponseWriter
	conn *heldConn
}

func (w *holdingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.conn.Conn = conn
	return w.conn, buffered, err
}

// heldConn is a connection of which one Write does not return when it is closed, but at release.
type heldConn struct {
	net.Conn
	hold            atomic.Bool
	writes, release chan struct{}
}

func (c *heldConn) Write(p []byte) (int, error) {
	if !c.hold.CompareAndSwap(true, false) {
		return c.Conn.Write(p)
	}
	close(c.writes)
	<-c.release
	return 0, net.ErrClosed
}
