package sockettest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// attempt is what a client's attempt to connect has led to.
type attempt struct {
	client *rawclient.Client // nil: refused, or no answer
	resp   *http.Response
	err    error
}

// connect connects as HTTP does, with a client written by hand. The result comes when the test has answered.
func connect(t testing.TB, s *sockettest.Server, o rawclient.HandshakeOptions) (*pipe.Conn, <-chan attempt) {
	t.Helper()
	conn, err := s.HTTP.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "server.test:80")
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	done := make(chan attempt, 1)
	go func() {
		var a attempt
		a.client, a.resp, a.err = rawclient.Handshake(conn, o)
		done <- a
	}()
	return conn.(*pipe.Conn), done
}

// upgraded is both ends of a connection; resp is what the client got.
func upgraded(t testing.TB, o rawclient.HandshakeOptions, h http.Header, first ...websock.Message) (*sockettest.Conn, *rawclient.Client) {
	t.Helper()
	s := sockettest.NewServer(t)
	_, done := connect(t, s, o)
	c := s.Accept().Upgrade(h, first...)
	a := <-done
	if a.client == nil {
		t.Fatalf("handshake: response %v, error %v", a.resp, a.err)
	}
	return c, a.client
}

func TestServer_Accept(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		s := sockettest.NewServer(t)
		_, done := connect(t, s, rawclient.HandshakeOptions{Path: "/ws?room=1", Header: http.Header{"Authorization": {"Bearer x"}}})
		a := s.Accept()
		if got := a.Request.URL.String() + " " + a.Request.Header.Get("Authorization"); got != "/ws?room=1 Bearer x" {
			t.Errorf("Request: got %q", got)
		}
		h := http.Header{"X-Served-By": {"a"}}
		c := a.Upgrade(h)
		got := <-done
		if got.client == nil || got.resp.Header.Get("X-Served-By") != "a" {
			t.Fatalf("the client: response %v, error %v; want 101 with X-Served-By", got.resp, got.err)
		}
		got.client.Text("hello")
		c.Want(text("hello"))
		c.Send(text("one"), websock.Binary([]byte("two")))
		for _, want := range []string{"one", "two"} {
			if _, p, err := got.client.ReadMessage(); string(p) != want || err != nil {
				t.Errorf("the client read %q, %v; want %q", p, err, want)
			}
		}
		got.client.Ping([]byte("p"))
		if op, p, err := got.client.ReadMessage(); op != rawclient.OpPong || string(p) != "p" || err != nil {
			t.Errorf("after a ping the client read %d %q, %v; want the pong", op, p, err)
		}
	})
}

// A real net/http client gets there by URL and HTTP, and its request is what Accept returns.
func TestServer_HTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sockettest.NewServer(t)
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http"+strings.TrimPrefix(s.URL, "ws"), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rawclient.DefaultKey}}
		done := make(chan string, 1)
		go func() {
			resp, err := s.HTTP.Do(r)
			if err != nil {
				done <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			done <- resp.Status + ", retry after " + resp.Header.Get("Retry-After") + ": " + string(body)
			if err != nil {
				t.Errorf("body: %v", err)
			}
		}()
		a := s.Accept()
		if a.Request.Host != "server.test" || a.Request.URL.Path != "/ws" {
			t.Errorf("request for %s%s, want server.test/ws", a.Request.Host, a.Request.URL.Path)
		}
		a.Refuse(503, http.Header{"Retry-After": {"7"}})
		if got, want := <-done, "503 Service Unavailable, retry after 7: Service Unavailable\n"; got != want {
			t.Errorf("the client got %q, want %q", got, want)
		}
	})
}

// The first messages come with the 101, in one piece.
func TestAttempt_Upgrade_first(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sockettest.NewServer(t)
		conn, err := s.HTTP.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: server.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: " + rawclient.DefaultKey + "\r\n\r\n"))
		s.Accept().Upgrade(nil, text("a"), text("b"))
		p := make([]byte, 1000)
		n, err := conn.Read(p)
		if want := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-Websocket-Accept: " + rawclient.DefaultAccept +
			"\r\nUpgrade: websocket\r\n\r\n\x81\x01a\x81\x01b"; string(p[:n]) != want || err != nil {
			t.Errorf("the client read at once %q, %v; want %q", p[:n], err, want)
		}
	})
}

// Fields of a 101 can be replaced and left out, so that it is a wrong one.
func TestAttempt_Upgrade_wrong(t *testing.T) {
	for name, tt := range map[string]struct {
		h    http.Header
		want string
	}{
		"another Accept": {http.Header{"Sec-WebSocket-Accept": {"x"}}, "Sec-WebSocket-Accept is"},
		"no Upgrade":     {http.Header{"Upgrade": nil}, "Upgrade is"},
		"not offered":    {http.Header{"Sec-WebSocket-Protocol": {"v9"}}, "Sec-WebSocket-Protocol is"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := sockettest.NewServer(t)
			_, done := connect(t, s, rawclient.HandshakeOptions{})
			s.Accept().Upgrade(tt.h)
			if a := <-done; a.client != nil || a.err == nil || !strings.Contains(a.err.Error(), tt.want) {
				t.Errorf("%s: the client got %v, %v; want that it refuses the 101: %s", name, a.resp, a.err, tt.want)
			}
		})
	}
}

func TestAttempt_Upgrade_compressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		c, client := upgraded(t, rawclient.HandshakeOptions{Offer: answer}, http.Header{"Sec-WebSocket-Extensions": {answer}})
		long := strings.Repeat("again and ", 1000)
		for range 2 {
			client.Write(rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: rawclient.OpText, Payload: rawclient.Deflate([]byte(long))})
			c.Want(text(long))
		}
	})
}

// The attempts that get no answer, or none that can be understood.
func TestAttempt_noAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(a *sockettest.Attempt)
		want func(p string, err error) bool
	}{
		"hangs":   {func(*sockettest.Attempt) {}, func(p string, err error) bool { return p == "" && isTimeout(err) }},
		"garbage": {func(a *sockettest.Attempt) { a.SendRaw([]byte("220 ")); a.SendRaw([]byte("smtp\r\n")) }, func(p string, err error) bool { return p == "220 smtp\r\n" && isTimeout(err) }},
		"dropped": {(*sockettest.Attempt).Drop, func(p string, err error) bool { return p == "" && errors.Is(err, syscall.ECONNRESET) }},
		"half, and then dropped": {func(a *sockettest.Attempt) { a.SendRaw([]byte("HTTP/1.1 101")); synctest.Wait(); a.Drop() },
			func(p string, err error) bool { return p == "HTTP/1.1 101" && errors.Is(err, syscall.ECONNRESET) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := sockettest.NewServer(t)
			conn, err := s.HTTP.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: server.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
				"Sec-WebSocket-Key: " + rawclient.DefaultKey + "\r\n\r\n"))
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			read := make(chan struct{})
			var p []byte
			go func() {
				p, err = io.ReadAll(conn)
				close(read)
			}()
			tt.do(s.Accept())
			<-read
			if !tt.want(string(p), err) {
				t.Errorf("%s: the client read %q, %v", name, p, err)
			}
		})
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

func TestServer_Down(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sockettest.NewServer(t)
		dial := func() error {
			_, err := s.HTTP.Transport.(*http.Transport).DialContext(context.Background(), "tcp", "")
			return err
		}
		s.Down(true)
		if err := dial(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial while the server is down: %v, want ECONNREFUSED", err)
		}
		s.Down(false)
		if err := dial(); err != nil {
			t.Errorf("dial when the server is up again: %v", err)
		}
	})
}

// As the server, a Conn ends TCP first, after both Close frames, and checks that nothing comes after the client's.
func TestConn_asServer_ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := upgraded(t, rawclient.HandshakeOptions{}, nil)
		c.Close(4000, "bye")
		if op, p, err := client.ReadMessage(); op != rawclient.OpClose || string(p) != "\x0f\xa0bye" || err != nil {
			t.Errorf("the client read %d %q, %v; want the Close", op, p, err)
		}
		client.Close(4000, "")
		c.WantClose(4000, "")
		if _, err := client.ReadFrame(); err != io.EOF {
			t.Errorf("then the client read %v, want the end of TCP", err)
		}

		c, client = upgraded(t, rawclient.HandshakeOptions{}, nil)
		client.Close(1000, "done")
		c.WantClose(1000, "done")
		if op, p, err := client.ReadMessage(); op != rawclient.OpClose || string(p) != "\x03\xe8" || err != nil {
			t.Errorf("the client read %d %q, %v; want its code back", op, p, err)
		}
		if _, err := client.ReadFrame(); err != io.EOF {
			t.Errorf("then the client read %v, want the end of TCP", err)
		}

		c, client = upgraded(t, rawclient.HandshakeOptions{}, nil)
		c.Send(text("last"))
		c.CloseWrite()
		if _, p, err := client.ReadMessage(); string(p) != "last" || err != nil {
			t.Errorf("the client read %q, %v; want last", p, err)
		}
		if _, err := client.ReadFrame(); err != io.EOF {
			t.Errorf("after CloseWrite the client read %v, want the end of TCP", err)
		}
		client.Text("still")
		c.Want(text("still"))
		client.Conn().Close()
		c.WantDropped()
	})
}

// Every way to fail, and what it says.
func TestServer_failures(t *testing.T) {
	handshake := func(t testing.TB, o rawclient.HandshakeOptions) *sockettest.Server {
		s := sockettest.NewServer(t)
		connect(t, s, o)
		return s
	}
	header := func(name string, values ...string) rawclient.HandshakeOptions {
		return rawclient.HandshakeOptions{Header: http.Header{name: values}}
	}
	for name, tt := range map[string]struct {
		f    func(t testing.TB)
		want string
	}{
		"Accept, nothing": {func(t testing.TB) { sockettest.NewServer(t).Accept() }, "Accept: got no request within 168h0m0s, want one"},
		"Accept, method": {func(t testing.TB) { handshake(t, rawclient.HandshakeOptions{Method: "POST"}).Accept() },
			"Accept: got a request that is no WebSocket handshake: POST in HTTP/1.1, want GET in HTTP/1.1"},
		"Accept, HTTP/1.0": {func(t testing.TB) { handshake(t, rawclient.HandshakeOptions{Proto: "HTTP/1.0"}).Accept() }, "GET in HTTP/1.0, want GET in HTTP/1.1"},
		"Accept, Upgrade":  {func(t testing.TB) { handshake(t, header("Upgrade", "h2c")).Accept() }, `Upgrade is ["h2c"], want websocket`},
		"Accept, Connection": {func(t testing.TB) { handshake(t, header("Connection", "close")).Accept() },
			`Connection is ["close"], want Upgrade`},
		"Accept, version": {func(t testing.TB) { handshake(t, header("Sec-WebSocket-Version", "8")).Accept() }, `Sec-WebSocket-Version is ["8"], want 13`},
		"Accept, key":     {func(t testing.TB) { handshake(t, header("Sec-WebSocket-Key", "short")).Accept() }, `Sec-WebSocket-Key is ["short"], want 16 bytes in base64`},
		"Accept, no HTTP": {func(t testing.TB) {
			s := sockettest.NewServer(t)
			conn, _ := s.HTTP.Transport.(*http.Transport).DialContext(t.Context(), "tcp", "")
			conn.Write([]byte("HELO\r\n\r\n"))
			s.Accept()
		}, "Accept: got a request that is no WebSocket handshake: malformed HTTP request"},
		"WantNothing, waits": {func(t testing.TB) {
			s := handshake(t, rawclient.HandshakeOptions{})
			synctest.Wait()
			s.WantNothing(0)
		}, "WantNothing: got 1 requests, want none for 0s"},
		"WantNothing, comes": {func(t testing.TB) {
			s := sockettest.NewServer(t)
			later(t, s, time.Minute)
			s.WantNothing(time.Minute + 1)
		}, "WantNothing: got 1 requests, want none for 1m0.000000001s"},
		"answered twice": {func(t testing.TB) {
			a := handshake(t, rawclient.HandshakeOptions{}).Accept()
			a.Refuse(503, nil)
			a.Upgrade(nil)
		}, "Attempt.Upgrade after Upgrade, Refuse or Drop"},
		"SendRaw after Drop": {func(t testing.TB) {
			a := handshake(t, rawclient.HandshakeOptions{}).Accept()
			a.Drop()
			a.SendRaw(nil)
		}, "Attempt.SendRaw after Upgrade, Refuse or Drop"},
		"a client that does not mask": {func(t testing.TB) {
			c, client := upgraded(t, rawclient.HandshakeOptions{}, nil)
			client.Unmasked = true
			client.Text("a")
			c.Next()
		}, "Next: got a breach of the protocol: rawclient: bad peer: a frame without mask"},
		"a client that sends on, and nobody looks": {func(t testing.TB) {
			_, client := upgraded(t, rawclient.HandshakeOptions{}, nil)
			client.Close(1000, "")
			client.Text("late")
			synctest.Wait()
		}, "got a breach of the protocol: rawclient: bad peer: a byte after the Close frame"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { failsWith(t, tt.f, "sockettest: ", tt.want) })
		})
	}
}

// later connects after d.
func later(t testing.TB, s *sockettest.Server, d time.Duration) {
	timer := time.AfterFunc(d, func() {
		conn, err := s.HTTP.Transport.(*http.Transport).DialContext(context.Background(), "tcp", "")
		if err == nil {
			_, _ = conn.Write([]byte("GET /ws HTTP/1.1\r\nHost: server.test\r\n\r\n"))
		}
	})
	t.Cleanup(func() { timer.Stop() })
}

// What comes at the very end of the time does not count.
func TestServer_WantNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sockettest.NewServer(t)
		later(t, s, time.Minute)
		s.WantNothing(0)
		s.WantNothing(time.Minute)
	})
}

// A paused server does not read, and a client that has sent more than there is room for waits.
func TestConn_asServer_Pause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := upgraded(t, rawclient.HandshakeOptions{}, nil)
		c.Pause(100)
		sent := make(chan error, 1)
		go func() { sent <- client.Binary(make([]byte, 1000)) }()
		synctest.Wait()
		select {
		case err := <-sent:
			t.Fatalf("a server that does not read has taken 1000 bytes into 100: %v", err)
		default:
		}
		c.Resume()
		c.Want(websock.Binary(make([]byte, 1000)))
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
