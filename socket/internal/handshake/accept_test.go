package handshake_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/handshake"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// serve runs a server of net/http over memory whose handler upgrades.
func serve(t *testing.T, o handshake.Options, wrap func(http.Handler) http.Handler) (dial func() net.Conn, conns <-chan handshake.Accepted) {
	t.Helper()
	l := pipe.NewListener()
	accepted := make(chan handshake.Accepted, 8)
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a handshake.Accepted
		var err error
		refusal := handshake.CheckRequest(r)
		if refusal == nil {
			a, err = handshake.Accept(w, r, o)
		}
		if refusal != nil {
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
		accepted <- a
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
	deflate := handshake.Options{Compress: true}
	tests := []struct {
		name   string
		o      handshake.Options
		wrap   func(http.Handler) http.Handler
		client rawclient.HandshakeOptions
		want   map[string]string // headers of the 101; "": absent
	}{
		{
			name: "well-formed",
			want: map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": rawclient.DefaultAccept, "Content-Length": "", "Sec-WebSocket-Extensions": ""},
		},
		{
			name:   "Accept-Encoding",
			client: rawclient.HandshakeOptions{Header: http.Header{"Accept-Encoding": {"deflate"}}},
			want:   map[string]string{"Content-Encoding": "", "Vary": "", "Content-Type": ""},
		},
		{
			name: "headers and cookies of middleware stay",
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
			name:   "subprotocol",
			o:      handshake.Options{Subprotocols: []string{"bar", "foo"}},
			client: rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"foo, bar"}}},
			want:   map[string]string{"Sec-WebSocket-Protocol": "bar"},
		},
		{
			name:   "subprotocol unknown",
			o:      handshake.Options{Subprotocols: []string{"bar"}},
			client: rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Protocol": {"foo"}}},
			want:   map[string]string{"Sec-WebSocket-Protocol": ""},
		},
		{
			name: "deflate", o: deflate, client: rawclient.HandshakeOptions{Deflate: true},
			want: map[string]string{"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
		},
		{name: "deflate not enabled", client: rawclient.HandshakeOptions{Deflate: true}, want: map[string]string{"Sec-WebSocket-Extensions": ""}},
		{name: "behind middleware that unwraps", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{w} })},
		{name: "behind a router like gin", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return &lazyWriter{ResponseWriter: w} })},
		{name: "behind middleware over a router like gin", wrap: wrapWriter(func(w http.ResponseWriter) http.ResponseWriter { return unwrapper{&lazyWriter{ResponseWriter: w}} })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
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
			a := <-conns
			defer a.Conn.Close()
			if want := resp.Header.Get("Sec-WebSocket-Protocol"); a.Subprotocol != want {
				t.Errorf("Subprotocol = %q, the client was told %q", a.Subprotocol, want)
			}
			if want := resp.Header.Get("Sec-WebSocket-Extensions") != ""; a.Deflate != want {
				t.Errorf("Deflate = %t, want %t", a.Deflate, want)
			}
			thereAndBack(t, client, a)
		})
	}
}

// thereAndBack sends bytes both ways.
func thereAndBack(t *testing.T, client *rawclient.Client, a handshake.Accepted) {
	t.Helper()
	if err := client.Text("hello"); err != nil {
		t.Fatalf("client: %v", err)
	}
	want := rawclient.AppendFrame(nil, rawclient.Frame{Fin: true, Opcode: 1, Masked: true, Payload: []byte("hello")}, rawclient.DefaultMask)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(io.MultiReader(bytes.NewReader(a.Early), a.Conn), got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %x, %v; want %x", got, err, want)
	}
	if _, err := a.Conn.Write([]byte("\x81\x05hello")); err != nil {
		t.Fatalf("write: %v", err)
	}
	if op, p, err := client.ReadMessage(); op != rawclient.OpText || string(p) != "hello" || err != nil {
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

// TestAccept_refusalOverHTTP reads what the client gets.
func TestAccept_refusalOverHTTP(t *testing.T) {
	dial, _ := serve(t, handshake.Options{}, nil)
	for name, tt := range map[string]struct {
		o      rawclient.HandshakeOptions
		status int
	}{
		"POST":       {rawclient.HandshakeOptions{Method: "POST"}, 405},
		"Upgrade":    {rawclient.HandshakeOptions{Header: http.Header{"Upgrade": {"NOPE"}}}, 426},
		"Connection": {rawclient.HandshakeOptions{Header: http.Header{"Connection": {"NOPE"}}}, 426},
		"no key":     {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Key": nil}}, 400},
		"version 99": {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"99"}}}, 426},
		"version 0":  {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"0"}}}, 426},
		"version 8":  {rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Version": {"8"}}}, 426},
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

// TestAccept_early: what the client sends in the same write as the request is there, once, with what comes later after it
// (Bandit drops it).
func TestAccept_early(t *testing.T) {
	for _, size := range []int{0, 1, 100, 3000, 20_000} {
		dial, conns := serve(t, handshake.Options{}, nil)
		early := strings.Repeat("0123456789", size/10+1)[:size]
		client, _, err := rawclient.Handshake(dial(), rawclient.HandshakeOptions{Extra: []byte(early)})
		if err != nil {
			t.Fatalf("handshake: %v", err)
		}
		a := <-conns
		client.WriteBytes([]byte("later"))
		client.Conn().Close()
		rest, err := io.ReadAll(a.Conn)
		if got := string(a.Early) + string(rest); got != early+"later" || err != nil {
			t.Errorf("%d early bytes: got %q, %v; want %q", size, got, err, early+"later")
		}
		a.Conn.Close()
	}
}

// TestAccept_earlyIsACopy: the buffer of the server is not kept for a few bytes in it.
func TestAccept_earlyIsACopy(t *testing.T) {
	for _, early := range []string{"early", strings.Repeat("early", 13_000)} {
		a, err := handshake.Accept(&hijackable{conn: new(script), header: http.Header{}, leftover: early}, request(), handshake.Options{})
		if err != nil || string(a.Early) != early || cap(a.Early) > len(early)+len(early)/4+16 {
			t.Errorf("Early: %d bytes of capacity %d, %v; want the %d bytes", len(a.Early), cap(a.Early), err, len(early))
		}
	}
}

func TestAccept_noHijacker(t *testing.T) {
	for name, w := range map[string]http.ResponseWriter{
		"recorder":      httptest.NewRecorder(),
		"behind Unwrap": unwrapper{httptest.NewRecorder()},
	} {
		_, err := handshake.Accept(w, request(), handshake.Options{})
		if refusal, ok := errors.AsType[*handshake.Refusal](err); !ok || refusal.Status != http.StatusNotImplemented {
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
			a, err := handshake.Accept(tt.w, request(), handshake.Options{})
			if refusal, ok := errors.AsType[*handshake.Refusal](err); ok != (tt.status != 0) || ok && refusal.Status != tt.status {
				t.Errorf("got %v, want a Refusal with %d (0: none)", err, tt.status)
			}
			if (tt.err != nil || tt.status == 0) && !errors.Is(err, tt.err) {
				t.Errorf("got %v, want an error that is %v", err, tt.err)
			}
			if (a.Conn != nil) != (tt.status == 0 && tt.err == nil) {
				t.Errorf("got a connection: %t", a.Conn != nil)
			}
		})
	}
}

func TestAccept_failedHijack(t *testing.T) {
	w := &failingHijacker{ResponseRecorder: httptest.NewRecorder()}
	_, err := handshake.Accept(w, request(), handshake.Options{})
	refusal, ok := errors.AsType[*handshake.Refusal](err)
	if !ok || refusal.Status != http.StatusInternalServerError || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want a Refusal with 500 that wraps the hijacker's error", err)
	}
	if len(w.statuses) != 0 || w.Body.Len() > 0 {
		t.Errorf("wrote statuses %v and body %q, want nothing: it is the caller's to answer", w.statuses, w.Body)
	}
}

// TestAccept_changedRequest: between CheckRequest and Accept runs code of the application.
func TestAccept_changedRequest(t *testing.T) {
	key := rawclient.DefaultKey
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"no header": {func(r *http.Request) { r.Header = nil }, 400},
		"no key":    {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		"two keys":  {func(r *http.Request) { r.Header["Sec-Websocket-Key"] = []string{key, key} }, 400},
		"bad key":   {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "bad") }, 400},
		"method":    {func(r *http.Request) { r.Method = "POST" }, 405},
		"version":   {func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 400},
	} {
		r := request()
		tt.change(r)
		w := &hijackable{conn: &script{}, header: http.Header{}}
		_, err := handshake.Accept(w, r, handshake.Options{})
		if refusal, ok := errors.AsType[*handshake.Refusal](err); !ok || refusal.Status != tt.status {
			t.Errorf("%s: got %v, want a Refusal with %d", name, err, tt.status)
		}
		if w.status != 0 || w.body != 0 || len(w.header) != 0 {
			t.Errorf("%s: answered %d with %v and %d bytes, want nothing: it is the caller's to answer", name, w.status, w.header, w.body)
		}
	}
}

// TestAccept_deadlinesOfTheServer: whatever deadlines an HTTP server had on its connection, they do not meet the
// WebSocket, and neither does that of the 101. (net/http takes its own away in its own Hijack; another Hijacker may not.)
func TestAccept_deadlinesOfTheServer(t *testing.T) {
	for name, set := range map[string]func(*pipe.Conn, time.Time) error{
		"read": (*pipe.Conn).SetReadDeadline, "write": (*pipe.Conn).SetWriteDeadline,
		"past": func(c *pipe.Conn, _ time.Time) error { return c.SetDeadline(time.Unix(1, 0)) },
	} {
		for _, timeout := range []time.Duration{-1, 0, time.Minute} {
			t.Run(fmt.Sprintf("%s, WriteTimeout %v", name, timeout), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := pipe.New(0)
					defer near.Close()
					set(far, time.Now().Add(time.Second))
					a, err := handshake.Accept(&hijackable{conn: far, header: http.Header{}}, request(), handshake.Options{WriteTimeout: timeout})
					if err != nil {
						t.Fatal(err)
					}
					defer a.Conn.Close()
					time.Sleep(time.Hour)
					near.Write([]byte("hello"))
					p := make([]byte, 5)
					if _, err := io.ReadFull(a.Conn, p); err != nil {
						t.Errorf("Read, after the server's %s deadline: %v", name, err)
					}
					if _, err := a.Conn.Write(p); err != nil {
						t.Errorf("Write, after the server's %s deadline: %v", name, err)
					}
				})
			})
		}
	}
}

// TestAccept_writeTimeout: a peer that takes nothing of the 101 does not keep the goroutine of net/http for longer.
func TestAccept_writeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe.New(10)
		defer near.Close()
		start := time.Now()
		a, err := handshake.Accept(&hijackable{conn: far, header: http.Header{}}, request(), handshake.Options{WriteTimeout: 10 * time.Second})
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second || a.Conn != nil {
			t.Errorf("Accept, with a peer that does not read: %v, %v after %v; want a deadline error after 10s", a, err, time.Since(start))
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after it: %v, want that the connection is closed", err)
		}
	})
}

// TestAccept_failedWrite: when the 101 cannot be written the connection is closed, and the error is no Refusal, which would
// have the caller answer.
func TestAccept_failedWrite(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		conn *script
		want error
	}{
		"deadline": {&script{err: broken}, broken},
		"write":    {&script{most: 20, err: broken}, broken},
		"short":    {&script{most: 20}, io.ErrShortWrite},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := handshake.Accept(&hijackable{conn: tt.conn, header: http.Header{}}, request(), handshake.Options{})
			if _, refused := errors.AsType[*handshake.Refusal](err); refused || !errors.Is(err, tt.want) || a.Conn != nil {
				t.Errorf("got %v, %v; want an error that is %v", a, err, tt.want)
			}
			if !tt.conn.closed.Load() {
				t.Error("the connection is open")
			}
		})
	}
}

// FuzzAccept: what CheckRequest lets through, websocket.Accept takes, and the answer is one head, whatever the application
// has set.
func FuzzAccept(f *testing.F) {
	f.Add("Upgrade", "websocket", "13", rawclient.DefaultKey, "v1", "X-Token", "a")
	f.Add("keep-alive, upgrade", "h2c, WebSocket", "13", "AAAAAAAAAAAAAAAAAAAAAA==", "v1, v2", "sec-websocket-accept", "x")
	f.Add("upgrade", "websocket", " 13", " "+rawclient.DefaultKey, "a\r\nb", "X\r\nEvil: 1", "a\r\n\r\nb")
	f.Fuzz(func(t *testing.T, connection, upgrade, version, key, protocol, name, value string) {
		if strings.ContainsFunc(protocol+value, func(c rune) bool { return c < ' ' && c != '\r' && c != '\n' && c != '\t' || c == 0x7f }) {
			return // net/http writes them as they are, too
		}
		r := request()
		for field, text := range map[string]string{
			"Connection": connection, "Upgrade": upgrade, "Sec-Websocket-Version": version, "Sec-Websocket-Key": key, "Sec-Websocket-Protocol": protocol,
		} {
			r.Header[field] = []string{text}
		}
		if handshake.CheckRequest(r) != nil {
			return
		}
		conn := new(script)
		w := &hijackable{conn: conn, header: http.Header{name: {value}, "Sec-Websocket-Protocol": {protocol}}}
		a, err := handshake.Accept(w, r, handshake.Options{})
		if err != nil {
			t.Fatalf("Accept, after CheckRequest: %v", err)
		}
		head := bytes.NewReader(conn.written)
		resp, err := http.ReadResponse(bufio.NewReader(head), r)
		if err != nil {
			t.Fatalf("the answer %q is no response: %v", conn.written, err)
		}
		accept, got := resp.Header["Sec-Websocket-Accept"], resp.Header.Get("Sec-WebSocket-Protocol")
		if len(accept) != 1 || accept[0] != rawclient.Accept(key) || got != strings.TrimSpace(a.Subprotocol) {
			t.Fatalf("the answer %q accepts %q and %q; want the key %q and the subprotocol %q", conn.written, accept, got, key, a.Subprotocol)
		}
		if !bytes.HasSuffix(conn.written, []byte("\r\n\r\n")) || bytes.Count(conn.written, []byte("\r\n\r\n")) != 1 {
			t.Fatalf("the answer %q has more than a head", conn.written)
		}
	})
}
