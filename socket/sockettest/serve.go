package sockettest

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Serve connects a client to a socket that h serves, on a [socket.Server] with cfg, and returns the client's end. The
// upgrade is over then, and the handler's Init may still run.
//
// The client asks for /ws, offers cfg.Subprotocols and, when cfg.Compression is on, permessage-deflate. Without
// cfg.System the socket runs on a system of its own, as [NewSystem] makes it; without cfg.Logger it logs to t.Log.
//
// By t.Cleanup the server is shut down, so a socket that still lives ends with ErrShutdown.
func Serve(t testing.TB, cfg socket.Config, h websock.Handler) *Conn {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = newLogger(t)
	}
	if cfg.System == nil {
		cfg.System = newSystem(t, cfg.Logger)
	}
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatalf("sockettest: Serve: %v", err)
	}
	pids := make(chan actor.PID, 1)
	upgrade := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pid, _ := srv.Upgrade(w, r, h) // the client sees the error
		pids <- pid
	})
	offer := rawclient.HandshakeOptions{Path: "/ws", Header: http.Header{}, Deflate: cfg.Compression.On}
	if len(cfg.Subprotocols) > 0 {
		offer.Header.Set("Sec-WebSocket-Protocol", strings.Join(cfg.Subprotocols, ", "))
	}
	c, resp := dial(t, upgrade, offer, func() {
		t.Helper()
		shutdown(t, srv.Shutdown) // while the client can still answer the Close frame
	})
	if c == nil {
		body, _ := io.ReadAll(resp.Body) // in memory
		t.Fatalf("sockettest: Serve: the upgrade was refused: got %s: %s, want 101", resp.Status, strings.TrimSpace(string(body)))
	}
	c.PID = <-pids
	return c
}

// Dial sends r to h, which runs in a real [net/http.Server], and returns the answer. It is for tests of what is around the
// socket: routes, middleware, authentication, refused upgrades.
//
//   - 101: the client's end of the connection, and the response.
//   - Any other status: nil, and the response, whose body can be read and needs no Close.
//
// Of r it sends method, URL, Host and header, not the body. nil stands for GET /ws. The fields that a handshake needs
// (RFC 6455 section 4.1) are added, except those in r's header: these are sent as they are, or left out when their value
// is nil:
//
//	r := httptest.NewRequest("GET", "/ws", nil)
//	r.Header["Sec-Websocket-Version"] = nil
//
// A t.Cleanup cuts TCP, if it is still open, and waits for h to return. The [socket.Server] behind h belongs to the test,
// which shuts it down:
//
//	t.Cleanup(func() { sockets.Shutdown(context.Background()) })
func Dial(t testing.TB, h http.Handler, r *http.Request) (*Conn, *http.Response) {
	t.Helper()
	o := rawclient.HandshakeOptions{Path: "/ws"}
	if r != nil {
		o = rawclient.HandshakeOptions{Method: r.Method, Proto: r.Proto, Host: r.Host, Header: r.Header}
		if r.URL != nil {
			o.Path = r.URL.RequestURI()
			o.Host = cmp.Or(o.Host, r.URL.Host)
		}
	}
	return dial(t, h, o, func() {})
}

// dial is Dial; before is the first thing that its cleanup does.
func dial(t testing.TB, h http.Handler, o rawclient.HandshakeOptions, before func()) (*Conn, *http.Response) {
	t.Helper()
	s := listen(t, h)
	var (
		conn *tap
		c    *Conn
	)
	t.Cleanup(func() {
		t.Helper()
		if c != nil {
			c.Resume() // a paused client answers no Close frame
		}
		before()
		if c != nil {
			c.end()
		} else if conn != nil {
			conn.Reset()
		}
		s.close(t)
	})
	nc, err := s.listener.Dial(context.Background())
	if err != nil {
		t.Fatalf("sockettest: %v", err)
	}
	conn = newTap(nc.(*pipe.Conn))
	d := limit()
	_ = conn.SetDeadline(time.Now().Add(d)) // it is open
	client, resp, err := rawclient.Handshake(conn, o)
	if err != nil {
		t.Fatalf("sockettest: %s %s: no valid answer within %v: %v", cmp.Or(o.Method, "GET"), o.Path, d, err)
	}
	if client == nil {
		return nil, resp
	}
	_ = conn.SetDeadline(time.Time{}) // a server that has closed its end already shows in the first read
	c = newConn(t, client, conn, false)
	return c, resp
}

// httpServer is a net/http server for one connection.
type httpServer struct {
	http     http.Server
	listener *pipe.Listener
	served   chan struct{} // closed when Serve has returned
	accepted bool          // set before served is closed
	done     chan struct{} // closed when net/http and the handler are done with the connection
}

func listen(t testing.TB, h http.Handler) *httpServer {
	s := &httpServer{listener: pipe.NewListener(), served: make(chan struct{}), done: make(chan struct{})}
	done := sync.OnceFunc(func() { close(s.done) })
	s.http.ErrorLog = slog.NewLogLogger(newLogger(t).Handler(), slog.LevelError)
	s.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer done() // after a hijack net/http says nothing any more
		h.ServeHTTP(w, r)
	})
	s.http.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.accepted = true // on the goroutine of Serve
		case http.StateClosed:
			done()
		}
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(s.listener) // http.ErrServerClosed
	}()
	return s
}

// close ends the server; the client's end of the connection is closed.
func (s *httpServer) close(t testing.TB) {
	t.Helper()
	_ = s.http.Close() // closes the listener, which cannot fail
	wait(t, s.served, "the HTTP server")
	if s.accepted {
		wait(t, s.done, "the http.Handler")
	}
}
