package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The tests are over TCP on loopback: what wsctl does on a network, with an http.Client and a Dialer, is what they are about.

// program is one that has mounted an observer.
type program struct {
	t   *testing.T
	srv *socket.Server
	url string // of the observer
	ws  string

	closed chan socket.Closed
}

type visitor struct{ room string }

func (v *visitor) Init(ctx context.Context) websock.Result {
	actor.SetLabel(ctx, v.room)
	return websock.OK()
}
func (v *visitor) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	return websock.Push(msg)
}
func (v *visitor) HandleInfo(context.Context, any) websock.Result { return websock.OK() }
func (v *visitor) Describe() any                                  { return map[string]string{"room": v.room} }

func start(t *testing.T, authorize func(*http.Request) (observer.Access, string)) *program {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	closed := make(chan socket.Closed, 100)
	sys, err := actor.NewSystem(actor.Config{Logger: quiet})
	must(t, err)
	reg := registry.New(sys)
	srv, err := socket.New(socket.Config{Name: "chat", System: sys, Logger: quiet, Record: 1, TapPayload: true, CloseTimeout: time.Second,
		OnClose: func(c socket.Closed) { closed <- c },
		Subject: func(r *http.Request) string { return r.URL.Query().Get("user") }})
	must(t, err)
	tree, err := supervisor.New(supervisor.Config{Name: "service", Logger: quiet}, supervisor.ChildSpec{ID: "sockets", Service: srv})
	must(t, err)
	obs := observer.Handler(observer.Config{Servers: []*socket.Server{srv}, Registry: reg, Supervisors: []supervisor.Service{tree},
		Authorize: authorize, Logger: quiet})
	mux := http.NewServeMux()
	mux.Handle("/observer/", http.StripPrefix("/observer", obs))
	mux.Handle("/ws", srv.Handler(func(r *http.Request) (websock.Handler, error) {
		return &visitor{room: strings.Clone(r.URL.Query().Get("room"))}, nil
	}))
	mux.HandleFunc("/other/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\x1b[31m") })
	hs := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, end := range []func(context.Context) error{obs.Shutdown, srv.Shutdown, sys.Shutdown} {
			if err := end(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		hs.Close()
		direct.CloseIdleConnections()
	})
	return &program{t: t, closed: closed, srv: srv, url: hs.URL + "/observer", ws: "ws" + strings.TrimPrefix(hs.URL, "http") + "/ws"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mayAct(*http.Request) (observer.Access, string) { return observer.Act, "ann" }

// dial connects a client and returns its PID.
func (p *program) dial(query string) (*websocket.Conn, string) {
	p.t.Helper()
	before := make(map[actor.PID]bool)
	for pid := range p.srv.Sockets() {
		before[pid] = true
	}
	c, _, err := websocket.Dial(p.t.Context(), p.ws+"?"+query, nil) //nolint:bodyclose // it is the connection
	must(p.t, err)
	p.t.Cleanup(func() { c.CloseNow() })
	must(p.t, c.Write(p.t.Context(), websocket.MessageText, []byte("hello"))) // when the answer is there, Init has run
	_, _, err = c.Read(p.t.Context())
	must(p.t, err)
	for pid := range p.srv.Sockets() {
		if !before[pid] {
			return c, pid.String()
		}
	}
	p.t.Fatal("the socket is not there")
	return nil, ""
}

// wsctl runs a command.
func (p *program) wsctl(args ...string) (code int, out, errOut string) {
	p.t.Helper()
	var o, e bytes.Buffer
	code = run(p.t.Context(), append([]string{"-url", p.url}, args...), &o, &e)
	return code, o.String(), e.String()
}

// want runs a command that ends with a code, and checks that all texts are in what it prints.
func (p *program) want(code int, args []string, texts ...string) string {
	p.t.Helper()
	got, out, errOut := p.wsctl(args...)
	if got != code {
		p.t.Errorf("wsctl %q: ended with %d, want %d; %s%s", args, got, code, out, errOut)
	}
	for _, s := range texts {
		if !strings.Contains(out+errOut, s) {
			p.t.Errorf("wsctl %q: got\n%s%s\nwant %q in it", args, out, errOut, s)
		}
	}
	return out
}

func TestLook(t *testing.T) {
	p := start(t, nil)
	_, ann := p.dial("user=ann&room=kitchen")
	_, bob := p.dial("user=bob&room=cellar")
	p.want(0, []string{"ls"}, "PID", "MAILBOX", ann, bob, "kitchen", "2 of 2 sockets")
	if out := p.want(0, []string{"ls", "-q", "kitchen"}, ann, "1 of 2 sockets"); strings.Contains(out, bob) {
		t.Errorf("ls -q kitchen: got\n%s\nwant ann alone", out)
	}
	p.want(0, []string{"ls", "-n", "1", "-sort", "age"}, ann)
	p.want(0, []string{"top", "-times", "2", "-every", "1ms"}, ann, bob)
	p.want(0, []string{"show", ann}, "label      kitchen", "subject    ann", `"room":"kitchen"`, "event", "text, 5 B, took", "*main.visitor")
	p.want(0, []string{"tree"}, "service  supervisor", "  sockets  server", "2 open")
	p.want(0, []string{"nodes"}, "this is local", "NODE")
	pid, err := p.srv.System().ParsePID(bob)
	must(t, err)
	pid.Exit(actor.ErrKilled)
	<-p.closed // its end is among the last ones
	p.want(0, []string{"exits"}, bob, "killed", "cellar")
	p.want(0, []string{"show", bob}, "ended", "killed")
	for _, args := range [][]string{{"ls"}, {"show", ann}, {"show", bob}, {"tree"}, {"nodes"}, {"exits"}, {"top", "-times", "1"}} {
		out := p.want(0, append([]string{"-json"}, args...))
		var v map[string]any
		if err := json.Unmarshal([]byte(out), &v); err != nil || v["at"] == nil || strings.Count(out, "\n") != 1 {
			t.Errorf("wsctl -json %q: got %q, %v; want one line of JSON", args, out, err)
		}
	}
}

func TestAct(t *testing.T) {
	p := start(t, mayAct)
	c, pid := p.dial("user=ann&room=kitchen")
	p.want(0, []string{"send", pid, "höi <b>"}, "sent "+pid)
	_, b, err := c.Read(t.Context())
	if err != nil || string(b) != "höi <b>" {
		t.Errorf("the client: got %q, %v", b, err)
	}
	p.want(0, []string{"kick", "-code", "4003", "-reason", "bye", pid}, "kicked "+pid)
	_, _, err = c.Read(t.Context())
	if websocket.CloseStatus(err) != 4003 || !strings.Contains(err.Error(), "bye") {
		t.Errorf("the client: got %v, want 4003 bye", err)
	}
	_, pid = p.dial("")
	p.want(0, []string{"kick", "-kill", pid}, "killed "+pid)
	c, _ = p.dial("")
	p.want(0, []string{"drain", "chat"}, "draining chat")
	if _, _, err = c.Read(t.Context()); websocket.CloseStatus(err) != 1001 {
		t.Errorf("the client: got %v, want 1001", err)
	}
}

func TestErrors(t *testing.T) {
	p := start(t, nil)
	_, pid := p.dial("")
	const nobody = "99.0123456789abcdef@local"
	for _, tt := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"show", nobody}, 1, "(404 gone)"},
		{[]string{"show", "x"}, 1, "(400 bad_request)"},
		{[]string{"show", "1.0123456789abcdef@other"}, 1, "(404 elsewhere)"},
		{[]string{"show", "../../x"}, 1, ""},
		{[]string{"ls", "-sort", "color"}, 1, "sort=color"},
		{[]string{"kick", pid}, 1, "observer.Config.Authorize"},
		{[]string{"send", pid, "x"}, 1, "observer.Config.Authorize"},
		{[]string{"drain"}, 1, "observer.Config.Authorize"},
		{[]string{"tap", nobody}, 1, "(404 gone)"},
		{nil, 2, "no command"},
		{[]string{"burn"}, 2, "unknown command"},
		{[]string{"show"}, 2, "wsctl show PID"},
		{[]string{"send", pid}, 2, "wsctl send PID TEXT"},
		{[]string{"ls", "x"}, 2, "wsctl ls"},
		{[]string{"drain", ""}, 2, "leave it out for all"},
		{[]string{"ls", "-burn"}, 2, "burn"},
		{[]string{"-burn", "ls"}, 2, "burn"},
		{[]string{"-header", "x", "ls"}, 2, "Key: value"},
		{[]string{"-url", "ftp://x/", "ls"}, 2, "-url"},
		{[]string{"-url", "x", "ls"}, 2, "-url"},
		{[]string{"top", "-every", "0s"}, 2, "-every"},
		{[]string{"-url", "http://127.0.0.1:1/observer/", "ls"}, 3, "no observer answers at http://127.0.0.1:1/observer/"},
		{[]string{"-url", "http://127.0.0.1:1/observer/", "tap", pid}, 3, "no observer answers"},
		{[]string{"-url", "http://u:secret@127.0.0.1:1/", "ls"}, 3, "u:xxxxx@"},
		{[]string{"-url", strings.TrimSuffix(p.url, "observer") + "other/", "ls"}, 3, "is no observer"},
		{[]string{"-url", strings.TrimSuffix(p.url, "observer") + "nothing/", "ls"}, 3, "404"},
		{[]string{"-url", strings.TrimSuffix(p.url, "observer") + "other/", "tap", pid}, 3, "no observer answers"},
		{[]string{"-h"}, 0, "usage: wsctl"},
	} {
		code, out, errOut := p.wsctl(tt.args...)
		if code != tt.code || !strings.Contains(out+errOut, tt.text) || strings.Contains(out+errOut, "secret") || strings.Contains(out+errOut, "\x1b") {
			t.Errorf("wsctl %q: got %d, %q; want %d, %q in it", tt.args, code, out+errOut, tt.code, tt.text)
		}
	}
}

// TestHeader: what Authorize wants to see can be sent, with tap too; a refusal says so.
func TestHeader(t *testing.T) {
	p := start(t, func(r *http.Request) (observer.Access, string) {
		user, password, _ := r.BasicAuth()
		if r.Header.Get("Authorization") == "Bearer x" || user == "ann" && password == "secret" {
			return observer.Act, "ann"
		}
		return observer.None, ""
	})
	_, pid := p.dial("")
	for _, args := range [][]string{{"ls"}, {"tap", pid}} {
		p.want(1, args, "(403)")
	}
	p.want(0, []string{"-header", "Authorization: Bearer x", "ls"}, pid)
	withPassword := strings.Replace(p.url, "http://", "http://ann:secret@", 1)
	p.want(0, []string{"-url", withPassword, "ls"}, pid)
	for _, args := range [][]string{{"-header", "Authorization: Bearer x"}, {"-url", withPassword}} {
		p.tap(pid, args, func() {
			p.want(0, []string{"-header", "Authorization: Bearer x", "kick", pid})
		})
		_, pid = p.dial("")
	}
}

// TestRedirects: no redirect is followed, so that what -header sends and what an act says reach no other host.
func TestRedirects(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host got %s %s, X-Api-Key %q", r.Method, r.URL, r.Header.Get("X-Api-Key"))
		w.WriteHeader(http.StatusTeapot)
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/login", status)
		}))
		for _, args := range [][]string{{"ls"}, {"kick", "1.0123456789abcdef@local"}, {"drain"}, {"tap", "1.0123456789abcdef@local"}} {
			var out, errOut bytes.Buffer
			code := run(t.Context(), append([]string{"-url", gateway.URL, "-header", "X-Api-Key: secret"}, args...), &out, &errOut)
			if code != exitNoObserver || !strings.Contains(errOut.String(), fmt.Sprint(status)) {
				t.Errorf("wsctl %q, redirected with %d: got %d, %q; want 3, with the status in it", args, status, code, errOut.String())
			}
		}
		gateway.Close()
	}
	direct.CloseIdleConnections()
}

// TestHostileServer: whatever answers, nothing reaches the terminal that it would obey.
func TestHostileServer(t *testing.T) {
	answers := map[string]string{
		"the reason of a status": "HTTP/1.1 500 \x1b]0;title\x07\r\nContent-Length: 0\r\n\r\n",
		"a code":                 "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" + `{"error":{"code":"\u001b[31m","message":"\u001b[31m"}}`,
		"a status that is none":  "HTTP/1.1 \x1b[31m x\r\n\r\n",
		"a field that is none":   "HTTP/1.1 200 OK\r\n\x1b[31m\r\n\r\n",
		"no JSON":                "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\x1b[31m",
		"kinds and names": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" +
			`{"alive":true,"pid":"\u001b[31m","registrations":[{"kind":"\u001b]0;title\u0007","name":"\u001b[31m","key":"\u001b[31m"}],` +
			`"state":{"type":"\u001b[31m","text":"\u001b[31m"},"state_error":"\u001b[31m","events":[{"what":"\u001b[31m"}]}`,
	}
	for name, answer := range answers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		var served sync.WaitGroup
		served.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.Copy(io.Discard, req.Body)
					_, _ = io.WriteString(c, answer)
				}
				c.Close()
			}
		})
		for _, args := range [][]string{{"show", "x"}, {"kick", "x"}, {"tap", "x"}, {"tree"}, {"nodes"}, {"exits"}, {"ls"}} {
			var out, errOut bytes.Buffer
			run(t.Context(), append([]string{"-url", "http://" + l.Addr().String()}, args...), &out, &errOut)
			if s := out.String() + errOut.String(); strings.ContainsAny(s, "\x1b\x07") {
				t.Errorf("%s, wsctl %q: got %q, want no control characters", name, args, s)
			}
		}
		l.Close()
		served.Wait()
	}
	direct.CloseIdleConnections()
}

// TestTable: texts are cut, PIDs are not: they are there to be copied.
func TestTable(t *testing.T) {
	pid := "4711.0123456789abcdef@" + strings.Repeat("n", 255)
	var b bytes.Buffer
	table := newTable(&b, "AGO", "PID", "LABEL")
	table.row("1s", pid, strings.Repeat("x", 100))
	must(t, table.flush())
	if got := b.String(); !strings.Contains(got, pid+" ") || strings.Contains(got, strings.Repeat("x", 60)) {
		t.Errorf("row: got\n%s\nwant the whole PID and the beginning of the label", got)
	}
}

// lines is what a command writes, line by line.
type lines struct {
	mu   sync.Mutex
	b    bytes.Buffer
	line chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p)
	for {
		s, rest, ok := strings.Cut(l.b.String(), "\n")
		if !ok {
			return len(p), nil
		}
		l.b.Reset()
		l.b.WriteString(rest)
		l.line <- s
	}
}

// tap runs tap; when it taps, does what is to be seen; and returns what it has printed after that, until the socket has ended.
func (p *program) tap(pid string, flags []string, then func()) (seen []string) {
	p.t.Helper()
	out, errOut := &lines{line: make(chan string, 1000)}, &bytes.Buffer{}
	ended := make(chan int, 1)
	go func() {
		ended <- run(p.t.Context(), append(append([]string{"-url", p.url}, flags...), "tap", pid), out, errOut)
	}()
	select {
	case s := <-out.line:
		if !strings.Contains(s, "tapp") {
			p.t.Errorf("first line: got %q", s)
		}
	case code := <-ended:
		p.t.Fatalf("wsctl tap ended with %d: %s", code, errOut)
	}
	then()
	if code := <-ended; code != 0 {
		p.t.Errorf("wsctl tap ended with %d, want 0: %s", code, errOut)
	}
	close(out.line)
	for s := range out.line {
		seen = append(seen, s)
	}
	return seen
}

func TestTap(t *testing.T) {
	p := start(t, mayAct)
	c, pid := p.dial("")
	talk := func() {
		for _, s := range []string{"one", "two\x1b[31m"} {
			must(t, c.Write(t.Context(), websocket.MessageText, []byte(s)))
			_, _, err := c.Read(t.Context())
			must(t, err)
		}
		must(t, c.Close(4000, "done"))
	}
	seen := strings.Join(p.tap(pid, nil, talk), "\n")
	last := 0
	for _, s := range []string{"in   text    3 B  one", "out  text    3 B  one", "in   text    8 B  two\ufffd[31m", "in   close   6 B  4000 done", "the socket has ended"} {
		i := strings.Index(seen[last:], s)
		if i < 0 {
			t.Fatalf("tap: got\n%s\nwant %q in it, after what is before", seen, s)
		}
		last += i
	}
	c, pid = p.dial("")
	for _, s := range p.tap(pid, []string{"-json"}, talk) {
		var v struct{ Type string }
		if err := json.Unmarshal([]byte(s), &v); err != nil || v.Type != "frames" && v.Type != "untapped" {
			t.Errorf("tap -json: got %q, %v", s, err)
		}
	}
	t.Run("interrupted", func(t *testing.T) {
		_, pid := p.dial("")
		ctx, interrupt := context.WithCancel(t.Context())
		out := &lines{line: make(chan string, 10)}
		ended := make(chan int)
		go func() { ended <- run(ctx, []string{"-url", p.url, "tap", pid}, out, io.Discard) }()
		<-out.line
		interrupt()
		if code := <-ended; code != 0 {
			t.Errorf("interrupted: ended with %d, want 0", code)
		}
	})
}

func TestClean(t *testing.T) {
	for s, want := range map[string]string{"a\nb\tc": "a b c", "\x1b[31mred\x07": "\ufffd[31mred\ufffd", "a\u202eb": "a\ufffdb", "\xff": "\ufffd"} {
		if got := clean(s); got != want {
			t.Errorf("clean(%q): got %q, want %q", s, got, want)
		}
	}
	if got := cell(strings.Repeat("ä", 100)); got != strings.Repeat("ä", 59)+"…" {
		t.Errorf("cell: got %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 30: "1.0 GiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d): got %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0", 1500: "2µs", 1234567: "1ms", 1530 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", 72 * time.Hour: "3d"} {
		if got := short(d); got != want {
			t.Errorf("short(%v): got %q, want %q", fmt.Sprint(int64(d)), got, want)
		}
	}
}
