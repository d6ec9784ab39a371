package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// patience bounds what a test outside a bubble waits for, so that it fails with a message and not by the timeout of the
// whole run. It is no statement about speed.
const patience = time.Minute

// site is a socket.Server behind a real http.Server, for tests that run outside a bubble, over memory or TCP, or that
// need an HTTP handler of their own.
type site struct {
	t    testing.TB
	sys  *actor.System
	srv  *socket.Server
	logs *logs
	dial func() (net.Conn, error)

	mu     sync.Mutex
	cond   sync.Cond
	closed []socket.Closed
	ended  int // as len(closed), also when Closed are not kept
}

// newSite makes a site that does not listen yet. cfg.System and cfg.Logger are made when they are nil; a System that was
// given is not shut down.
func newSite(t testing.TB, cfg socket.Config) *site {
	t.Helper()
	h := &site{t: t, logs: new(logs)}
	h.cond.L = &h.mu
	if cfg.Logger == nil {
		cfg.Logger = slog.New(h.logs)
	}
	own := cfg.System == nil
	if own {
		sys, err := actor.NewSystem(actor.Config{Logger: cfg.Logger})
		if err != nil {
			t.Fatalf("NewSystem: %v", err)
		}
		cfg.System = sys
	}
	h.sys = cfg.System
	next := cfg.OnClose
	cfg.OnClose = func(cl socket.Closed) {
		if next != nil {
			defer next(cl)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended++
		if len(h.closed) < 100 {
			h.closed = append(h.closed, cl)
		}
		h.cond.Broadcast()
	}
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatalf("socket.New(%+v): %v", cfg, err)
	}
	h.srv = srv
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := h.srv.Shutdown(ctx); err != nil {
			t.Errorf("Server.Shutdown: %v", err)
		}
		if !own {
			return
		}
		if err := h.sys.Shutdown(ctx); err != nil {
			t.Errorf("System.Shutdown: %v", err)
		}
	})
	return h
}

// on serves handler on ln.
func (h *site) on(ln net.Listener, handler http.Handler) {
	hs := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(h.logs, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(ln) }()
	h.t.Cleanup(func() {
		hs.Close()
		<-served
	})
}

// overMemory serves handler over memory; nil: sockets of newHandler.
func (h *site) overMemory(handler http.Handler) *site {
	ln := pipe.NewListener()
	h.on(ln, handler)
	h.dial = func() (net.Conn, error) { return ln.Dial(context.Background()) }
	return h
}

// overTCP serves handler on the loopback interface.
func (h *site) overTCP(handler http.Handler) *site {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatalf("Listen: %v", err)
	}
	h.on(ln, handler)
	h.dial = func() (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) }
	return h
}

// sockets is the http.Handler whose sockets newHandler makes.
func (h *site) sockets(newHandler func() websock.Handler) http.Handler {
	return h.srv.Handler(func(*http.Request) (websock.Handler, error) { return newHandler(), nil })
}

// memorySite and tcpSite are sites of sockets that newHandler makes.
func memorySite(t testing.TB, cfg socket.Config, newHandler func() websock.Handler) *site {
	t.Helper()
	h := newSite(t, cfg)
	return h.overMemory(h.sockets(newHandler))
}

func tcpSite(t testing.TB, cfg socket.Config, newHandler func() websock.Handler) *site {
	t.Helper()
	h := newSite(t, cfg)
	return h.overTCP(h.sockets(newHandler))
}

// shake connects and asks for an upgrade. The client is nil when it was refused.
func (h *site) shake(o rawclient.HandshakeOptions) (*rawclient.Client, *http.Response, error) {
	conn, err := h.dial()
	if err != nil {
		return nil, nil, fmt.Errorf("dial: %w", err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	c, resp, err := rawclient.Handshake(conn, o)
	if c == nil {
		conn.Close()
	}
	return c, resp, err
}

// connect is shake for an upgrade that succeeds. The connection is closed with the test.
func (h *site) connect(o rawclient.HandshakeOptions) *rawclient.Client {
	h.t.Helper()
	c, resp, err := h.shake(o)
	if c == nil {
		h.t.Fatalf("handshake %+v: response %+v, error %v", o, resp, err)
	}
	h.t.Cleanup(func() { c.Conn().Close() })
	return c
}

// refused is shake for an upgrade that is refused; it returns the response and its body.
func (h *site) refused(o rawclient.HandshakeOptions) (*http.Response, string) {
	h.t.Helper()
	c, resp, err := h.shake(o)
	if c != nil {
		c.Conn().Close()
		h.t.Fatalf("handshake %+v: got a socket, want a refusal", o)
	}
	if resp == nil {
		h.t.Fatalf("handshake %+v: no response: %v", o, err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

// wantEnds waits until n sockets have ended since the site was made.
func (h *site) wantEnds(n int) {
	h.t.Helper()
	h.waitFor(fmt.Sprintf("%d OnClose", n), func() bool { return h.ended >= n })
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended != n {
		h.t.Fatalf("OnClose was called %d times, want %d", h.ended, n)
	}
}

// waitFor waits until ok, which is called with h.mu held and is looked at whenever a socket has ended.
func (h *site) waitFor(what string, ok func() bool) {
	h.t.Helper()
	late := false
	stop := time.AfterFunc(patience, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		late = true
		h.cond.Broadcast()
	})
	defer stop.Stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	for !ok() {
		if late {
			h.t.Fatalf("waiting for %s: got %d OnClose, %d sockets, nothing more within %v", what, h.ended, h.srv.Count(), patience)
		}
		h.cond.Wait()
	}
}

// ends is what OnClose got so far.
func (h *site) ends() []socket.Closed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]socket.Closed(nil), h.closed...)
}

// wantEmpty fails the test when the site has a socket or its System a process.
func (h *site) wantEmpty() {
	h.t.Helper()
	if n := h.srv.Count(); n != 0 {
		h.t.Errorf("Server.Count: got %d, want 0", n)
	}
	for p := range h.sys.Processes() {
		h.t.Errorf("process left: %+v", p)
	}
}

// wantEcho sends a text and reads exactly it back.
func wantEcho(t testing.TB, c *rawclient.Client, s string) {
	t.Helper()
	if err := c.Text(s); err != nil {
		t.Fatalf("send %q: %v", s, err)
	}
	wantMessage(t, c, rawclient.OpText, s)
}

// wantMessage reads exactly this message.
func wantMessage(t testing.TB, c *rawclient.Client, opcode byte, payload string) {
	t.Helper()
	op, p, err := c.ReadMessage()
	if err != nil || op != opcode || string(p) != payload {
		t.Fatalf("got opcode %#x, %d bytes %.60q, error %v; want opcode %#x, %d bytes %.60q",
			op, len(p), p, err, opcode, len(payload), payload)
	}
}

// wantClosed reads a Close frame with this code and any reason, then the end of the stream. Code 0: an empty one.
func wantClosed(t testing.TB, c *rawclient.Client, code uint16) {
	t.Helper()
	op, p, err := c.ReadMessage()
	if err != nil || op != rawclient.OpClose {
		t.Fatalf("got opcode %#x, payload %.60q, error %v; want Close %d", op, p, err, code)
	}
	if got := codeOf(p); got != code {
		t.Fatalf("got Close %d, want Close %d", got, code)
	}
	if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the Close: got %v, error %v, want io.EOF", f, err)
	}
}

// codeOf is the code in a Close payload; 0: none.
func codeOf(p []byte) uint16 {
	if len(p) < 2 {
		return 0
	}
	return uint16(p[0])<<8 | uint16(p[1])
}

// goodbye closes a socket from its peer's side and reads the answer.
func goodbye(t testing.TB, c *rawclient.Client) {
	t.Helper()
	if err := c.Close(1000, ""); err != nil {
		t.Fatalf("send Close: %v", err)
	}
	wantClosed(t, c, 1000)
	c.Conn().Close()
}

// background runs f on a goroutine that the test waits for.
func background(t testing.TB, f func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	t.Cleanup(wg.Wait)
}

// directWriter is an http.ResponseWriter of a server that is not net/http: it gives its connection away, with nothing around.
type directWriter struct {
	conn   net.Conn
	header http.Header
}

func (w *directWriter) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *directWriter) WriteHeader(int) {}

func (w *directWriter) Write(p []byte) (int, error) { return len(p), nil }

func (w *directWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}
