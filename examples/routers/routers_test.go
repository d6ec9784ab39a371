package routers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/coder/websocket"

	"github.com/troupe-dev/troupe/examples/routers"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// patience bounds what a broken server could make a test wait for. The tests run over real TCP, because
// net/http's Hijack and the routers' writers are what they are about.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for end := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > before; {
		if time.Now().After(end) {
			fmt.Println("FAIL: goroutines are left")
			_ = pprof.Lookup("goroutine").WriteTo(os.Stdout, 1)
			code = 1
		}
		time.Sleep(time.Millisecond)
	}
	os.Exit(code)
}

var mounts = map[string]func(ws http.Handler) http.Handler{
	"net/http": routers.NetHTTP,
	"chi":      routers.Chi,
	"echo":     routers.Echo,
	"echo4":    routers.Echo4,
	"gin":      routers.Gin,
}

// wrappers put a middleware with a ResponseWriter of its own between the router and the sockets.
var wrappers = map[string]func(w http.ResponseWriter) http.ResponseWriter{
	"no writer":          func(w http.ResponseWriter) http.ResponseWriter { return w },
	"writer with Unwrap": func(w http.ResponseWriter) http.ResponseWriter { return unwrapped{w} },
	"writer with Hijack": func(w http.ResponseWriter) http.ResponseWriter { return hijackable{w, w.(http.Hijacker)} },
}

// unwrapped is the ResponseWriter of a middleware written since Go 1.20.
type unwrapped struct{ http.ResponseWriter }

func (w unwrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hijackable is the ResponseWriter of a middleware written before.
type hijackable struct {
	http.ResponseWriter
	http.Hijacker
}

func TestRouters(t *testing.T) {
	for router, mount := range mounts {
		for wrapper, wrap := range wrappers {
			for _, scheme := range []string{"http", "https"} {
				t.Run(fmt.Sprintf("%s, %s, %s", router, wrapper, scheme), func(t *testing.T) {
					t.Parallel()
					sockets, closed := newServer(t)
					ws := sockets.Handler(newParrot)
					srv := listen(t, scheme, mount(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						ws.ServeHTTP(wrap(w), r)
					})))

					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					conn, resp, err := client.Dial(ctx, srv.URL+"/ws", &client.DialOptions{HTTPClient: srv.Client()})
					if err != nil {
						t.Fatalf("Dial: %v", err)
					}
					defer conn.CloseNow()
					checkHeaders(t, resp, router)

					for _, m := range []struct {
						typ  client.MessageType
						data string
					}{{client.MessageText, "héllo"}, {client.MessageBinary, "\x00\xff"}, {client.MessageText, strings.Repeat("long ", 20_000)}} {
						if err := conn.Write(ctx, m.typ, []byte(m.data)); err != nil {
							t.Fatalf("Write: %v", err)
						}
						conn.SetReadLimit(int64(len(m.data)))
						typ, data, err := conn.Read(ctx)
						if err != nil || typ != m.typ || string(data) != m.data {
							t.Fatalf("echo of %v %.20q = %v %.20q, %v", m.typ, m.data, typ, data, err)
						}
					}
					if n := sockets.Count(); n != 1 {
						t.Errorf("Count() = %d while one client is connected", n)
					}
					if err := conn.Close(client.StatusNormalClosure, "bye"); err != nil {
						t.Errorf("Close: %v", err)
					}

					select {
					case c := <-closed:
						var remote *websock.RemoteCloseError
						if !errors.As(c.Reason, &remote) || remote.Code != websock.CloseNormal || remote.Reason != "bye" {
							t.Errorf("exit reason = %v, want the client's close 1000 bye", c.Reason)
						}
					case <-ctx.Done():
						t.Fatal("OnClose was not called")
					}
					if n := sockets.Count(); n != 0 {
						t.Errorf("Count() = %d after the only client left", n)
					}
				})
			}
		}
	}
}

func TestRouters_refuse(t *testing.T) {
	for router, mount := range mounts {
		t.Run(router, func(t *testing.T) {
			t.Parallel()
			sockets, _ := newServer(t)
			srv := listen(t, "http", mount(sockets.Handler(func(*http.Request) (websock.Handler, error) {
				return nil, &socket.UpgradeError{Status: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {"Bearer"}}}
			})))

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, resp, err := client.Dial(ctx, srv.URL+"/ws", &client.DialOptions{HTTPClient: srv.Client()})
			if err == nil {
				conn.CloseNow()
				t.Fatal("Dial succeeded")
			}
			if resp == nil || resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Fatalf("response = %+v, want 401 with WWW-Authenticate: Bearer; Dial: %v", resp, err)
			}
			checkHeaders(t, resp, router)

			resp, err = srv.Client().Get(srv.URL + "/ws")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusUpgradeRequired {
				t.Errorf("status of a request that asks for no upgrade = %d, want 426", resp.StatusCode)
			}
		})
	}
}

func TestRouters_shutdown(t *testing.T) {
	for router, mount := range mounts {
		t.Run(router, func(t *testing.T) {
			t.Parallel()
			sockets, closed := newServer(t)
			srv := listen(t, "http", mount(sockets.Handler(newParrot)))

			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			conn, _, err := client.Dial(ctx, srv.URL+"/ws", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.CloseNow()
			read := make(chan error, 1)
			go func() { _, _, err := conn.Read(ctx); read <- err }()

			if err := sockets.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if err := <-read; client.CloseStatus(err) != client.StatusGoingAway {
				t.Errorf("Read = %v, want close status 1001", err)
			}
			if c := <-closed; !errors.Is(c.Reason, websock.ErrShutdown) {
				t.Errorf("exit reason = %v, want ErrShutdown", c.Reason)
			}
			_, resp, err := client.Dial(ctx, srv.URL+"/ws", nil)
			if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("Dial after Shutdown = %+v, %v, want 503", resp, err)
			}
		})
	}
}

func checkHeaders(t *testing.T, resp *http.Response, router string) {
	t.Helper()
	if got := resp.Header.Get("X-Router"); got != router {
		t.Errorf("X-Router of the %d = %q, want %q", resp.StatusCode, got, router)
	}
	cookies := resp.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "session" || cookies[0].Value != "4711" {
		t.Errorf("cookies of the %d = %v, want session=4711", resp.StatusCode, cookies)
	}
}

// newServer returns a server, and where it tells of sockets that ended.
func newServer(t *testing.T) (*socket.Server, <-chan socket.Closed) {
	t.Helper()
	closed := make(chan socket.Closed, 2)
	var calls atomic.Int32
	sockets, err := socket.New(socket.Config{OnClose: func(c socket.Closed) { calls.Add(1); closed <- c }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := sockets.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := calls.Load(); n > 1 {
			t.Errorf("OnClose was called %d times for one socket", n)
		}
	})
	return sockets, closed
}

// listen starts a server that may not log anything: net/http complains there when a router writes to a
// connection that was hijacked.
func listen(t *testing.T, scheme string, h http.Handler) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	var complaints buffer
	srv.Config.ErrorLog = log.New(&complaints, "", 0)
	if scheme == "https" {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(func() {
		srv.Close()
		if s := complaints.String(); s != "" {
			t.Errorf("net/http complains: %s", s)
		}
	})
	return srv
}

// A buffer may be written and read by several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A parrot says what it hears.
type parrot struct{}

func newParrot(*http.Request) (websock.Handler, error) { return parrot{}, nil }

func (parrot) Init(context.Context) websock.Result { return websock.OK() }

func (parrot) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	return websock.Push(msg)
}

func (parrot) HandleInfo(context.Context, any) websock.Result { return websock.OK() }
