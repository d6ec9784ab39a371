package conn

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// What a connection does is tested through package socket. The tests here look at what does not show outside, or not in
// time.

type nobody struct{}

func (nobody) Init(context.Context) websock.Result                      { return websock.OK() }
func (nobody) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (nobody) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

func newSystem(t *testing.T) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

// connected is a connection in memory, and its peer. It runs in a bubble; at the end of the test the connection must have
// been reported.
func connected(t *testing.T, o Options) (*Conn, *rawclient.Client) {
	t.Helper()
	return connectedTo(t, o, nobody{})
}

func connectedTo(t *testing.T, o Options, h websock.Handler) (*Conn, *rawclient.Client) {
	t.Helper()
	o.System, o.MailboxLimit = newSystem(t), 8
	reported := make(chan struct{})
	o.Opened, o.Closed = func(*Conn) {}, func(*Conn) { close(reported) }
	g := NewGroup(o)
	opener := wire.NewOpener(wire.Options{WriteTimeout: o.WriteTimeout, MaxMessageSize: 1 << 10})
	opened := make(chan *Conn, 1)
	ln := pipe.NewListener()
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := g.Spawn(h, nil)
		if err != nil {
			t.Error(err)
			return
		}
		a, err := handshake.Accept(w, r, handshake.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		c.Open(opener.Open(a.Conn, a.Subprotocol, a.Deflate, a.Early))
		opened <- c
	})}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	nc, err := ln.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	peer, _, err := rawclient.Handshake(nc, rawclient.HandshakeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := <-opened
	synctest.Wait()
	t.Cleanup(func() {
		nc.Close()
		c.Kill()
		<-reported
		hs.Close()
		<-served
		_ = o.System.Shutdown(context.Background()) // nobody is left
	})
	return c, peer
}
