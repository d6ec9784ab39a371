package handshake_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// scripted is a server whose answers are written by hand. Each connection is read up to the end of a request's head.
type scripted struct {
	client *http.Client

	mu       sync.Mutex
	conns    []net.Conn // in the order in which they were accepted
	requests []*http.Request
}

// respond is what a scripted server writes, in one Write; "": it hangs. The conn is for what comes after that.
type respond func(r *http.Request, conn net.Conn) string

// startScripted starts a scripted server on ln until the test ends, with a client that reaches it at every host.
func startScripted(t *testing.T, ln net.Listener, dial func(ctx context.Context) (net.Conn, error), config *tls.Config, a respond) *scripted {
	t.Helper()
	s := &scripted{}
	tr := &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		TLSClientConfig: config,
	}
	s.client = &http.Client{Transport: tr}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			wg.Go(func() {
				br := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(br)
					if err != nil {
						return
					}
					s.mu.Lock()
					s.requests = append(s.requests, r)
					s.mu.Unlock()
					text := a(r, conn)
					if _, err := io.WriteString(conn, text); err != nil || strings.HasPrefix(text, "HTTP/1.1 101") {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ln.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

// inMemory is a scripted server over memory.
func inMemory(t *testing.T, a respond) *scripted {
	t.Helper()
	ln := pipe.NewListener()
	return startScripted(t, ln, ln.Dial, nil, a)
}

// dial dials with the client of s, and closes what comes of it with the test.
func (s *scripted) dial(t *testing.T, ctx context.Context, url string, o handshake.DialOptions) (handshake.Dialed, error) {
	t.Helper()
	if o.HTTP == nil {
		o.HTTP = s.client
	}
	d, err := handshake.Dial(ctx, url, o)
	if err == nil {
		t.Cleanup(func() { d.Conn.Close() })
	}
	return d, err
}

func (s *scripted) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// switching is a correct 101 to r, with these lines besides, and what comes right after the head.
func switching(r *http.Request, after string, lines ...string) string {
	head := []string{"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Accept: " + rawclient.Accept(r.Header.Get("Sec-WebSocket-Key"))}
	return strings.Join(append(head, lines...), "\r\n") + "\r\n\r\n" + after
}

func right(r *http.Request, _ net.Conn) string { return switching(r, "") }

// TestDial_toOurServer has both ends of this package talk to each other, over a real net/http server.
func TestDial_toOurServer(t *testing.T) {
	for name, tt := range map[string]struct {
		server handshake.Options
		client handshake.DialOptions
		want   handshake.Dialed
	}{
		"nothing":                  {},
		"subprotocol":              {handshake.Options{Subprotocols: []string{"b", "a"}}, handshake.DialOptions{Subprotocols: []string{"a", "b"}}, handshake.Dialed{Subprotocol: "b"}},
		"no subprotocol in common": {handshake.Options{Subprotocols: []string{"b"}}, handshake.DialOptions{Subprotocols: []string{"a"}}, handshake.Dialed{}},
		"deflate":                  {handshake.Options{Compress: true}, handshake.DialOptions{Compress: true}, handshake.Dialed{Deflate: true}},
		"deflate, declined":        {handshake.Options{}, handshake.DialOptions{Compress: true}, handshake.Dialed{}},
		"deflate, not offered":     {handshake.Options{Compress: true}, handshake.DialOptions{}, handshake.Dialed{}},
	} {
		t.Run(name, func(t *testing.T) {
			dial, accepted := serve(t, tt.server, nil)
			tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
			defer tr.CloseIdleConnections()
			tt.client.HTTP = &http.Client{Transport: tr}
			got, err := handshake.Dial(t.Context(), "ws://server.test/", tt.client)
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			defer got.Conn.Close()
			a := <-accepted
			defer a.Conn.Close()
			if got.Subprotocol != tt.want.Subprotocol || got.Deflate != tt.want.Deflate || got.Early != nil {
				t.Errorf("client: got subprotocol %q, deflate %v, early %q, want %q, %v and nothing",
					got.Subprotocol, got.Deflate, got.Early, tt.want.Subprotocol, tt.want.Deflate)
			}
			if a.Subprotocol != got.Subprotocol || a.Deflate != got.Deflate {
				t.Errorf("server: subprotocol %q, deflate %v, client: %q, %v", a.Subprotocol, a.Deflate, got.Subprotocol, got.Deflate)
			}
			wantBothWays(t, got.Conn, a.Conn)
		})
	}
}

// wantBothWays writes and reads over a new connection, in both directions.
func wantBothWays(t *testing.T, a, b net.Conn) {
	t.Helper()
	for _, way := range [...]struct{ from, to net.Conn }{{a, b}, {b, a}} {
		if _, err := io.WriteString(way.from, "hello"); err != nil {
			t.Fatalf("write: %v", err)
		}
		p := make([]byte, 5)
		if _, err := io.ReadFull(way.to, p); err != nil || string(p) != "hello" {
			t.Fatalf("read: got %q, %v, want %q", p, err, "hello")
		}
	}
}

// TestDial_request checks what the server sees.
func TestDial_request(t *testing.T) {
	s := inMemory(t, right)
	header := http.Header{"Authorization": {"Bearer t"}, "X-Two": {"1", "2"}, "host": {"other.test"}, "Origin": {"https://app.test"}}
	before := header.Clone()
	d, err := s.dial(t, t.Context(), "ws://server.test/chat?x=1", handshake.DialOptions{
		Header: header, Subprotocols: []string{"a", "b"}, Compress: true,
	})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	r := s.last()
	for name, want := range map[string][]string{
		"Authorization": {"Bearer t"}, "X-Two": {"1", "2"}, "Origin": {"https://app.test"},
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Protocol":   {"a,b"},
		"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
	} {
		if got := r.Header[name]; !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if r.Host != "other.test" || r.RequestURI != "/chat?x=1" {
		t.Errorf("got host %q and URI %q, want other.test and /chat?x=1", r.Host, r.RequestURI)
	}
	if refusal := handshake.CheckRequest(r); refusal != nil {
		t.Errorf("our own server would refuse it: %v", refusal)
	}
	if d.Request.URL.Path != "/chat" || d.Request.Header.Get("Authorization") != "Bearer t" {
		t.Errorf("Dialed.Request: got %v with %v, want the request that was sent", d.Request.URL, d.Request.Header)
	}
	for name, values := range before {
		if !slices.Equal(header[name], values) || len(header) != len(before) {
			t.Errorf("the caller's header has become %v, was %v", header, before)
		}
	}
}

// overTCP and overTLS are scripted servers for which the network is real: what the kernel and TLS keep of a stream while
// a read times out cannot be had over memory.
func overTCP(t *testing.T, a respond) *scripted {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
	return startScripted(t, ln, dial, nil, a)
}

func overTLS(t *testing.T, a respond) *scripted {
	t.Helper()
	fixture := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer fixture.Close()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: fixture.TLS.Certificates})
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
	}
	config := fixture.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	return startScripted(t, ln, dial, config, a)
}

// TestDial_redirect: the client follows redirects, also to a URL of WebSockets, and the last request counts.
func TestDial_redirect(t *testing.T) {
	s := inMemory(t, func(r *http.Request, _ net.Conn) string {
		switch r.URL.Path {
		case "/old":
			return "HTTP/1.1 301 Moved Permanently\r\nLocation: ws://elsewhere.test/new\r\nContent-Length: 0\r\n\r\n"
		case "/new":
			return switching(r, "early", "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover")
		}
		return "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
	})
	d, err := s.dial(t, t.Context(), "ws://server.test/old", handshake.DialOptions{Compress: true, Header: http.Header{"Authorization": {"secret"}}})
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	if !d.Deflate || string(d.Early) != "early" || d.Request.URL.Host != "elsewhere.test" || d.Request.Header.Get("Authorization") != "" {
		t.Errorf("got %+v with request to %v, want deflate, what came early, and a request to elsewhere.test without credentials", d, d.Request.URL)
	}
	s.mu.Lock()
	peer := s.conns[len(s.conns)-1]
	s.mu.Unlock()
	wantBothWays(t, d.Conn, peer)
}

// TestDial_keptAlive: a connection on which an attempt was refused may be the one of the next attempt.
func TestDial_keptAlive(t *testing.T) {
	refused := false
	s := inMemory(t, func(r *http.Request, _ net.Conn) string {
		if !refused {
			refused = true
			return "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
		}
		return switching(r, "x")
	})
	if _, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{}); err == nil {
		t.Fatal("the first attempt: no error, want a 503")
	}
	d, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{})
	if err != nil || string(d.Early) != "x" {
		t.Fatalf("the second attempt: got %q early, error %v, want x", d.Early, err)
	}
	wantBothWays(t, d.Conn, s.conns[len(s.conns)-1])
}

// TestDial_hangs: ctx bounds the handshake, and so does the Timeout of the client.
func TestDial_hangs(t *testing.T) {
	for _, byClient := range []bool{false, true} {
		t.Run(fmt.Sprint("by the client ", byClient), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				s := inMemory(t, func(*http.Request, net.Conn) string { <-release; return "" })
				defer close(release)
				ctx, start := t.Context(), time.Now()
				if byClient {
					s.client.Timeout = time.Minute
				} else {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Minute)
					defer cancel()
				}
				_, err := s.dial(t, ctx, "ws://server.test/", handshake.DialOptions{})
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute ||
					strings.Contains(err.Error(), "Timeout 1m0s of the http.Client") != byClient {
					t.Errorf("got %v after %v, want context.DeadlineExceeded after 1m0s", err, time.Since(start))
				}
			})
		})
	}
}

// TestDial_keepsNothing: websocket.Dial makes a websocket.Conn, with a finalizer that closes. Nothing of it stays: no
// goroutine, not its buffers, and no finalizer that would close the connection.
func TestDial_keepsNothing(t *testing.T) {
	const n = 200
	s := inMemory(t, right)
	dialed := make([]handshake.Dialed, n)
	goroutines, before := runtime.NumGoroutine(), heap()
	for i := range dialed {
		var err error
		if dialed[i], err = s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{}); err != nil {
			t.Fatal(err)
		}
		dialed[i].Request = nil
	}
	for tries := 0; runtime.NumGoroutine() > goroutines; tries++ { // the two of net/http for each end by themselves
		if tries == 1_000_000 {
			t.Fatalf("%d goroutines after %d handshakes, %d before", runtime.NumGoroutine(), n, goroutines)
		}
		runtime.Gosched()
	}
	s.mu.Lock()
	s.requests = nil
	s.mu.Unlock()
	const most = 4 << 10 // bytes a connection, for what the pipe, the server and the test have; the buffers of a websocket.Conn are 8 KiB
	if per := (int64(heap()) - int64(before)) / n; per > most {
		t.Errorf("a connection keeps %d bytes, want at most %d", per, most)
	}
	for i, d := range dialed {
		if _, err := io.WriteString(d.Conn, "x"); err != nil {
			t.Fatalf("connection %d: %v; was it closed by the garbage collector?", i, err)
		}
	}
}

func TestCheckURL(t *testing.T) {
	for raw, want := range map[string]string{
		"ws://server.test": "", "wss://server.test:8443/a?b=c": "", "http://[::1]/": "", "https://u:p@server.test/": "",
		"":                      `scheme ""`,
		"server.test/ws":        `scheme ""`,
		"ftp://server.test":     `scheme "ftp"`,
		"ws:///path":            "no host",
		"ws://server.test/#x":   "a fragment",
		"ws://server.test/#":    "a fragment",
		"ws://server.test/%zz":  "invalid URL escape",
		"ws://secret\x7f.test/": "invalid control character",
	} {
		err := handshake.CheckURL(raw)
		if (want == "") != (err == nil) || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("CheckURL(%q) = %v, want %q", raw, err, want)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	for name, ok := range map[string]bool{
		"Authorization": true, "Origin": true, "Host": true, "Cookie": true, "X-Upgrade": true,
		"Sec-WebSocket-Protocol": false, "sec-websocket-extensions": false, "Sec-Websocket-Key": false, "Upgrade": false, "connection": false,
	} {
		if err := handshake.CheckHeader(http.Header{name: {"x"}}); (err == nil) != ok {
			t.Errorf("CheckHeader of %s: %v, want ok %v", name, err, ok)
		}
	}
}

// FuzzDial: whatever the head of an answer is, Dial returns, and what it accepts is what we can carry out.
func FuzzDial(f *testing.F) {
	for _, seed := range []string{
		"permessage-deflate; server_no_context_takeover", `permessage-deflate; server_no_context_takeover; server_max_window_bits="15"`,
		"", ",", "permessage-deflate", ";", `"`, `permessage-deflate; x="\`, "a; b; c",
	} {
		f.Add(seed, "a")
	}
	f.Fuzz(func(t *testing.T, extensions, subprotocol string) {
		conn, peer := pipe.New(0)
		defer conn.Close()
		defer peer.Close()
		tr := roundTripper(func(r *http.Request) (*http.Response, error) {
			httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{Conn: conn})
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(switching(r, ""))), r)
			resp.Header["Sec-Websocket-Extensions"], resp.Header["Sec-Websocket-Protocol"] = []string{extensions}, []string{subprotocol}
			resp.Body = conn
			return resp, err
		})
		d, err := handshake.Dial(t.Context(), "ws://server.test/", handshake.DialOptions{
			HTTP: &http.Client{Transport: tr}, Compress: true, Subprotocols: []string{"a"},
		})
		if err != nil {
			return
		}
		if d.Subprotocol != subprotocol || subprotocol != "a" {
			t.Errorf("subprotocol %q: got %q and no error", subprotocol, d.Subprotocol)
		}
		if d.Deflate != strings.Contains(extensions, "permessage-deflate") || d.Deflate && !strings.Contains(extensions, "server_no_context_takeover") ||
			strings.Contains(extensions, "client_max_window_bits") {
			t.Errorf("extensions %q: got deflate %v and no error", extensions, d.Deflate)
		}
	})
}
