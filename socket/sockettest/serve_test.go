package sockettest_test

import (
	"bufio"
	"context"
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
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func TestServe_pid(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		h := &handler{init: func(ctx context.Context) websock.Result { return websock.Push(text(actor.Self(ctx).String())) }}
		c := sockettest.Serve(t, socket.Config{}, h)
		c.Want(text(c.PID.String()))
		c.PID.Send(text("fastlane"))
		c.Want(text("fastlane"))
	})
}

// The end of the test ends the socket in order, and waits for it.
func TestServe_end(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		var reason error
		var closed socket.Closed
		h := echo()
		h.terminate = func(err error) { reason = err }
		passes(t, func(t testing.TB) {
			sockettest.Serve(t, socket.Config{OnClose: func(c socket.Closed) { closed = c }}, h)
		})
		if !errors.Is(reason, websock.ErrShutdown) {
			t.Errorf("Terminate: got %v, want ErrShutdown", reason)
		}
		want := websock.CloseDetail{Code: 1001}
		if closed.Sent == nil || closed.Received == nil || *closed.Sent != want || *closed.Received != want {
			t.Errorf("Close frames: sent %v, received %v; want %v twice", closed.Sent, closed.Received, want)
		}
	})
}

func TestServe_subprotocol(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		h := &handler{init: func(ctx context.Context) websock.Result { return websock.Push(text(socket.Info(ctx).Subprotocol)) }}
		sockettest.Serve(t, socket.Config{Subprotocols: []string{"v2", "v1"}}, h).Want(text("v2"))
	})
}

// A System of the test's own goes on.
func TestServe_system(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		ctx, process := sockettest.NewProcess(t, sys)
		var pid actor.PID
		passes(t, func(t testing.TB) {
			pid = sockettest.Serve(t, socket.Config{System: sys}, echo()).PID
			actor.Monitor(ctx, pid)
		})
		if pid.Alive() || !actor.Self(ctx).Alive() {
			t.Errorf("after the test: socket alive %v, process alive %v; want false, true", pid.Alive(), actor.Self(ctx).Alive())
		}
		synctest.Wait()
		got := process.Messages()
		if down, ok := got[0].(actor.Down); len(got) != 1 || !ok || down.PID != pid {
			t.Errorf("got %v, want Down of %v", got, pid)
		}
	})
}

func TestServe_failures(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			sockettest.Serve(t, socket.Config{MaxMessageSize: -1, Compression: socket.Compression{Level: 99}}, echo())
		},
			"sockettest: Serve: socket: ", "Level")
		failsWith(t, func(t testing.TB) {
			sys := sockettest.NewSystem(t)
			if err := sys.Shutdown(context.Background()); err != nil {
				t.Fatalf("Shutdown: %v", err)
			}
			sockettest.Serve(t, socket.Config{System: sys}, echo())
		}, "Serve: the upgrade was refused: got 503 Service Unavailable: ", "want 101")
	})
}

// A callback that does not return fails the test, when the server gives it up.
func TestServe_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{in: func(context.Context, websock.Message) websock.Result { <-release; return websock.OK() }}
		failsWith(t, func(t testing.TB) {
			c := sockettest.Serve(t, socket.Config{ShutdownTimeout: 1 << 60}, h)
			c.Send(text("a"))
			synctest.Wait()
		}, "at the end of the test: socket: shutdown: 1 sockets killed")
		close(release)
	})
}

func newServer(t testing.TB, cfg socket.Config) *socket.Server {
	cfg.System = sockettest.NewSystem(t)
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatalf("socket.New: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return srv
}

// serveEcho upgrades /ws and leaves a header.
func serveEcho(t testing.TB) http.Handler {
	mux := http.NewServeMux()
	sockets := newServer(t, socket.Config{Subprotocols: []string{"v1"}}).Handler(func(r *http.Request) (websock.Handler, error) {
		if r.FormValue("user") == "eve" {
			return nil, &socket.UpgradeError{Status: http.StatusForbidden, Header: http.Header{"X-Why": {"eve"}}}
		}
		h := echo()
		h.init = func(context.Context) websock.Result {
			return websock.Push(text(r.Host + " " + r.Header.Get("X-Token")))
		}
		return h, nil
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Middleware", "seen")
		sockets.ServeHTTP(w, r)
	})
	return mux
}

func TestDial(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		h := serveEcho(t)
		c, resp := sockettest.Dial(t, h, nil)
		c.Want(text("example.com "))
		c.Send(text("a"))
		c.Want(text("a"))
		if got := resp.Header.Get("X-Middleware"); resp.StatusCode != 101 || got != "seen" {
			t.Errorf("Dial(nil): got status %d, X-Middleware %q; want 101, seen", resp.StatusCode, got)
		}

		r := httptest.NewRequest("GET", "http://chat.example/ws?user=bob", nil)
		r.Header.Set("X-Token", "secret")
		r.Header.Set("Sec-WebSocket-Protocol", "v1")
		c, resp = sockettest.Dial(t, h, r)
		c.Want(text("chat.example secret"))
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "v1" {
			t.Errorf("Sec-WebSocket-Protocol: got %q, want v1", got)
		}
	})
}

func TestDial_refused(t *testing.T) {
	request := func(method, url string, set func(http.Header)) *http.Request {
		r := httptest.NewRequest(method, url, strings.NewReader("a body is not sent"))
		if set != nil {
			set(r.Header)
		}
		return r
	}
	for name, tt := range map[string]struct {
		r      *http.Request
		status int
		body   string
		header http.Header
	}{
		"no such route":  {request("GET", "/elsewhere", nil), 404, "404 page not found\n", nil},
		"method":         {request("POST", "/ws", nil), 405, "", nil},
		"newHandler":     {request("GET", "/ws?user=eve", nil), 403, "Forbidden\n", http.Header{"X-Why": {"eve"}}},
		"foreign origin": {request("GET", "/ws", func(h http.Header) { h.Set("Origin", "https://evil.example") }), 403, "", nil},
		"field left out": {request("GET", "/ws", func(h http.Header) { h["Upgrade"] = nil }), 426, "", nil},
		"field replaced": {request("GET", "/ws", func(h http.Header) { h.Set("Sec-WebSocket-Version", "12") }), 426, "", http.Header{"Sec-Websocket-Version": {"13"}}},
		"literal":        {&http.Request{Header: http.Header{}}, 404, "404 page not found\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T) {
				passes(t, func(t testing.TB) {
					c, resp := sockettest.Dial(t, serveEcho(t), tt.r)
					body, err := io.ReadAll(resp.Body)
					if c != nil || resp.StatusCode != tt.status || err != nil || tt.body != "" && string(body) != tt.body {
						t.Errorf("got %v, status %d, body %q, %v; want nil, %d, %q", c, resp.StatusCode, body, err, tt.status, tt.body)
					}
					for k, want := range tt.header {
						if got := resp.Header.Values(k); len(got) != 1 || got[0] != want[0] {
							t.Errorf("%s: got %q, want %q", k, got, want)
						}
					}
				})
			})
		})
	}
}

// badServer answers 101 and then writes p.
func badServer(p []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, brw := accept(w, r)
		_, _ = conn.Write(p)
		drain(conn, brw.Reader)
	})
}

// accept answers 101 and leaves the connection to the caller.
func accept(w http.ResponseWriter, r *http.Request) (net.Conn, *bufio.ReadWriter) {
	conn, brw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = brw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + rawclient.Accept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n")
	_ = brw.Flush()
	return conn, brw
}

func drain(conn net.Conn, r *bufio.Reader) {
	_, _ = io.Copy(io.Discard, r)
	_ = conn.Close()
}

// A server that breaks the protocol fails the test, whether the test looks or not, and once.
func TestDial_badServer(t *testing.T) {
	masked := badServer([]byte{0x81, 0x81, 0, 0, 0, 0, 'a'})
	everywhere(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			c, _ := sockettest.Dial(t, masked, nil)
			c.Next()
		}, "Next: got a breach of the protocol: ", "a masked frame", "want a message")
		failsWith(t, func(t testing.TB) {
			c, _ := sockettest.Dial(t, masked, nil)
			c.WantNothing(time.Hour)
		}, "got a breach of the protocol: ", "a masked frame")
	})
	synctest.Test(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			c, _ := sockettest.Dial(t, badServer([]byte{0x88, 0, 0x81, 0x01, 'a'}), nil)
			c.WantClose(websock.CloseNoStatus, "")
			synctest.Wait()
		}, "got a breach of the protocol: ", "a byte after the Close frame")
	})
}

// An end inside a frame is an end, too.
func TestConn_WantDropped_insideAFrame(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c, _ := sockettest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, brw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = brw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Accept: " + rawclient.DefaultAccept + "\r\n\r\n\x81\x05He")
			_ = brw.Flush()
			_ = conn.Close()
		}), nil)
		c.WantDropped()
	})
}

func TestDial_noAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		bad := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Upgrade", "h2c")
			w.WriteHeader(http.StatusSwitchingProtocols)
		})
		failsWith(t, func(t testing.TB) { sockettest.Dial(t, bad, nil) }, "GET /ws: no valid answer", "handshake: ")
		fake := run(t, func(t testing.TB) {
			sockettest.Dial(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") }), nil)
		})
		if len(fake.failures) != 1 || !strings.Contains(fake.failures[0], "no valid answer") ||
			!strings.Contains(strings.Join(fake.logs, "\n"), "panic serving pipe:1: oops") {
			t.Errorf("a handler that panics: failures %q, log %q", fake.failures, fake.logs)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			sockettest.Dial(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
		}, "no valid answer within 168h0m0s")
	})
}

// A handler that never returns fails the test.
func TestDial_stuckHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		failsWith(t, func(t testing.TB) {
			c, _ := sockettest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				badServer(nil).ServeHTTP(w, r)
				<-release
			}), nil)
			c.WantNothing(time.Second)
		}, "the http.Handler has not ended 168h0m0s after the test")
		close(release)
	})
}
