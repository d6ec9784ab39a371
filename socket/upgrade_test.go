package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// What a request must be. Every failure has a status and a text of its own.
func TestServer_checksTheRequest(t *testing.T) {
	head := func(name string, values ...string) rawclient.HandshakeOptions {
		return rawclient.HandshakeOptions{Header: http.Header{name: values}}
	}
	const version, key = "Sec-WebSocket-Version", "Sec-WebSocket-Key"
	tests := []struct {
		name   string
		o      rawclient.HandshakeOptions
		status int    // 0: 101
		body   string // part of it
		same   bool   // the text is another row's, too
		http   bool   // net/http refuses it before any code of ours
	}{
		{name: "well-formed, in any case", o: rawclient.HandshakeOptions{
			Header: http.Header{"Upgrade": {"WeBsOcKeT"}, "Connection": {"UpGrAdE"}}}},
		{name: "POST", o: rawclient.HandshakeOptions{Method: "POST"}, status: 405, body: "HTTP method POST unsupported"},
		{name: "HTTP/1.0", o: rawclient.HandshakeOptions{Proto: "HTTP/1.0"}, status: 426, body: "HTTP version HTTP/1.0 unsupported"},
		{name: "Connection: close", o: head("Connection", "close"), status: 426, body: `'Connection' header must contain 'upgrade', got ["close"]`},
		{name: "a plain GET", o: rawclient.HandshakeOptions{Header: http.Header{"Connection": nil, "Upgrade": nil, key: nil, version: nil}},
			status: 426, body: "'Connection' header must contain 'upgrade', got []"},
		{name: "Upgrade: bogus", o: head("Upgrade", "bogus"), status: 426, body: `'Upgrade' header must contain 'websocket', got ["bogus"]`},
		{name: "Upgrade absent", o: head("Upgrade"), status: 426, body: `'Upgrade' header must contain 'websocket', got []`},
		{name: "key absent", o: head(key), status: 400, body: "'Sec-WebSocket-Key' header is absent"},
		{name: "version 12", o: head(version, "12"), status: 426, body: `'Sec-WebSocket-Version' header must equal '13', got ["12"]`},
		{name: "version 99", o: head(version, "99"), status: 426, body: `'Sec-WebSocket-Version' header must equal '13', got ["99"]`},
		{name: "version 0", o: head(version, "0"), status: 426, body: `got ["0"]`},
		{name: "version 7", o: head(version, "7"), status: 426, body: `got ["7"]`},
		{name: "version 8", o: head(version, "8"), status: 426, body: `got ["8"]`},
		{name: "version absent", o: head(version), status: 426, body: `'Sec-WebSocket-Version' header must equal '13', got []`},
		{name: "version list", o: head(version, "13, 8"), status: 426, body: `got ["13, 8"]`},
		{name: "version twice", o: head(version, "13", "8"), status: 426, body: `got ["13" "8"]`},
		{name: "Connection list", o: head("Connection", "keep-alive, Upgrade")},
		{name: "Connection twice", o: head("Connection", "keep-alive", "Upgrade")},
		{name: "Upgrade list", o: head("Upgrade", "foo, websocket")},
		{name: "Upgrade is part of a token", o: head("Upgrade", "websockets"), status: 426, body: `got ["websockets"]`},
		{name: "two keys", o: head(key, rawclient.DefaultKey, rawclient.DefaultKey), status: 400, body: "'Sec-WebSocket-Key' header given 2 times"},
		{name: "key x", o: head(key, "x"), status: 400, body: `'Sec-WebSocket-Key' header must be 16 bytes in base64, got "x"`},
		{name: "key eA==", o: head(key, "eA=="), status: 400, body: `got "eA=="`},
		{name: "key of 15 bytes", o: head(key, "MTIzNDU2Nzg5MDEyMzQ1"), status: 400, body: `got "MTIzNDU2Nzg5MDEyMzQ1"`},
		{name: "key of 17 bytes", o: head(key, "MTIzNDU2Nzg5MDEyMzQ1Njc="), status: 400, body: `got "MTIzNDU2Nzg5MDEyMzQ1Njc="`},
		{name: "key empty", o: head(key, ""), status: 400, body: `got ""`},
		{name: "Host missing", o: head("Host"), status: 400, body: "missing required Host header", http: true},
		{name: "Host twice", o: head("Host", "example.com", "example.org"), status: 400, body: "400 Bad Request", http: true},
		{name: "Host empty", o: head("Host", ""), status: 400, body: "'Host' header is absent"},
		{name: "a foreign Origin", o: head("Origin", "https://evil.example"), status: 403, body: `origin "https://evil.example" is neither that of the host`},
		{name: "two Origins", o: head("Origin", "http://example.com", "http://example.com"), status: 403, body: "'Origin' header given 2 times"},
	}
	texts := map[string]string{}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{})
			made := 0
			h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
				made++
				return echo(), nil
			}))
			if test.status == 0 {
				c := h.connect(test.o)
				wantEcho(t, c, "hello")
				goodbye(t, c)
				return
			}
			resp, body := h.refused(test.o)
			if resp.StatusCode != test.status || !strings.Contains(body, test.body) {
				t.Errorf("got %d %q, want %d with %q", resp.StatusCode, body, test.status, test.body)
			}
			if made != 0 {
				t.Error("newHandler was called")
			}
			if other, ok := texts[body]; ok {
				t.Errorf("the text %q is that of %q, too", body, other)
			}
			texts[body] = test.name
			if test.http {
				return
			}
			wantHeader := http.Header{}
			switch {
			case test.status == 405:
				wantHeader.Set("Allow", "GET")
			case test.status == 426: // RFC 9110 section 15.5.22; RFC 6455 section 4.4
				wantHeader.Set("Upgrade", "websocket")
				if strings.Contains(test.name, "version") {
					wantHeader.Set(version, "13")
				}
			}
			for _, name := range []string{"Allow", "Upgrade", version, "Sec-WebSocket-Accept"} {
				if got, want := resp.Header.Get(name), wantHeader.Get(name); got != want {
					t.Errorf("header %s: got %q, want %q", name, got, want)
				}
			}
			if n := h.srv.Count(); n != 0 {
				t.Errorf("Count: got %d, want 0", n)
			}
			h.wantEmpty()
		})
	}
}

// Upgrade says the same as Handler, and returns what it said.
func TestServer_Upgrade_returnsTheRefusal(t *testing.T) {
	h := newSite(t, socket.Config{})
	tests := []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"HTTP/2 GET", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0 }, 505},
		{"HTTP/2 CONNECT", func(r *http.Request) {
			r.Proto, r.ProtoMajor, r.ProtoMinor, r.Method = "HTTP/2.0", 2, 0, "CONNECT"
		}, 505},
		{"HTTP/3", func(r *http.Request) { r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0 }, 505},
		{"POST", func(r *http.Request) { r.Method = "POST" }, 405},
		{"no key", func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		{"version", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 426},
		{"Origin", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"no Hijacker", func(*http.Request) {}, 501},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := goodRequest()
			test.change(r)
			w := httptest.NewRecorder()
			hd := echo()
			pid, err := h.srv.Upgrade(w, r, hd)
			var ue *socket.UpgradeError
			if !errors.As(err, &ue) || ue.Status != test.status {
				t.Fatalf("Upgrade: got error %v, want *UpgradeError with status %d", err, test.status)
			}
			if pid != (actor.PID{}) {
				t.Errorf("PID: got %v, want the zero PID", pid)
			}
			want := ue.Err.Error()
			if test.status == 501 { // about us, not about the request
				want = http.StatusText(http.StatusNotImplemented)
			}
			if w.Code != test.status || strings.TrimSpace(w.Body.String()) != want {
				t.Errorf("answer: got %d %q, want %d %q", w.Code, w.Body, ue.Status, want)
			}
			if !strings.Contains(err.Error(), fmt.Sprint(test.status)) || !strings.Contains(err.Error(), ue.Err.Error()) {
				t.Errorf("error text %q names not both %d and %q", err, test.status, ue.Err)
			}
			if calls := hd.log(); len(calls) != 0 {
				t.Errorf("callbacks: got %q, want none", calls)
			}
			h.wantEmpty()
		})
	}
	t.Run("nil Handler", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("Upgrade with a nil Handler: no panic, want one")
			}
		}()
		h.srv.Upgrade(httptest.NewRecorder(), goodRequest(), nil)
	})
}

// goodRequest is a well-formed one for calling a handler directly.
func goodRequest() *http.Request {
	r := httptest.NewRequest("GET", "http://example.com/ws", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", rawclient.DefaultKey)
	return r
}

// The 101, with what middleware has set and nothing of a body. The order of the header lines of others is
// net/http's.
func TestServer_writesThe101(t *testing.T) {
	bubble(t, "headers", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		sockets := h.sockets(func() websock.Handler { return echo() })
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Set-Header", "itsaheader")
			w.Header().Set("Cache-Control", "max-age=0, private, must-revalidate")
			w.Header().Set("Sec-WebSocket-Extensions", "not-negotiated")
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
			http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
			sockets.ServeHTTP(w, r)
		}))
		c, resp, err := h.shake(rawclient.HandshakeOptions{Header: http.Header{"Accept-Encoding": {"deflate, gzip"}}})
		if c == nil {
			t.Fatalf("handshake: %+v, %v", resp, err)
		}
		defer c.Conn().Close()
		if resp.Status != "101 Switching Protocols" {
			t.Errorf("status: got %q, want 101 Switching Protocols", resp.Status)
		}
		want := http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {rawclient.DefaultAccept},
			"X-Set-Header": {"itsaheader"}, "Cache-Control": {"max-age=0, private, must-revalidate"},
			"Set-Cookie": {"session=1", "theme=dark"},
		}
		delete(resp.Header, "Date")
		for name, values := range resp.Header {
			if !slices.Equal(values, want[name]) { // Content-*, Transfer-Encoding and Vary among them
				t.Errorf("header %s: got %q, want %q", name, values, want[name])
			}
		}
		for name := range want {
			if _, ok := resp.Header[name]; !ok {
				t.Errorf("header %s is missing", name)
			}
		}
		wantEcho(t, c, "hello")
	})
}

// The first Result of newHandler decides what the client is told; a text of ours never is.
func TestServer_Handler_newHandlerRefuses(t *testing.T) {
	secret := errors.New("secret: password of the database")
	tests := []struct {
		name   string
		make   func(*http.Request) (websock.Handler, error)
		status int
		header http.Header
		logged bool
	}{
		{"403", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 403, Err: secret}
		}, 403, nil, false},
		{"429 with header", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 429, Header: http.Header{"Retry-After": {"7"}, "x-lower": {"1"}}, Err: secret}
		}, 429, http.Header{"Retry-After": {"7"}, "X-Lower": {"1"}}, false},
		{"401 without Err", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 401}
		}, 401, nil, false},
		{"wrapped", func(*http.Request) (websock.Handler, error) {
			return nil, fmt.Errorf("auth: %w", &socket.UpgradeError{Status: 403, Err: secret})
		}, 403, nil, false},
		{"redirect", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 302, Header: http.Header{"Location": {"/login"}}}
		}, 302, http.Header{"Location": {"/login"}}, false},
		{"another error", func(*http.Request) (websock.Handler, error) { return nil, secret }, 500, nil, true},
		{"an error and a handler", func(*http.Request) (websock.Handler, error) { return echo(), secret }, 500, nil, true},
		{"status 0", func(*http.Request) (websock.Handler, error) { return nil, &socket.UpgradeError{Err: secret} }, 500, nil, true},
		{"status 101", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 101, Err: secret}
		}, 500, nil, true},
		{"status 200", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 200, Err: secret}
		}, 500, nil, true},
		{"status 1000", func(*http.Request) (websock.Handler, error) {
			return nil, &socket.UpgradeError{Status: 1000, Err: secret}
		}, 500, nil, true},
		{"nil *UpgradeError", func(*http.Request) (websock.Handler, error) {
			return nil, (*socket.UpgradeError)(nil)
		}, 500, nil, true},
		{"nil handler", func(*http.Request) (websock.Handler, error) { return nil, nil }, 500, nil, true},
		{"panic", func(*http.Request) (websock.Handler, error) { panic("boom") }, 0, nil, true},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{MaxSockets: 1})
			makeOne := test.make
			h.overMemory(h.srv.Handler(func(r *http.Request) (websock.Handler, error) { return makeOne(r) }))
			if test.status == 0 { // net/http's recovery
				if c, resp, err := h.shake(rawclient.HandshakeOptions{}); c != nil || err == nil {
					t.Errorf("got response %+v, error %v, want a closed connection", resp, err)
				}
			} else {
				resp, body := h.refused(rawclient.HandshakeOptions{})
				if resp.StatusCode != test.status || strings.TrimSpace(body) != http.StatusText(test.status) {
					t.Errorf("got %d %q, want %d %q", resp.StatusCode, body, test.status, http.StatusText(test.status))
				}
				for name, want := range test.header {
					if got := resp.Header[name]; !slices.Equal(got, want) {
						t.Errorf("header %s: got %q, want %q", name, got, want)
					}
				}
			}
			synctest.Wait()
			logged := h.logs.all(slog.LevelError)
			if (len(logged) > 0) != test.logged {
				t.Errorf("log: got %+v, want any: %v", logged, test.logged)
			}
			h.wantEmpty()
			// The place is free.
			makeOne = func(*http.Request) (websock.Handler, error) { return echo(), nil }
			c := h.connect(rawclient.HandshakeOptions{})
			wantEcho(t, c, "hello")
			goodbye(t, c)
		})
	}
}

// newHandler runs after the checks, on the HTTP goroutine, with the whole request.
func TestServer_Handler_newHandlerSeesTheRequest(t *testing.T) {
	bubble(t, "path and query", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		mux := http.NewServeMux()
		mux.Handle("GET /rooms/{room}/ws", h.srv.Handler(func(r *http.Request) (websock.Handler, error) {
			who := r.PathValue("room") + " " + r.FormValue("user")
			return &handler{init: func(context.Context) websock.Result { return websock.Push(websock.Text(who)) }}, nil
		}))
		h.overMemory(mux)
		c := h.connect(rawclient.HandshakeOptions{Path: "/rooms/lobby/ws?user=ann"})
		wantMessage(t, c, rawclient.OpText, "lobby ann")
		goodbye(t, c)
	})
}

// What is sent to the PID before Init has run is handled after it.
func TestServer_Upgrade_pidCanBeUsedAtOnce(t *testing.T) {
	bubble(t, "send, label and exit", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		proceed := make(chan struct{})
		hd := &handler{
			init: func(ctx context.Context) websock.Result {
				<-proceed
				return websock.Push(websock.Text("init of " + actor.Self(ctx).String()))
			},
			info: func(_ context.Context, msg any) websock.Result { return websock.Push(websock.Text(msg.(string))) },
		}
		pids := make(chan actor.PID, 1)
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pid, err := h.srv.Upgrade(w, r, hd)
			if err != nil {
				t.Errorf("Upgrade: %v", err)
			}
			if !pid.Alive() || !pid.Send("one") || !pid.Send(websock.Text("two")) || !pid.Send("three") ||
				!pid.Exit(&websock.CloseError{Code: 4000, Reason: "bye"}) {
				t.Error("the PID cannot be used at once")
			}
			if info, err := h.srv.Info(pid); err != nil || info.PID != pid {
				t.Errorf("Info: got %+v, %v", info, err)
			}
			pids <- pid
			close(proceed)
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		pid := <-pids
		for _, want := range []string{"init of " + pid.String(), "one", "two", "three"} {
			wantMessage(t, c, rawclient.OpText, want)
		}
		wantClosed(t, c, 4000)
		c.Close(4000, "")
		h.wantEnds(1)
	})
}

// What came in one segment with the request belongs to the socket.
func TestServer_handlesFramesAfterTheRequest(t *testing.T) {
	frame := func(opcode byte, p string) []byte {
		return rawclient.AppendFrame(nil, rawclient.Frame{Fin: true, Masked: true, Opcode: opcode, Payload: []byte(p)}, rawclient.DefaultMask)
	}
	join := func(ps ...[]byte) []byte { return slices.Concat(ps...) }
	big := strings.Repeat("x", 50_000)
	closing := frame(rawclient.OpClose, "\x03\xe8")
	tests := []struct {
		name  string
		extra []byte
		rest  []byte // sent after the handshake
		want  []string
		close bool
	}{
		{"one frame", frame(rawclient.OpText, "hello"), nil, []string{"hello"}, false},
		{"three frames", join(frame(1, "a"), frame(1, "b"), frame(1, "c")), nil, []string{"a", "b", "c"}, false},
		{"one byte", frame(1, "hello")[:1], frame(1, "hello")[1:], []string{"hello"}, false},
		{"one and a half", join(frame(1, "a"), frame(1, "hello")[:5]), frame(1, "hello")[5:], []string{"a", "hello"}, false},
		{"more than a buffer of net/http", frame(1, big), nil, []string{big}, false},
		{"half of more than a buffer", frame(1, big)[:30_000], frame(1, big)[30_000:], []string{big}, false},
		{"a frame and a Close", join(frame(1, "a"), closing), nil, []string{"a"}, true},
		{"only a Close", closing, nil, nil, true},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
			c := h.connect(rawclient.HandshakeOptions{Extra: test.extra})
			if len(test.rest) > 0 {
				c.WriteBytes(test.rest)
			}
			for _, want := range test.want {
				wantMessage(t, c, rawclient.OpText, want)
			}
			if test.close {
				wantClosed(t, c, 1000)
				return
			}
			goodbye(t, c)
		})
	}
}

// Beyond MaxSockets the answer is 503, before newHandler is asked, and every end gives its place back.
func TestServer_holdsToMaxSockets(t *testing.T) {
	bubble(t, "ends give the place back", func(t *testing.T) {
		h := newSite(t, socket.Config{MaxSockets: 2})
		made := 0
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
			made++
			return echo(), nil
		}))
		keep := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		ends := []struct {
			name string
			end  func(c *rawclient.Client, pid actor.PID)
		}{
			{"Close", func(c *rawclient.Client, _ actor.PID) { goodbye(t, c) }},
			{"TCP gone", func(c *rawclient.Client, _ actor.PID) { c.Conn().Close() }},
			{"reset", func(c *rawclient.Client, _ actor.PID) { c.Conn().(*pipe.Conn).Reset() }},
			{"kill", func(_ *rawclient.Client, pid actor.PID) { pid.Exit(actor.ErrKilled) }},
			{"stop", func(c *rawclient.Client, pid actor.PID) {
				pid.Exit(actor.ErrNormal)
				wantClosed(t, c, 1000)
				c.Conn().Close()
			}},
		}
		seen := map[actor.PID]bool{}
		for pid := range h.srv.Sockets() {
			seen[pid] = true
		}
		for i, test := range ends {
			c := h.connect(rawclient.HandshakeOptions{})
			before := made
			resp, body := h.refused(rawclient.HandshakeOptions{})
			if resp.StatusCode != 503 || !strings.Contains(body, "full") {
				t.Errorf("%s: a third upgrade: got %d %q, want 503 that says full", test.name, resp.StatusCode, body)
			}
			if made != before {
				t.Errorf("%s: newHandler was called for an upgrade that has no place", test.name)
			}
			synctest.Wait() // the 101 is out before the socket can be found
			var pid actor.PID
			for p := range h.srv.Sockets() {
				if !seen[p] {
					pid = p
				}
			}
			seen[pid] = true
			test.end(c, pid)
			h.wantEnds(i + 1)
			synctest.Wait() // the place is given back after OnClose
		}
		wantEcho(t, keep, "still here")
		goodbye(t, keep)
	})
	bubble(t, "many at once", func(t *testing.T) {
		h := memorySite(t, socket.Config{MaxSockets: 10}, func() websock.Handler { return echo() })
		var wg sync.WaitGroup
		var mu sync.Mutex
		statuses := map[int]int{}
		for range 100 {
			wg.Go(func() {
				c, resp, err := h.shake(rawclient.HandshakeOptions{})
				if err != nil {
					t.Errorf("handshake: %v", err)
					return
				}
				if c != nil {
					t.Cleanup(func() { c.Conn().Close() })
				}
				mu.Lock()
				defer mu.Unlock()
				statuses[resp.StatusCode]++
			})
		}
		wg.Wait()
		if statuses[101] != 10 || statuses[503] != 90 {
			t.Errorf("100 upgrades, MaxSockets 10: got %v, want 10 times 101 and 90 times 503", statuses)
		}
		synctest.Wait() // a client has its 101 before the server counts its socket
		if n := h.srv.Count(); n != 10 {
			t.Errorf("Count: got %d, want 10", n)
		}
	})
}

func TestServer_refusesAfterShutdown(t *testing.T) {
	bubble(t, "503", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
			t.Error("newHandler was called")
			return echo(), nil
		}))
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Fatalf("Shutdown: %v", err)
		}
		resp, body := h.refused(rawclient.HandshakeOptions{})
		if resp.StatusCode != 503 || !strings.Contains(body, "closed") {
			t.Errorf("got %d %q, want 503 that says closed", resp.StatusCode, body)
		}
		_, err := h.srv.Upgrade(httptest.NewRecorder(), goodRequest(), echo())
		if ue := (*socket.UpgradeError)(nil); !errors.As(err, &ue) || ue.Status != 503 {
			t.Errorf("Upgrade: got %v, want *UpgradeError with 503", err)
		}
	})
	bubble(t, "while newHandler runs", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		inside, proceed := make(chan struct{}), make(chan struct{})
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
			close(inside)
			<-proceed
			return echo(), nil
		}))
		go func() {
			<-inside
			if err := h.srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			close(proceed)
		}()
		if resp, body := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 503 {
			t.Errorf("got %d %q, want 503", resp.StatusCode, body)
		}
		h.wantEmpty()
	})
}

// What net/http knows of the request is over when the handler returns, and its context too; the socket lives on.
func TestServer_Upgrade_outlivesTheRequest(t *testing.T) {
	bubble(t, "context and body", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		var request *http.Request
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request = r
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			h.srv.Upgrade(w, r.WithContext(ctx), echo())
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		wantEcho(t, c, "one")
		synctest.Wait() // the socket may answer before the handler has returned
		if err := request.Context().Err(); err == nil {
			t.Error("the request's context is not done: the handler has not returned")
		}
		wantEcho(t, c, "two")
		goodbye(t, c)
		if _, err := c.Conn().Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a closed client: got %v", err)
		}
	})
}
