package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f as a subtest on a fake clock. Everything of the test has to be made in it, and has to be over with it.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// handler is a websock.Handler made of functions; those that are nil carry on. It records its callbacks, and is a
// Terminator. For one that is no Terminator embed it as plain does.
type handler struct {
	init      func(ctx context.Context) websock.Result
	in        func(ctx context.Context, msg websock.Message) websock.Result
	info      func(ctx context.Context, msg any) websock.Result
	terminate func(ctx context.Context, reason error)

	mu      sync.Mutex
	calls   []string
	reasons []error
}

func (h *handler) record(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
}

// log is what was called so far: "init", "in text, 2 bytes: \"OK\"", "control ping, ...", "info string x", "terminate".
func (h *handler) log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.calls...)
}

// terminated is what Terminate got, call by call.
func (h *handler) terminated() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]error(nil), h.reasons...)
}

func (h *handler) Init(ctx context.Context) websock.Result {
	h.record("init")
	if h.init == nil {
		return websock.OK()
	}
	return h.init(ctx)
}

func (h *handler) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	h.record("in %v", msg)
	if h.in == nil {
		return websock.OK()
	}
	return h.in(ctx, msg)
}

func (h *handler) HandleInfo(ctx context.Context, msg any) websock.Result {
	if _, ok := msg.(do); ok {
		h.record("info do")
	} else {
		h.record("info %T %v", msg, msg)
	}
	if h.info == nil {
		return websock.OK()
	}
	return h.info(ctx, msg)
}

func (h *handler) Terminate(ctx context.Context, reason error) {
	h.record("terminate")
	h.mu.Lock()
	h.reasons = append(h.reasons, reason)
	h.mu.Unlock()
	if h.terminate != nil {
		h.terminate(ctx, reason)
	}
}

// controlHandler is a handler that is a websock.ControlHandler, too.
type controlHandler struct {
	handler
	control func(ctx context.Context, msg websock.Message) websock.Result
}

func (h *controlHandler) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	h.record("control %v", msg)
	if h.control == nil {
		return websock.OK()
	}
	return h.control(ctx, msg)
}

// plain hides all of a Handler but its three methods.
type plain struct{ websock.Handler }

// echo sends back what comes.
func echo() *handler {
	return &handler{in: func(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }}
}

// do is a message that puppet runs in HandleInfo.
type do func(ctx context.Context) websock.Result

// puppet carries out what is sent to it, and echoes what comes from its peer.
func puppet() *handler {
	h := echo()
	h.info = func(ctx context.Context, msg any) websock.Result {
		if f, ok := msg.(do); ok {
			return f(ctx)
		}
		return websock.OK()
	}
	return h
}

// living tells whether a process is not dead yet; one that is ending takes no messages any more.
func living(pid actor.PID) bool {
	_, err := actor.Inspect(pid)
	return err == nil
}

// rig is a socket.Server behind a real http.Server that serves over memory.
type rig struct {
	t    testing.TB
	sys  *actor.System
	srv  *socket.Server
	ln   *pipe.Listener
	logs *logs

	codes  []websock.CloseCode // Config.CloseCodes
	events eventList

	mu       sync.Mutex
	requests map[string]*request
	closed   map[actor.PID][]socket.Closed
	changed  chan struct{} // closed and replaced when an OnClose was called
}

// request is what a dial asks for, and, when done is closed, what Upgrade returned.
type request struct {
	h    websock.Handler
	done chan struct{}
	pid  actor.PID
	err  error
}

// serve starts a rig and ends it with the test, also outside a bubble. cfg.System and cfg.Logger are made when they are
// nil; cfg.OnClose is called after the rig's own.
func serve(t testing.TB, cfg socket.Config) *rig {
	t.Helper()
	r := &rig{
		t: t, ln: pipe.NewListener(), logs: new(logs), changed: make(chan struct{}),
		requests: map[string]*request{}, closed: map[actor.PID][]socket.Closed{}, codes: cfg.CloseCodes,
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(r.logs)
	}
	if cfg.System == nil {
		sys, err := actor.NewSystem(actor.Config{Logger: cfg.Logger})
		if err != nil {
			t.Fatalf("NewSystem: %v", err)
		}
		cfg.System = sys
	}
	r.sys = cfg.System
	next := cfg.OnClose
	cfg.OnClose = func(cl socket.Closed) {
		if living(cl.PID) {
			t.Errorf("OnClose is called while the process %v is alive", cl.PID)
		}
		r.mu.Lock()
		r.closed[cl.PID] = append(r.closed[cl.PID], cl)
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
		if next != nil {
			next(cl)
		}
	}
	nextEvent := cfg.OnEvent
	cfg.OnEvent = func(e socket.Event) {
		r.events.add(e)
		if nextEvent != nil {
			nextEvent(e)
		}
	}
	srv, err := socket.New(cfg)
	if err != nil {
		t.Fatalf("socket.New(%+v): %v", cfg, err)
	}
	r.srv = srv
	hs := &http.Server{Handler: http.HandlerFunc(r.serveHTTP), ErrorLog: slog.NewLogLogger(r.logs, slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- hs.Serve(r.ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Errorf("Server.Shutdown: %v", err)
		}
		hs.Close()
		<-served
		if err := r.sys.Shutdown(ctx); err != nil {
			t.Errorf("System.Shutdown: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, q := range r.requests {
			select {
			case <-q.done:
				if n := len(r.closed[q.pid]); q.err == nil && n != 1 {
					t.Errorf("after the Shutdown OnClose has been called %d times for %v, want once", n, q.pid)
				}
			default:
			}
		}
		r.wantCounted()
	})
	return r
}

func (r *rig) serveHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	q := r.requests[req.URL.Path]
	r.mu.Unlock()
	if q == nil {
		http.NotFound(w, req)
		return
	}
	q.pid, q.err = r.srv.Upgrade(w, req, q.h)
	close(q.done)
}

// client is the peer of one socket.
type client struct {
	*rawclient.Client
	t    testing.TB
	rig  *rig
	pid  actor.PID
	conn *pipe.Conn
}

// dial connects a client to a new socket of h. What cannot come within an hour of the fake clock, fails the test.
func (r *rig) dial(h websock.Handler) *client {
	r.t.Helper()
	return r.dialWith(h, rawclient.HandshakeOptions{})
}

func (r *rig) dialWith(h websock.Handler, o rawclient.HandshakeOptions) *client {
	r.t.Helper()
	r.mu.Lock()
	o.Path = "/" + strconv.Itoa(len(r.requests))
	q := &request{h: h, done: make(chan struct{})}
	r.requests[o.Path] = q
	r.mu.Unlock()
	conn, err := r.ln.Dial(context.Background())
	if err != nil {
		r.t.Fatalf("Dial: %v", err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(time.Hour))
	c, resp, err := rawclient.Handshake(conn, o)
	if c == nil {
		r.t.Fatalf("handshake: response %+v, error %v", resp, err)
	}
	<-q.done
	if q.err != nil {
		r.t.Fatalf("Upgrade: %v", q.err)
	}
	return &client{Client: c, t: r.t, rig: r, pid: q.pid, conn: conn.(*pipe.Conn)}
}

// onClose is how often OnClose was called for a socket.
func (r *rig) onClose(pid actor.PID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.closed[pid])
}

// end waits until OnClose was called for c and all goroutines rest, so that the log has its line, and returns what
// OnClose got.
func (c *client) end() socket.Closed {
	c.t.Helper()
	timeout := time.After(time.Hour)
	for {
		c.rig.mu.Lock()
		all, changed := c.rig.closed[c.pid], c.rig.changed
		c.rig.mu.Unlock()
		if len(all) > 0 {
			synctest.Wait()
			return all[0] // that there is only one, the end of the rig checks
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("OnClose was not called for %v within an hour", c.pid)
		}
	}
}

// coarse tells whether what is due after want has come then: never early, and late by 1/32 at most.
func coarse(got, want time.Duration) bool {
	return got >= want && got <= want+want/32+time.Millisecond
}

// must fails the test when the client could not write.
func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("the client cannot write: %v", err)
	}
}

// bytesOf is a frame as a server must write it: first byte, shortest length, no mask (RFC 6455 section 5.2). It is written
// apart from rawclient and for at most 65535 bytes.
func bytesOf(first byte, payload string) string {
	switch n := len(payload); {
	case n <= 125:
		return string([]byte{first, byte(n)}) + payload
	case n <= 65535:
		return string([]byte{first, 126, byte(n >> 8), byte(n)}) + payload
	default:
		panic("bytesOf: too long")
	}
}

// The frames of a server, byte for byte.
func textFrame(s string) string   { return bytesOf(0x81, s) }
func binaryFrame(s string) string { return bytesOf(0x82, s) }
func pingFrame(s string) string   { return bytesOf(0x89, s) }
func pongFrame(s string) string   { return bytesOf(0x8A, s) }

// closeFrame of code 0 is the empty one.
func closeFrame(code int, text string) string {
	if code == 0 {
		return bytesOf(0x88, "")
	}
	return bytesOf(0x88, string([]byte{byte(code >> 8), byte(code)})+text)
}

// want reads exactly these frames.
func (c *client) want(frames ...string) {
	c.t.Helper()
	for i, want := range frames {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("frame %d of %d: got error %v, want % x", i+1, len(frames), err, want)
		}
		if string(f.Raw) != want {
			c.t.Fatalf("frame %d of %d: got % x (%v), want % x", i+1, len(frames), f.Raw, f, want)
		}
	}
}

// wantEnd reads exactly these frames and then the end of the stream, which must be an orderly one.
func (c *client) wantEnd(frames ...string) {
	c.t.Helper()
	c.want(frames...)
	if f, err := c.ReadFrame(); err != io.EOF {
		c.t.Fatalf("after the last frame: got %v, error %v, want io.EOF", f, err)
	}
}

// wantNothing fails the test when a frame comes within d, or the stream ends.
func (c *client) wantNothing(d time.Duration) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(d))
	f, err := c.ReadFrame()
	c.conn.SetReadDeadline(time.Now().Add(time.Hour))
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.t.Fatalf("got %v, error %v, want nothing within %v", f, err, d)
	}
}

// logs is a slog.Handler that keeps everything.
type logs struct {
	mu      sync.Mutex
	records []record
}

// record is one line of a log.
type record struct {
	level   slog.Level
	message string
	attrs   map[string]slog.Value
	text    string // all of it
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	rec := record{level: r.Level, message: r.Message, attrs: map[string]slog.Value{}}
	var text strings.Builder
	fmt.Fprintf(&text, "%v %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindDuration {
			panic(fmt.Sprintf("%s of %q is a Duration, which is a number without a unit in JSON", a.Key, r.Message))
		}
		rec.attrs[a.Key] = a.Value.Resolve()
		fmt.Fprintf(&text, " %s=%v", a.Key, a.Value.Resolve())
		return true
	})
	rec.text = text.String()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, rec)
	return nil
}

func (l *logs) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *logs) WithGroup(string) slog.Handler      { return l }

// all is every line so far that is not below level.
func (l *logs) all(level slog.Level) []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rs []record
	for _, r := range l.records {
		if r.level >= level {
			rs = append(rs, r)
		}
	}
	return rs
}

// of is every line with this message and PID.
func (l *logs) of(message string, pid actor.PID) []record {
	var rs []record
	for _, r := range l.all(slog.LevelDebug) {
		if r.message == message && r.attrs["pid"].String() == pid.String() {
			rs = append(rs, r)
		}
	}
	return rs
}
