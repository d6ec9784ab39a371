package socket_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// refusals are the lines about upgrades that were refused. It is for bubbles: the log is written a moment later.
func (l *logs) refusals() []record {
	synctest.Wait()
	return slices.DeleteFunc(l.all(slog.LevelDebug), func(r record) bool { return r.message != "upgrade refused" })
}

// TestRefusal_isLogged: one line, which names what a developer has to look at, and what to set.
func TestRefusal_isLogged(t *testing.T) {
	head := func(name string, values ...string) rawclient.HandshakeOptions {
		return rawclient.HandshakeOptions{Path: "/ws?token=s3cr3t", Header: http.Header{name: values}}
	}
	refuseWith := func(err error) func(*http.Request) (websock.Handler, error) {
		return func(*http.Request) (websock.Handler, error) { return nil, err }
	}
	for name, tt := range map[string]struct {
		o     rawclient.HandshakeOptions
		make  func(*http.Request) (websock.Handler, error)
		level slog.Level
		want  map[string]string // attributes, or a part of them
		not   []string          // attributes
	}{
		"a page of another port": {
			o: rawclient.HandshakeOptions{Path: "/ws?token=s3cr3t", Host: "localhost:4000", Header: http.Header{"Origin": {"http://localhost:5173"}}}, level: slog.LevelInfo,
			want: map[string]string{"status": "403", "origin": "http://localhost:5173", "host": "localhost:4000", "path": "/ws",
				"error": `origin "http://localhost:5173" is neither that of the host "localhost:4000"`,
				"hint":  `add "http://localhost:5173" to Config.OriginPatterns; if a proxy has changed the Host`},
			not: []string{"omitted"},
		},
		"a page behind a proxy": {
			o: rawclient.HandshakeOptions{Path: "/ws?token=s3cr3t", Host: "backend", Header: http.Header{"Origin": {"https://app.example"}}}, level: slog.LevelInfo,
			want: map[string]string{"status": "403", "host": "backend", "origin": "https://app.example"},
		},
		"an origin that is none":  {o: head("Origin", "https://a@example.com"), level: slog.LevelDebug, want: map[string]string{"status": "403", "error": "not an origin"}},
		"version":                 {o: head("Sec-WebSocket-Version", "8"), level: slog.LevelInfo, want: map[string]string{"status": "426", "hint": "version 13"}, not: []string{"origin"}},
		"HTTP/1.0":                {o: rawclient.HandshakeOptions{Path: "/ws?token=s3cr3t", Proto: "HTTP/1.0"}, level: slog.LevelInfo, want: map[string]string{"status": "426", "hint": "proxy_http_version 1.1"}},
		"method":                  {o: rawclient.HandshakeOptions{Path: "/ws?token=s3cr3t", Method: "PUT"}, level: slog.LevelInfo, want: map[string]string{"status": "405", "hint": "GET"}},
		"a proxy without Upgrade": {o: head("Upgrade"), level: slog.LevelInfo, want: map[string]string{"status": "426", "hint": "does not pass on"}},
		"a plain GET":             {o: head("Connection", "close"), level: slog.LevelInfo, want: map[string]string{"status": "426", "hint": "plain HTTP request"}},
		"key":                     {o: head("Sec-WebSocket-Key", "x"), level: slog.LevelDebug, want: map[string]string{"status": "400"}, not: []string{"hint"}},
		"the application": {o: head("X", "y"), make: refuseWith(&socket.UpgradeError{Status: 401, Err: errors.New("no such user")}), level: slog.LevelDebug,
			want: map[string]string{"status": "401", "error": "no such user"}, not: []string{"hint"}},
		"the application, without a cause": {o: head("X", "y"), make: refuseWith(&socket.UpgradeError{Status: 401}), level: slog.LevelDebug,
			want: map[string]string{"status": "401", "error": "Unauthorized"}},
		"headers without end": {o: head("Upgrade", slices.Repeat([]string{strings.Repeat("x", 5000)}, 20)...), level: slog.LevelInfo, want: map[string]string{"status": "426"}},
	} {
		bubble(t, name, func(t *testing.T) {
			h := newSite(t, socket.Config{})
			if tt.make == nil {
				tt.make = func(*http.Request) (websock.Handler, error) { return echo(), nil }
			}
			h.overMemory(h.srv.Handler(tt.make))
			h.refused(tt.o)
			lines := h.logs.refusals()
			if len(lines) != 1 {
				t.Fatalf("got %d lines %+v, want one", len(lines), lines)
			}
			line := lines[0]
			if line.level != tt.level {
				t.Errorf("level: got %v, want %v", line.level, tt.level)
			}
			for key, want := range tt.want {
				if got := line.attrs[key].String(); !strings.Contains(got, want) {
					t.Errorf("%s: got %q, want it to contain %q", key, got, want)
				}
			}
			for _, key := range tt.not {
				if got, ok := line.attrs[key]; ok {
					t.Errorf("%s: got %v, want none", key, got)
				}
			}
			if line.attrs["remote_addr"].String() == "" {
				t.Error("no remote_addr")
			}
			if strings.Contains(line.text, "s3cr3t") || len(line.text) > 8000 {
				t.Errorf("the line has the query, or %d bytes: %.300s", len(line.text), line.text)
			}
		})
	}
	bubble(t, "an error whose Error panics", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(h.srv.Handler(refuseWith(&socket.UpgradeError{Status: 401, Err: (*socket.UpgradeError)(nil)})))
		if resp, _ := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 401 {
			t.Errorf("got %d, want 401", resp.StatusCode)
		}
		if lines := h.logs.refusals(); len(lines) != 1 {
			t.Errorf("got %+v, want one line", lines)
		}
	})
	bubble(t, "a failing newHandler has its own line", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(h.srv.Handler(refuseWith(errors.New("oops"))))
		h.refused(rawclient.HandshakeOptions{})
		synctest.Wait()
		if lines := h.logs.all(slog.LevelDebug); len(lines) != 1 || lines[0].level != slog.LevelError {
			t.Errorf("got %+v, want one line at Error", lines)
		}
	})
	bubble(t, "paths without end", func(t *testing.T) {
		for want, make := range map[string]func(*http.Request) (websock.Handler, error){
			"newHandler failed": refuseWith(errors.New("oops")), "upgrade refused": refuseWith(&socket.UpgradeError{Status: 401}),
		} {
			h := newSite(t, socket.Config{})
			h.overMemory(h.srv.Handler(make))
			h.refused(rawclient.HandshakeOptions{Path: "/" + strings.Repeat("x", 100_000)})
			synctest.Wait()
			if lines := h.logs.all(slog.LevelDebug); len(lines) != 1 || lines[0].message != want || len(lines[0].text) > 8000 {
				t.Errorf("got %d lines, the first %.200q of %d bytes; want one of at most 8000, %q", len(lines), lines[0].text, len(lines[0].text), want)
			}
		}
	})
	bubble(t, "a full server", func(t *testing.T) {
		h := memorySite(t, socket.Config{MaxSockets: 1}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		h.refused(rawclient.HandshakeOptions{})
		if lines := h.logs.refusals(); len(lines) != 1 || lines[0].level != slog.LevelDebug || lines[0].attrs["status"].Int64() != 503 {
			t.Errorf("got %+v, want one line at Debug with 503", lines)
		}
		goodbye(t, c)
	})
}

// TestRefusal_logIsBounded: strangers decide how often they are refused, not how many lines are written.
func TestRefusal_logIsBounded(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		refuse := func(n int, o rawclient.HandshakeOptions) {
			for range n {
				h.refused(o)
			}
		}
		foreign := rawclient.HandshakeOptions{Header: http.Header{"Origin": {"https://evil.example"}}}
		refuse(100, rawclient.HandshakeOptions{Header: http.Header{"Sec-WebSocket-Key": nil}}) // Debug, which takes no place from Info
		refuse(100, foreign)
		if n := len(h.logs.refusals()); n != 20 {
			t.Errorf("200 refusals at once, 100 at each level: got %d lines, want 20", n)
		}
		time.Sleep(time.Second)
		refuse(1, foreign)
		lines := h.logs.refusals()
		if n := len(lines); n != 21 || lines[20].attrs["omitted"].String() != "90" {
			t.Fatalf("a second later: got %d lines %+v; want 21, the last with omitted=90", n, lines)
		}
		refuse(1, foreign)
		if lines = h.logs.refusals(); len(lines) != 22 || lines[21].attrs["omitted"].String() != "<nil>" {
			t.Errorf("then: got %d lines %+v, want 22, the last without omitted", len(lines), lines)
		}
	})
}

// TestRefusal_faultsAreBounded: a database that is down is told of ten times a second, not for each client that comes back.
func TestRefusal_faultsAreBounded(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) { return nil, errors.New("no database") }))
		faults := func(n int) []record {
			for range n {
				h.refused(rawclient.HandshakeOptions{})
			}
			synctest.Wait()
			return h.logs.all(slog.LevelDebug)
		}
		if lines := faults(100); len(lines) != 10 {
			t.Errorf("100 faults at once: got %d lines, want 10", len(lines))
		}
		time.Sleep(time.Second)
		lines := faults(1)
		if n := len(lines); n != 11 || lines[10].message != "newHandler failed" || lines[10].attrs["omitted"].String() != "90" {
			t.Errorf("a second later: got %d lines; want 11, the last with omitted=90", n)
		}
	})
}

// TestRefusal_closesTheConnection: whatever the http.Server is set to, a client that was refused holds nothing.
func TestRefusal_closesTheConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		o      rawclient.HandshakeOptions
		status int
		within time.Duration
	}{
		"426":              {o: rawclient.HandshakeOptions{Header: http.Header{"Upgrade": nil}}, status: 426},
		"403":              {o: rawclient.HandshakeOptions{Header: http.Header{"Origin": {"https://evil.example"}}}, status: 403},
		"HTTP/1.0":         {o: rawclient.HandshakeOptions{Proto: "HTTP/1.0", Header: http.Header{"Connection": {"keep-alive"}}}, status: 426},
		"401":              {o: rawclient.HandshakeOptions{Path: "/401"}, status: 401},
		"500":              {o: rawclient.HandshakeOptions{Path: "/500"}, status: 500},
		"a short body":     {o: rawclient.HandshakeOptions{Header: http.Header{"Content-Length": {"5"}}}, status: 400, within: time.Second},
		"a long body":      {o: rawclient.HandshakeOptions{Header: http.Header{"Content-Length": {"100000"}}}, status: 400, within: time.Second},
		"a larger body":    {o: rawclient.HandshakeOptions{Header: http.Header{"Content-Length": {"300000"}}}, status: 400, within: time.Second},
		"chunks":           {o: rawclient.HandshakeOptions{Header: http.Header{"Transfer-Encoding": {"chunked"}}}, status: 400, within: time.Second},
		"half a body":      {o: rawclient.HandshakeOptions{Header: http.Header{"Content-Length": {"5"}}, Extra: []byte("abc")}, status: 400, within: time.Second},
		"a body to a POST": {o: rawclient.HandshakeOptions{Method: "POST", Header: http.Header{"Content-Length": {"5"}}}, status: 405, within: time.Second},
		"100-continue":     {o: rawclient.HandshakeOptions{Header: http.Header{"Content-Length": {"5"}, "Expect": {"100-continue"}}}, status: 400, within: time.Second},
	} {
		bubble(t, name, func(t *testing.T) {
			h := newSite(t, socket.Config{})
			h.overMemory(h.srv.Handler(func(r *http.Request) (websock.Handler, error) {
				if r.URL.Path == "/401" {
					return nil, &socket.UpgradeError{Status: 401}
				}
				return nil, errors.New("oops")
			}))
			conn, err := h.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			start := time.Now()
			conn.SetReadDeadline(start.Add(time.Hour))
			_, resp, err := rawclient.Handshake(conn, tt.o)
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if resp.StatusCode != tt.status {
				t.Errorf("status: got %d, want %d", resp.StatusCode, tt.status)
			}
			if !resp.Close {
				t.Errorf("Connection: got %q, want close in it", resp.Header["Connection"])
			}
			if n, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("after the answer: got %d bytes, %v, want io.EOF", n, err)
			}
			if d := time.Since(start); d > tt.within+500*time.Millisecond {
				t.Errorf("the connection was open for %v, want at most %v", d, tt.within)
			}
			time.Sleep(time.Second) // net/http waits for a client to read before RST
		})
	}
	bubble(t, "the header of a 426", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		r := goodRequest()
		r.Header.Del("Upgrade")
		w := httptest.NewRecorder()
		h.srv.Upgrade(w, r, echo())
		if got, want := w.Header()["Connection"], []string{"close", "Upgrade"}; !slices.Equal(got, want) { // RFC 9110 section 7.8
			t.Errorf("Connection: got %q, want %q", got, want)
		}
	})
	bubble(t, "not that of a page over HTTP/2", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		r := goodRequest()
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		w := httptest.NewRecorder()
		h.srv.Upgrade(w, r, echo())
		if got := w.Header()["Connection"]; got != nil {
			t.Errorf("Connection: got %q, want none", got)
		}
	})
}

// TestUpgrade_twice: a request that has become a socket cannot become another one, and net/http has nothing to say.
func TestUpgrade_twice(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		second := make(chan error, 1)
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := h.srv.Upgrade(w, r, echo()); err != nil {
				t.Errorf("the first Upgrade: %v", err)
			}
			_, err := h.srv.Upgrade(w, r, echo())
			second <- err
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		var ue *socket.UpgradeError
		if err := <-second; !errors.As(err, &ue) || ue.Status != 101 || !strings.Contains(err.Error(), "before") {
			t.Errorf("the second Upgrade: got %v, want an *UpgradeError with 101 that says so", err)
		}
		wantEcho(t, c, "hello")
		goodbye(t, c)
		h.wantEnds(1)
		synctest.Wait()
		for _, l := range h.logs.all(slog.LevelWarn) {
			if l.message != "upgrade of a request that has been upgraded before" {
				t.Errorf("logged: %s", l.text)
			}
		}
	})
}

// TestRefusal_overHTTP2: with http2xconnect browsers do not fall back to HTTP/1.1. The log says so once.
func TestRefusal_overHTTP2(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		for i := range 3 {
			r := goodRequest()
			r.Proto, r.ProtoMajor, r.ProtoMinor, r.Method = "HTTP/2.0", 2, 0, http.MethodConnect
			r.Header[":protocol"] = []string{"websocket"}
			w := httptest.NewRecorder()
			h.srv.Upgrade(w, r, echo())
			if w.Code != 505 {
				t.Errorf("request %d: got %d, want 505", i, w.Code)
			}
		}
		synctest.Wait()
		warned := h.logs.all(slog.LevelWarn)
		if len(warned) != 1 || !strings.Contains(warned[0].text, "http2xconnect") {
			t.Errorf("got %+v, want one warning that names http2xconnect", warned)
		}
	})
}

// noBufio gives the connection away and nothing else.
type noBufio struct{ http.ResponseWriter }

func (n noBufio) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, _, err := http.NewResponseController(n.ResponseWriter).Hijack()
	return conn, nil, err
}

// TestUpgrade_withoutBufio: a ResponseWriter of somebody else's may return nothing but the connection.
func TestUpgrade_withoutBufio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSite(t, socket.Config{})
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := h.srv.Upgrade(noBufio{w}, r, echo()); err != nil {
				t.Errorf("Upgrade: %v", err)
			}
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		wantEcho(t, c, "hello")
		goodbye(t, c)
	})
}

// TestUpgrade_changedRequest: newHandler may break the request that was checked before it. That says nothing about where
// the handler is mounted.
func TestUpgrade_changedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSite(t, socket.Config{MaxSockets: 1})
		h.overMemory(h.srv.Handler(func(r *http.Request) (websock.Handler, error) {
			r.Header.Del("Sec-WebSocket-Key")
			return echo(), nil
		}))
		for range 2 { // the place is given back
			if resp, body := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 400 {
				t.Errorf("got %d %q, want 400", resp.StatusCode, body)
			}
		}
		synctest.Wait() // for the log
		if lines := h.logs.all(slog.LevelError); len(lines) != 0 {
			t.Errorf("log: %+v, want no error", lines)
		}
		h.wantEmpty()
	})
}
