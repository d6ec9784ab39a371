package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

func TestCheckRequest(t *testing.T) { // RFC 6455 section 4.2.1
	edit := func(f func(*http.Request), fields ...string) *http.Request {
		r := request(fields...)
		f(r)
		return r
	}
	proto := func(text string, major, minor int) func(*http.Request) {
		return func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = text, major, minor }
	}
	tests := []struct {
		name   string
		r      *http.Request
		status int // 0: accepted
		text   string
		header string // "key: value" that the answer carries
	}{
		{name: "1 any case", r: request("Upgrade", "WeBsOcKeT", "Connection", "UpGrAdE")},
		{name: "2 POST", r: edit(func(r *http.Request) { r.Method = "POST" }), status: 405, text: "HTTP method POST unsupported", header: "Allow: GET"},
		{name: "3 HTTP/1.0", r: edit(proto("HTTP/1.0", 1, 0)), status: 426, text: "HTTP version HTTP/1.0 unsupported", header: "Upgrade: websocket"},
		{name: "8 HTTP/2", r: edit(func(r *http.Request) { proto("HTTP/2.0", 2, 0)(r); r.Method = "CONNECT" }), status: 505, text: "HTTP/1.1 only"},
		{name: "HTTP/3", r: edit(proto("HTTP/3.0", 3, 0)), status: 505, text: "HTTP/1.1 only"},
		{name: "4 Connection: close", r: request("Connection", "close"), status: 426, text: `'Connection' header must contain 'upgrade', got ["close"]`, header: "Connection: Upgrade"},
		{name: "no Connection", r: request("Connection", ""), status: 426, text: `must contain 'upgrade', got []`, header: "Upgrade: websocket"},
		{name: "5 Upgrade: bogus", r: request("Upgrade", "bogus"), status: 426, text: `'Upgrade' header must contain 'websocket', got ["bogus"]`, header: "Upgrade: websocket"},
		{name: "5 Upgrade: a longer word", r: request("Upgrade", "websockets"), status: 426, text: "'Upgrade' header must contain"},
		{name: "6 no key", r: request("Sec-WebSocket-Key", ""), status: 400, text: "'Sec-WebSocket-Key' header is absent"},
		{name: "7 version 12", r: request("Sec-WebSocket-Version", "12"), status: 426, text: `must equal '13', got ["12"]`, header: "Sec-WebSocket-Version: 13"},
		{name: "no version", r: request("Sec-WebSocket-Version", ""), status: 426, text: `must equal '13', got []`, header: "Upgrade: websocket"},
		{name: "11 Connection: keep-alive, Upgrade", r: request("Connection", "keep-alive, Upgrade")},
		{name: "12 two Connection lines", r: request("Connection", "keep-alive\nupgrade")},
		{name: "12 list of upgrades", r: request("Upgrade", "h2c ,\twebsocket")},
		{name: "13 version list", r: request("Sec-WebSocket-Version", "13, 8"), status: 426, text: `got ["13, 8"]`},
		{name: "13 two version lines", r: request("Sec-WebSocket-Version", "13\n13"), status: 426, text: `got ["13" "13"]`},
		{name: "14 two keys", r: request("Sec-WebSocket-Key", rawclient.DefaultKey+"\n"+rawclient.DefaultKey), status: 400, text: "given 2 times"},
		{name: "15 key x", r: request("Sec-WebSocket-Key", "x"), status: 400, text: `16 bytes in base64, got "x"`},
		{name: "15 key of 1 byte", r: request("Sec-WebSocket-Key", "eA=="), status: 400, text: "16 bytes in base64"},
		{name: "15 key of 15 bytes", r: request("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2Rl"), status: 400, text: "16 bytes in base64"},
		{name: "15 key of 17 bytes", r: request("Sec-WebSocket-Key", "MDEyMzQ1Njc4OWFiY2RlZmc="), status: 400, text: "16 bytes in base64"},
		{name: "16 no Host", r: edit(func(r *http.Request) { r.Host = "" }), status: 400, text: "'Host' header is absent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := wire.CheckRequest(tt.r)
			if tt.status == 0 {
				if got != nil {
					t.Fatalf("refused with %d: %v", got.Status, got)
				}
				return
			}
			if got == nil || got.Status != tt.status || !strings.Contains(got.Error(), tt.text) {
				t.Fatalf("got %+v\nwant %d with %q", got, tt.status, tt.text)
			}
			if key, value, _ := strings.Cut(tt.header, ": "); key != "" && got.Header.Get(key) != value {
				t.Errorf("header %v, want %s", got.Header, tt.header)
			}
			// Accept refuses with the same, and writes nothing.
			conn := new(script)
			_, err := wire.Accept(&hijackable{conn: conn, header: http.Header{}}, tt.r, wire.Options{})
			if refusal, ok := errors.AsType[*wire.Refusal](err); !ok || refusal.Status != tt.status || len(conn.written) > 0 {
				t.Errorf("Accept: %v, wrote %q; want a Refusal with %d and nothing written", err, conn.written, tt.status)
			}
		})
	}
}

// serve runs a server of net/http over memory whose handler upgrades.
func serve(t *testing.T, o wire.Options, wrap func(http.Handler) http.Handler) (dial func() net.Conn, conns <-chan *wire.Conn) {
	t.Helper()
	l := pipe.NewListener()
	accepted := make(chan *wire.Conn, 8)
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wire.Accept(w, r, o)
		if refusal, ok := errors.AsType[*wire.Refusal](err); ok {
			for key, values := range refusal.Header {
				w.Header()[key] = values
			}
			http.Error(w, refusal.Error(), refusal.Status)
			return
		}
		if err != nil {
			t.Errorf("Accept: %v", err)
			return
		}
		accepted <- c
	})
	if wrap != nil {
		h = wrap(h)
	}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
	})
	return func() net.Conn {
		conn, err := l.Dial(context.Background())
		if err != nil {
			t.Fatalf("Dial: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}, accepted
}

func TestAccept_overHTTP(t *testing.T) {
	deflate := wire.Options{Compress: true, Level: 1, MaxMessageSize: mb}
	tests := []struct {
		name   string
		o      wire.Options
		wrap   func(http.Handler) http.Handler
		client rawclient.HandshakeOptions
		want   map[string]string // headers of the 101; "": absent
	}{
		{
			name: "17 well-formed",
			want: map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": rawclient.DefaultAccept, "Content-Length": "", "Sec-WebSocket-Extensions": ""},
		},
		{
			name:   "18 Accept-Encoding",
			client: rawclient.HandshakeOptions{Header: http.Header{"Accept-Encoding": {"deflate"}}},
			want:   map[string]string{"Content-Encoding": "", "Vary": "", "Content-Type": ""},
		},
		{
			name: "20 headers and cookies of middleware stay",
			wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("X-Plug-Set-Header", "itsaheader")
					http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
					next.ServeHTTP(w, r)
				})
			},
			want: map[string]string{"X-Plug-Set-Header": "itsaheader", "Set-Cookie": "a=b"},
		},
		{
			name:   "41 subprotocol",
			o:      wire.Options{Subprotocols: []string{"bar", "foo"}},
			client: rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"foo, bar"}}},
			want:   map[string]string{"Sec-WebSocket-Protocol": "bar"},
		},
		{
			name:   "subprotocol unknown",
			o:      wire.Options{Subprotocols: []string{"bar"}},
			client: rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"foo"}}},
			want:   map[string]string{"Sec-WebSocket-Protocol": ""},
		},
		{
			name: "56 deflate", o: deflate, client: rawclient.HandshakeOptions{Deflate: true},
			want: map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		},
		{name: "50, 55 deflate not enabled", client: rawclient.HandshakeOptions{Deflate: true}, want: map[string]string{"Sec-WebSocket-Extensions": ""}},
		{name: "behind middleware that unwraps", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{w} })},
		{name: "behind a router like gin", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return &lazyWriter{ResponseWriter: w} })},
		{name: "behind middleware over a router like gin", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{&lazyWriter{ResponseWriter: w}} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.MaxMessageSize == 0 {
				tt.o.MaxMessageSize = mb
			}
			dial, conns := serve(t, tt.o, tt.wrap)
			client, resp, err := rawclient.Handshake(dial(), tt.client)
			if err != nil || client == nil {
				t.Fatalf("handshake: %+v, %v", resp, err)
			}
			for key, want := range tt.want {
				if got := resp.Header.Get(key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
			c := <-conns
			defer c.Abort()
			if got := c.Subprotocol(); got != resp.Header.Get("Sec-WebSocket-Protocol") {
				t.Errorf("Subprotocol() = %q, the client was told %q", got, resp.Header.Get("Sec-WebSocket-Protocol"))
			}
			if got, want := c.Compressed(), resp.Header.Get("Sec-WebSocket-Extensions") != ""; got != want {
				t.Errorf("Compressed() = %t, want %t", got, want)
			}
			if c.RemoteAddr() == nil {
				t.Error("RemoteAddr() = nil")
			}
			echo(t, client, c)
		})
	}
}

// echo sends a message there and back.
func echo(t *testing.T, client *rawclient.Client, c *wire.Conn) {
	t.Helper()
	if err := client.Text("hello"); err != nil {
		t.Fatalf("client: %v", err)
	}
	m, err := c.Next()
	if err != nil || !m.Equal(websock.Text("hello")) {
		t.Fatalf("Next: %v, %v; want hello", m, err)
	}
	if err := errors.Join(c.Append(m), c.Flush()); err != nil {
		t.Fatalf("write: %v", err)
	}
	if op, p, err := client.ReadMessage(); op != opText || string(p) != "hello" || err != nil {
		t.Fatalf("client got %d %q, %v; want hello", op, p, err)
	}
}

func wrapWriter(wrap func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wrap(w), r) })
	}
}

// unwrapper hides all but the three methods and Unwrap.
type unwrapper struct{ inner http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.inner.Header() }
func (u unwrapper) Write(p []byte) (int, error) { return u.inner.Write(p) }
func (u unwrapper) WriteHeader(status int)      { u.inner.WriteHeader(status) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.inner }

// lazyWriter notes the status and writes it late, as gin's does.
type lazyWriter struct {
	http.ResponseWriter
	status int
}

func (w *lazyWriter) WriteHeader(status int) { w.status = status }
func (w *lazyWriter) WriteHeaderNow()        { w.ResponseWriter.WriteHeader(w.status) }
func (w *lazyWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// TestAccept_refusalOverHTTP reads what the client gets (inventory 24 to 28,
// with the statuses of CheckRequest).
func TestAccept_refusalOverHTTP(t *testing.T) {
	dial, _ := serve(t, wire.Options{}, nil)
	for name, tt := range map[string]struct {
		o      rawclient.HandshakeOptions
		status int
	}{
		"24 POST":       {rawclient.HandshakeOptions{Method: "POST"}, 405},
		"25 Upgrade":    {rawclient.HandshakeOptions{Header: http.Header{"Upgrade": {"NOPE"}}}, 426},
		"26 Connection": {rawclient.HandshakeOptions{Header: http.Header{"Connection": {"NOPE"}}}, 426},
		"27 no key":     {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Key": nil}}, 400},
		"28 version 99": {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"99"}}}, 426},
		"38 version 0":  {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"0"}}}, 426},
		"39 version 8":  {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"8"}}}, 426},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial()
			_, resp, err := rawclient.Handshake(conn, tt.o)
			if err != nil || resp.StatusCode != tt.status {
				t.Fatalf("got %+v, %v; want %d", resp, err, tt.status)
			}
			conn.Close()
		})
	}
}

// TestAccept_pipelined: frames in the same write as the request are read
// (inventory 42; Bandit drops them).
func TestAccept_pipelined(t *testing.T) {
	for _, size := range []int{0, 1, 100, 3000, 20_000} {
		dial, conns := serve(t, wire.Options{MaxMessageSize: mb}, nil)
		extra := join(frame(fin, opText, str(size)), frame(fin, opPing, "p"), frame(fin, opBinary, "two")[:4])
		client, _, err := rawclient.Handshake(dial(), rawclient.HandshakeOptions{Extra: extra})
		if err != nil {
			t.Fatalf("handshake: %v", err)
		}
		c := <-conns
		client.WriteBytes(frame(fin, opBinary, "two")[4:])
		client.Close(1000, "")
		got, err := readAll(c)
		want := []string{textEvent(str(size)), pingEvent("p"), binaryEvent("two")}
		if strings.Join(got, " ") != strings.Join(want, " ") || verdict(err) != "remote 1000" {
			t.Errorf("pipelined %d bytes: got %s, %v; want %s", len(extra), got, err, want)
		}
		c.Abort()
	}
}

// TestAccept_largeLeftover: a server may have buffered more than we read at
// once.
func TestAccept_largeLeftover(t *testing.T) {
	for _, cut := range []int{0, 1, 3, 70, 130} {
		frames := join(frame(fin, opText, str(30_000)), frame(fin, opPing, str(125)), frame(fin, opText, "end"))
		conn := &script{chunks: [][]byte{frames[len(frames)-cut:]}}
		w := &hijackable{conn: conn, header: http.Header{}, leftover: frames[:len(frames)-cut]}
		c, err := wire.Accept(w, request(), wire.Options{MaxMessageSize: mb})
		if err != nil {
			t.Fatal(err)
		}
		if cut == 0 {
			conn.chunks = nil
		}
		got, err := readAll(c)
		want := []string{textEvent(str(30_000)), pingEvent(str(125)), textEvent("end")}
		if strings.Join(got, " ") != strings.Join(want, " ") || verdict(err) != "EOF" {
			t.Errorf("%d bytes not left over: got %s, %v; want %s", cut, got, err, want)
		}
	}
}

func TestAccept_noHijacker(t *testing.T) {
	for name, w := range map[string]http.ResponseWriter{
		"recorder":      httptest.NewRecorder(),
		"behind Unwrap": unwrapper{httptest.NewRecorder()},
	} {
		_, err := wire.Accept(w, request(), wire.Options{})
		if refusal, ok := errors.AsType[*wire.Refusal](err); !ok || refusal.Status != http.StatusNotImplemented {
			t.Errorf("%s: got %v, want a Refusal with 501", name, err)
		}
	}
}

// failingHijacker does not give its connection away.
type failingHijacker struct {
	*httptest.ResponseRecorder
	statuses []int
}

func (f *failingHijacker) WriteHeader(status int) { f.statuses = append(f.statuses, status) }
func (f *failingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, io.ErrClosedPipe
}

// hijackedAs is a ResponseWriter of somebody else's, whose Hijack returns this.
type hijackedAs struct {
	*httptest.ResponseRecorder
	conn net.Conn
	brw  *bufio.ReadWriter
	err  error
}

func (h hijackedAs) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.conn, h.brw, h.err }

func TestAccept_oddHijack(t *testing.T) {
	for name, tt := range map[string]struct {
		w      hijackedAs
		status int   // of the Refusal; 0: none
		err    error // that it is
	}{
		"no bufio":            {w: hijackedAs{conn: new(script)}},
		"a bufio of nothing":  {w: hijackedAs{conn: new(script), brw: new(bufio.ReadWriter)}},
		"a zero bufio":        {w: hijackedAs{conn: new(script), brw: bufio.NewReadWriter(new(bufio.Reader), nil)}},
		"no connection":       {w: hijackedAs{}, status: 500},
		"nothing but a bufio": {w: hijackedAs{brw: new(bufio.ReadWriter)}, status: 500},
		"not supported":       {w: hijackedAs{err: http.ErrNotSupported}, status: 501, err: http.ErrNotSupported},
		"taken before":        {w: hijackedAs{err: fmt.Errorf("odd: %w", http.ErrHijacked)}, err: http.ErrHijacked},
	} {
		t.Run(name, func(t *testing.T) {
			tt.w.ResponseRecorder = httptest.NewRecorder()
			c, err := wire.Accept(tt.w, request(), wire.Options{})
			if refusal, ok := errors.AsType[*wire.Refusal](err); ok != (tt.status != 0) || ok && refusal.Status != tt.status {
				t.Errorf("got %v, want a Refusal with %d (0: none)", err, tt.status)
			}
			if (tt.err != nil || tt.status == 0) && !errors.Is(err, tt.err) {
				t.Errorf("got %v, want an error that is %v", err, tt.err)
			}
			if (c != nil) != (tt.status == 0 && tt.err == nil) {
				t.Errorf("got a connection: %t", c != nil)
			}
		})
	}
}

func TestAccept_failedHijack(t *testing.T) {
	w := &failingHijacker{ResponseRecorder: httptest.NewRecorder()}
	_, err := wire.Accept(w, request(), wire.Options{})
	refusal, ok := errors.AsType[*wire.Refusal](err)
	if !ok || refusal.Status != http.StatusInternalServerError || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want a Refusal with 500 that wraps the hijacker's error", err)
	}
	if len(w.statuses) != 0 || w.Body.Len() > 0 {
		t.Errorf("wrote statuses %v and body %q, want nothing: it is the caller's to answer", w.statuses, w.Body)
	}
}

// TestUpgrader_Accept_changedRequest: between CheckRequest and Accept runs code of the application.
func TestUpgrader_Accept_changedRequest(t *testing.T) {
	u := wire.NewUpgrader(wire.Options{})
	for name, header := range map[string]http.Header{
		"no header": nil,
		"no key":    {},
		"two keys":  {"Sec-Websocket-Key": {rawclient.DefaultKey, rawclient.DefaultKey}},
		"bad key":   {"Sec-Websocket-Key": {"bad"}},
	} {
		r := request()
		r.Header = header
		w := &hijackable{conn: &script{}, header: http.Header{}}
		_, err := u.Accept(w, r)
		if refusal, ok := errors.AsType[*wire.Refusal](err); !ok || refusal.Status != http.StatusBadRequest {
			t.Errorf("%s: got %v, want a Refusal with 400", name, err)
		}
	}
}
