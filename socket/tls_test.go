package socket_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// overTLS serves handler with TLS, by httptest, over memory.
func (h *site) overTLS(handler http.Handler) *site { return h.overTLSFor(handler, tls.VersionTLS13) }

// overTLSFor is overTLS with this version of TLS.
func (h *site) overTLSFor(handler http.Handler, version uint16) *site {
	ln := pipe.NewListener()
	h.onTLS(ln, handler)
	h.dial = func() (net.Conn, error) {
		conn, err := ln.Dial(h.t.Context())
		if err != nil {
			return nil, err
		}
		return clientOf(conn, version), nil
	}
	return h
}

// onTLS serves handler with TLS, by httptest, on ln.
func (h *site) onTLS(ln net.Listener, handler http.Handler) {
	ts := httptest.NewUnstartedServer(handler)
	ts.Listener.Close()
	ts.Listener = ln
	ts.StartTLS()
	h.t.Cleanup(ts.Close)
}

// clientOf is the client's end of TLS over conn.
func clientOf(conn net.Conn, version uint16) *tls.Conn {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: version, NextProtos: []string{"http/1.1"}})
}

func TestTLS(t *testing.T) {
	newSecure := func(t *testing.T, cfg socket.Config, newHandler func() websock.Handler) *site {
		h := newSite(t, cfg)
		return h.overTLS(h.sockets(newHandler))
	}
	newEcho := func() websock.Handler { return echo() }
	bubble(t, "echo and the peer's Close", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		for _, n := range []int{0, 1, 125, 126, 4000, 16_384, 65_535, 65_536, 1_000_000} {
			p := strings.Repeat("x", n)
			wrote := make(chan error, 1)
			go func() { wrote <- c.Text(p) }()
			wantMessage(t, c, rawclient.OpText, p)
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
		}
		c.Ping([]byte("ping"))
		wantMessage(t, c, rawclient.OpPong, "ping")
		if err := c.Close(1000, ""); err != nil {
			t.Fatal(err)
		}
		wantClosed(t, c, 1000) // io.EOF: a close_notify has come, not just the end of TCP
		c.Conn().Close()
		h.wantEnds(1)
	})
	bubble(t, "our Close", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		start := time.Now()
		h.idOf().Exit(&websock.CloseError{Code: 4001, Reason: "bye"})
		wantClosed(t, c, 4001)
		if time.Since(start) != 0 {
			t.Errorf("our close_notify came after %v", time.Since(start))
		}
		time.Sleep(time.Second)
		c.Close(4001, "") // still read
		h.wantEnds(1)
		if d := time.Since(start); d != time.Second {
			t.Errorf("ended after %v, want 1s, with the peer's Close", d)
		}
		if end := h.ends()[0]; end.Received == nil || end.Received.Code != 4001 {
			t.Errorf("Received: got %v, want 4001", end.Received)
		}
	})
	bubble(t, "our Close, never answered", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		start := time.Now()
		h.idOf().Exit(actor.ErrNormal)
		h.wantEnds(1)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("ended after %v, want CloseTimeout, 5s", d)
		}
		wantClosed(t, c, 1000)
	})
	bubble(t, "too big, while the client writes", func(t *testing.T) {
		h := newSecure(t, socket.Config{MaxMessageSize: 1000}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		wrote := make(chan error, 1)
		go func() { wrote <- c.Binary(make([]byte, 4<<20)) }()
		if err := <-wrote; err != nil {
			t.Errorf("the client cannot finish writing: %v", err)
		}
		wantClosed(t, c, 1009)
		c.Conn().Close()
		h.wantEnds(1)
	})
	bubble(t, "bytes that trickle", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		for _, b := range masked(text("slow"), part(1, "slo"), msg(9, "p"), msg(0, "wer")) {
			c.WriteBytes([]byte{b}) // a TLS record each
			time.Sleep(time.Second)
		}
		wantMessage(t, c, rawclient.OpText, "slow")
		wantMessage(t, c, rawclient.OpPong, "p")
		wantMessage(t, c, rawclient.OpText, "slower")
		goodbye(t, c)
	})
	bubble(t, "a peer that does not read", func(t *testing.T) {
		h := newSecure(t, socket.Config{WriteTimeout: 3 * time.Second}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		other := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		start := time.Now()
		background(t, func() {
			for range 100 {
				if c.Binary(make([]byte, 8<<10)) != nil {
					return
				}
			}
		})
		time.Sleep(time.Second)
		wantEcho(t, other, "still here")
		h.wantEnds(1)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("ended after %v, want WriteTimeout, 3s", d)
		}
		if end := h.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) {
			t.Errorf("exit reason: got %v, want ErrRemote", end.Reason)
		}
		wantEcho(t, other, "still here")
		goodbye(t, other)
	})
	bubble(t, "a peer that does not read, and a kill", func(t *testing.T) {
		// TCP is closed at once, without the five seconds that crypto/tls gives its close_notify.
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		pid := h.idOf()
		for range 50 {
			pid.Send(websock.Binary(make([]byte, 8<<10)))
		}
		time.Sleep(time.Second)
		start := time.Now()
		pid.Exit(actor.ErrKilled)
		h.wantEnds(1)
		if d := time.Since(start); d != 0 {
			t.Errorf("killed after %v, want at once", d)
		}
		for err := error(nil); err == nil; {
			_, err = c.ReadFrame()
		}
	})
	bubble(t, "TCP gone without close_notify", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{})
		wantEcho(t, c, "hello")
		c.Conn().(*tls.Conn).NetConn().Close()
		h.wantEnds(1)
		if end := h.ends()[0]; !errors.Is(end.Reason, websock.ErrRemote) || !errors.Is(end.Reason, io.EOF) {
			t.Errorf("exit reason: got %v, want ErrRemote that wraps io.EOF", end.Reason)
		}
	})
	bubble(t, "Shutdown", func(t *testing.T) {
		h := newSecure(t, socket.Config{}, newEcho)
		for range 20 {
			c := h.connect(rawclient.HandshakeOptions{Deflate: true})
			background(t, func() { wantClosed(t, c, 1001); c.Close(1001, "") })
		}
		synctest.Wait()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.wantEnds(20)
	})
	bubble(t, "pipelined frames after the request, compressed", func(t *testing.T) {
		h := newSecure(t, socket.Config{Compression: socket.Compression{On: true}}, newEcho)
		c := h.connect(rawclient.HandshakeOptions{Deflate: true, Extra: bytes.Repeat(masked(compressed(1, thousandA)), 50)})
		for range 50 {
			wantMessage(t, c, rawclient.OpText, strings.Repeat("a", 1000))
		}
		goodbye(t, c)
	})
}

// HTTP/2 has no upgrade: the request is refused in HTTP/2, and the connection serves on. A real
// network, because that is what httptest's HTTP/2 client uses.
func TestTLS_refusesHTTP2(t *testing.T) {
	h := newSite(t, socket.Config{})
	ts := httptest.NewUnstartedServer(h.sockets(func() websock.Handler { return echo() }))
	ts.EnableHTTP2 = true
	ts.StartTLS()
	defer ts.Close()
	for range 2 {
		r, err := http.NewRequest("GET", ts.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", rawclient.DefaultKey)
		resp, err := ts.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != 505 || !strings.Contains(string(body), "HTTP/2.0") {
			t.Errorf("got %s %d %q, want 505 that names HTTP/2.0, in HTTP/2", resp.Proto, resp.StatusCode, body)
		}
	}
	h.wantEmpty()
}
