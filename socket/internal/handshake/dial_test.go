package handshake_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
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

// TestDial_losesNothing: whatever comes with the 101, and however much of it net/http, TLS and the kernel have buffered,
// is there once, in order, and the connection works afterwards, with deadlines.
func TestDial_losesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		url   string
		start func(*testing.T, respond) *scripted
	}{
		"memory": {"ws://example.com/", inMemory}, "TCP": {"ws://example.com/", overTCP}, "TLS": {"wss://example.com/", overTLS},
	} {
		for _, n := range []int{0, 1, 100, 4096, 5000, 16 << 10, 40_000} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				extra := make([]byte, n)
				for i := range extra {
					extra[i] = byte(i) ^ byte(i>>8)
				}
				peers := make(chan net.Conn, 1)
				s := tt.start(t, func(r *http.Request, conn net.Conn) string {
					peers <- conn
					return switching(r, string(extra))
				})
				d, err := s.dial(t, t.Context(), tt.url, handshake.DialOptions{})
				if err != nil {
					t.Fatalf("Dial: %v", err)
				}
				got := slices.Clone(d.Early)
				rest := make([]byte, n-len(got))
				if _, err := io.ReadFull(d.Conn, rest); err != nil {
					t.Fatalf("%d bytes came with the 101 of %d, and reading the rest: %v", len(got), n, err)
				}
				if got = append(got, rest...); !bytes.Equal(got, extra) {
					t.Fatalf("the %d bytes after the 101 are not those that were sent", n)
				}
				wantBothWays(t, d.Conn, <-peers)
				wantDeadline(t, d.Conn)
			})
		}
	}
}

// wantDeadline: a deadline ends a read, and can be taken back.
func wantDeadline(t *testing.T, conn net.Conn) {
	t.Helper()
	for range 2 {
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatalf("SetReadDeadline: %v", err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a read with a deadline: got %d, %v, want os.ErrDeadlineExceeded", n, err)
		}
	}
}

// TestDial_serverGoesAtOnce: a server that writes its 101 and a Close frame and goes. What it wrote is read.
func TestDial_serverGoesAtOnce(t *testing.T) {
	const frame = "\x88\x02\x0f\xa1" // Close 4001
	for name, tt := range map[string]struct {
		url   string
		start func(*testing.T, respond) *scripted
	}{
		"memory": {"ws://example.com/", inMemory}, "TCP": {"ws://example.com/", overTCP}, "TLS": {"wss://example.com/", overTLS},
	} {
		t.Run(name, func(t *testing.T) {
			s := tt.start(t, func(r *http.Request, conn net.Conn) string {
				io.WriteString(conn, switching(r, frame))
				conn.Close()
				return ""
			})
			d, err := s.dial(t, t.Context(), tt.url, handshake.DialOptions{})
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			rest, err := io.ReadAll(d.Conn)
			if got := string(d.Early) + string(rest); got != frame || err != nil {
				t.Errorf("got % x and then %v, want % x and the end", got, err, frame)
			}
		})
	}
}

// TestDial_badAnswer: what is wrong with an answer is said, and its connection is closed.
func TestDial_badAnswer(t *testing.T) {
	lines := func(lines ...string) respond {
		return func(r *http.Request, _ net.Conn) string { return switching(r, "", lines...) }
	}
	head := func(lines ...string) respond {
		return func(*http.Request, net.Conn) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }
	}
	for name, tt := range map[string]struct {
		answer respond
		o      handshake.DialOptions
		status int    // of the AnswerError; 0: it is another error
		want   string // part of the text
	}{
		"wrong accept": {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
			"Sec-WebSocket-Accept: "+rawclient.DefaultAccept), handshake.DialOptions{}, 101, "invalid Sec-WebSocket-Accept"},
		"no accept": {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"),
			handshake.DialOptions{}, 101, "invalid Sec-WebSocket-Accept"},
		"two accepts":        {lines("Sec-WebSocket-Accept: x"), handshake.DialOptions{}, 101, "'Sec-Websocket-Accept' header given 2 times"},
		"no upgrade":         {head("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade"), handshake.DialOptions{}, 101, "Upgrade"},
		"another protocol":   {head("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c", "Connection: Upgrade"), handshake.DialOptions{}, 101, `does not contain websocket`},
		"no connection":      {head("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket"), handshake.DialOptions{}, 101, "Connection"},
		"HTTP/1.0":           {func(r *http.Request, _ net.Conn) string { return strings.Replace(switching(r, ""), "1.1", "1.0", 1) }, handshake.DialOptions{}, 101, "HTTP/1.0"},
		"subprotocol":        {lines("Sec-WebSocket-Protocol: c"), handshake.DialOptions{Subprotocols: []string{"a", "b"}}, 101, `"c", which was not offered: ["a" "b"]`},
		"subprotocol's case": {lines("Sec-WebSocket-Protocol: A"), handshake.DialOptions{Subprotocols: []string{"a"}}, 101, `"A", which was not offered`},
		"two subprotocols": {lines("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b"),
			handshake.DialOptions{Subprotocols: []string{"a", "b"}}, 101, "given 2 times"},
		"extension":      {lines("Sec-WebSocket-Extensions: permessage-deflate"), handshake.DialOptions{}, 101, `"permessage-deflate": it was not offered`},
		"refused":        {head("HTTP/1.1 403 Forbidden", "Content-Length: 0"), handshake.DialOptions{}, 403, "403 Forbidden"},
		"refused, said":  {head("HTTP/1.1 503 Service Unavailable", "Content-Type: text/plain; charset=utf-8", "Content-Length: 9", "Retry-After: 7", "", "too full\n"), handshake.DialOptions{}, 503, `503 Service Unavailable: "too full"`},
		"refused, HTML":  {head("HTTP/1.1 502 Bad Gateway", "Content-Type: text/html", "Content-Length: 8", "", "<html>\r\n"), handshake.DialOptions{}, 502, "502 Bad Gateway"},
		"plain page":     {head("HTTP/1.1 200 OK", "Content-Length: 0"), handshake.DialOptions{}, 200, "200 OK"},
		"garbage":        {head("SSH-2.0-OpenSSH_9.6"), handshake.DialOptions{}, 0, "malformed HTTP"},
		"nothing":        {func(_ *http.Request, conn net.Conn) string { conn.Close(); return "" }, handshake.DialOptions{}, 0, "EOF"},
		"an endless 302": {head("HTTP/1.1 302 Found", "Location: /", "Content-Length: 0"), handshake.DialOptions{}, 0, "stopped after 10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			s := inMemory(t, tt.answer)
			_, err := s.dial(t, t.Context(), "ws://user:secret@server.test/?token=secret", tt.o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got error %v, want %q in it, and no secret", err, tt.want)
			}
			status := 0
			if e, ok := errors.AsType[*handshake.AnswerError](err); ok {
				status = e.Status
			}
			if status != tt.status {
				t.Errorf("got status %d of %v, want %d", status, err, tt.status)
			}
			if status == 101 {
				s.mu.Lock()
				defer s.mu.Unlock()
				if n, err := s.conns[0].Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the connection of the server: read %d, %v, want its end", n, err)
				}
			}
		})
	}
}

// TestDial_anyCase: the tokens of a 101 are compared in any case, and Connection is a list (RFC 6455 section 4.1).
func TestDial_anyCase(t *testing.T) {
	for _, fields := range []string{"Upgrade: WebSocket\r\nConnection: upgrade", "upgrade: WEBSOCKET\r\nconnection: keep-alive ,\tUPGRADE"} {
		s := inMemory(t, func(r *http.Request, _ net.Conn) string {
			return strings.Replace(switching(r, "early"), "Upgrade: websocket\r\nConnection: Upgrade", fields, 1)
		})
		d, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{})
		if err != nil || string(d.Early) != "early" {
			t.Fatalf("%q: got %q early, error %v, want early", fields, d.Early, err)
		}
		wantBothWays(t, d.Conn, s.conns[0])
	}
}

// TestDial_answerHeader: the header of an answer is there, that of a 101 with its extensions.
func TestDial_answerHeader(t *testing.T) {
	s := inMemory(t, func(r *http.Request, _ net.Conn) string {
		return switching(r, "", "Sec-WebSocket-Extensions: x", "X-Served-By: a7")
	})
	_, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{})
	e, ok := errors.AsType[*handshake.AnswerError](err)
	if !ok || e.Header.Get("X-Served-By") != "a7" || e.Header.Get("Sec-WebSocket-Extensions") != "x" {
		t.Errorf("got %#v, want an AnswerError with the header of the 101", err)
	}
}

// TestDial_deflate: answers to our offer of permessage-deflate.
func TestDial_deflate(t *testing.T) {
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for _, tt := range []struct {
		answer string
		want   string // part of the error; "": accepted
	}{
		{both, ""},
		{"permessage-deflate;server_no_context_takeover", ""}, // we keep nothing, whether it wants that or not
		{both + "; server_max_window_bits=15", ""},
		{both + `; server_max_window_bits="8"`, ""},
		{" , " + both + ",", ""},
		{"permessage-deflate", "server_no_context_takeover is missing"},
		{"permessage-deflate; client_no_context_takeover", "server_no_context_takeover is missing"},
		{both + "; client_max_window_bits=15", "client_max_window_bits was not offered"},
		{both + "; server_max_window_bits", "wants a number from 8 to 15"},
		{both + "; server_max_window_bits=7", "wants a number from 8 to 15"},
		{both + "; server_max_window_bits=016", "wants a number from 8 to 15"},
		{both + "; server_no_context_takeover", "server_no_context_takeover is repeated"},
		{"permessage-deflate; server_no_context_takeover=1", "server_no_context_takeover has no value"},
		{both + "; x", `"x" is unknown`},
		{both + "; ", `"" is malformed`},
		{both + ", " + both, "there is one already"},
		{both + "\r\nSec-WebSocket-Extensions: " + both, "there is one already"},
		{"Permessage-Deflate; server_no_context_takeover", "it was not offered"},
		{"x-webkit-deflate-frame", "it was not offered"},
	} {
		s := inMemory(t, func(r *http.Request, _ net.Conn) string {
			return switching(r, "", "Sec-WebSocket-Extensions: "+tt.answer)
		})
		d, err := s.dial(t, t.Context(), "ws://server.test/", handshake.DialOptions{Compress: true})
		if tt.want == "" && (err != nil || !d.Deflate) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: got deflate %v, error %v, want %q", tt.answer, d.Deflate, err, tt.want)
		}
	}
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

// TestDial_outlivesTheHandshake: neither the end of ctx nor the Timeout of the client means anything to the connection.
func TestDial_outlivesTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, right)
		s.client.Timeout = time.Second
		ctx, cancel := context.WithCancel(t.Context())
		d, err := s.dial(t, ctx, "ws://server.test/", handshake.DialOptions{})
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		cancel()
		time.Sleep(time.Hour)
		wantBothWays(t, d.Conn, s.conns[0])
	})
}

// roundTripper is one that is not http.Transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// deaf is a connection that does not know deadlines.
type deaf struct{ net.Conn }

func (deaf) SetDeadline(time.Time) error     { return nil }
func (deaf) SetReadDeadline(time.Time) error { return nil }

// endless is a body that always has more.
type endless struct{ net.Conn }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// unable says that it does not know them.
type unable struct{ net.Conn }

func (unable) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// TestDial_roundTripper: what becomes of a RoundTripper that is not http.Transport.
func TestDial_roundTripper(t *testing.T) {
	// over answers with a 101 over conn, as http.Transport would, with what is not nil.
	over := func(traced net.Conn, body io.ReadCloser) roundTripper {
		return func(r *http.Request) (*http.Response, error) {
			if trace := httptrace.ContextClientTrace(r.Context()); traced != nil && trace != nil {
				trace.GotConn(httptrace.GotConnInfo{Conn: traced})
			}
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(switching(r, ""))), r)
			resp.Body = body
			return resp, err
		}
	}
	for name, tt := range map[string]struct {
		make func(conn net.Conn) roundTripper
		want string // part of the error; "": it works
	}{
		"as http.Transport":  {func(c net.Conn) roundTripper { return over(c, c) }, ""},
		"no trace":           {func(c net.Conn) roundTripper { return over(nil, c) }, "handshake_test.roundTripper does not give its connection away: it does not tell httptrace.ClientTrace.GotConn"},
		"a body that reads":  {func(c net.Conn) roundTripper { return over(c, struct{ io.ReadCloser }{c}) }, "does not give its connection away: the body of the 101 is a struct { io.ReadCloser } and cannot be written to"},
		"no deadlines":       {func(c net.Conn) roundTripper { return over(unable{c}, c) }, "file type does not support deadline"},
		"deadlines ignored":  {func(c net.Conn) roundTripper { return over(deaf{c}, deaf{c}) }, "does not keep to read deadlines: context deadline exceeded"},
		"another connection": {func(c net.Conn) roundTripper { other, _ := pipe.New(0); return over(other, c) }, "does not keep to read deadlines: context deadline exceeded"},
		"a body without end": {func(c net.Conn) roundTripper { return over(c, endless{c}) }, "does not keep to read deadlines"},
		"no upgrade": {func(c net.Conn) roundTripper {
			return func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 101, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: c, Request: r}, nil
			}
		}, `does not contain Upgrade`},
		"a failed connection": {func(c net.Conn) roundTripper { c.(*pipe.Conn).Reset(); return over(c, c) }, "use of closed network connection"},
		"an error": {func(net.Conn) roundTripper {
			return func(*http.Request) (*http.Response, error) { return nil, io.ErrNoProgress }
		}, io.ErrNoProgress.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, peer := pipe.New(0)
				defer conn.Close()
				defer peer.Close()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				d, err := handshake.Dial(ctx, "ws://server.test/", handshake.DialOptions{HTTP: &http.Client{Transport: tt.make(conn)}})
				if tt.want == "" && err == nil {
					wantBothWays(t, d.Conn, peer)
					return
				}
				if err == nil || tt.want == "" || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want %q in it", err, tt.want)
				}
				peer.SetReadDeadline(time.Now().Add(time.Second))
				if _, err := peer.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) && name != "an error" {
					t.Error("the body of the 101 was not closed")
				}
			})
		})
	}
}

// TestDial_roundTripperPanics: the panic is the caller's, and no connection stays open.
func TestDial_roundTripperPanics(t *testing.T) {
	calls := 0
	tr := roundTripper(func(r *http.Request) (*http.Response, error) {
		if calls++; calls == 2 {
			panic("no")
		}
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"/"}}, Body: http.NoBody, Request: r}, nil
	})
	defer func() {
		if v := recover(); v != "no" {
			t.Errorf("recovered %v, want the panic of the RoundTripper", v)
		}
	}()
	handshake.Dial(t.Context(), "ws://server.test/", handshake.DialOptions{HTTP: &http.Client{Transport: tr}})
	t.Error("Dial has returned")
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
