package observer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs f as a subtest on a fake clock.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// handler echoes, and carries out a func that is sent to it.
type handler struct{ label string }

func (h *handler) Init(ctx context.Context) websock.Result {
	if h.label != "" {
		actor.SetLabel(ctx, h.label)
	}
	return websock.OK()
}

func (h *handler) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	return websock.Push(msg)
}

func (h *handler) HandleInfo(ctx context.Context, msg any) websock.Result {
	if f, ok := msg.(func(context.Context) websock.Result); ok {
		return f(ctx)
	}
	return websock.OK()
}

// rig is a System with a Server, a Registry and an Observer of them.
type rig struct {
	t    testing.TB
	sys  *actor.System
	srv  *socket.Server
	reg  *registry.Registry
	obs  *observer.Observer
	logs *logs
}

// newRig makes a rig that ends with the test. change changes what is observed, and how.
func newRig(t testing.TB, change func(*observer.Config, *socket.Config)) *rig {
	t.Helper()
	r := &rig{t: t, logs: new(logs)}
	log := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.sys, err = actor.NewSystem(actor.Config{Logger: log}); err != nil {
		t.Fatal(err)
	}
	r.reg = registry.New(r.sys)
	cfg := observer.Config{System: r.sys, Registry: r.reg, Logger: log}
	sockets := socket.Config{Name: "chat", System: r.sys, Logger: log, Subject: func(req *http.Request) string { return req.URL.Query().Get("user") }}
	if change != nil {
		change(&cfg, &sockets)
	}
	if r.srv, err = socket.New(sockets); err != nil {
		t.Fatal(err)
	}
	cfg.Servers = append([]*socket.Server{r.srv}, cfg.Servers...)
	r.obs = observer.Handler(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, end := range []func(context.Context) error{r.obs.Shutdown, r.srv.Shutdown, r.sys.Shutdown} {
			if err := end(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
	})
	return r
}

// dial makes a socket of the Server, with the query of the request.
func (r *rig) dial(label, query string) (*sockettest.Conn, actor.PID) {
	r.t.Helper()
	return r.dialWith(&handler{label: label}, query)
}

// host makes a socket with that handler.
func (r *rig) host(h websock.Handler) actor.PID {
	r.t.Helper()
	_, pid := r.dialWith(h, "")
	return pid
}

func (r *rig) dialWith(h websock.Handler, query string) (*sockettest.Conn, actor.PID) {
	r.t.Helper()
	pids := make(chan actor.PID, 1)
	c, resp := sockettest.Dial(r.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		pid, _ := r.srv.Upgrade(w, req, h)
		pids <- pid
	}), httptest.NewRequest("GET", "/ws?"+query, nil))
	if c == nil {
		r.t.Fatalf("the upgrade was refused: %s", resp.Status)
	}
	return c, <-pids
}

// live connects to the live endpoint as a page of this machine does.
func (r *rig) live(change func(*http.Request)) (*sockettest.Conn, *http.Response) {
	r.t.Helper()
	req := httptest.NewRequest("GET", "/api/v1/live", nil)
	req.Host = "localhost:9464"
	addr := "127.0.0.1:4711"
	if change != nil {
		req.RemoteAddr = addr
		change(req)
		addr = req.RemoteAddr
	}
	return sockettest.Dial(r.t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.RemoteAddr = addr
		r.obs.ServeHTTP(w, req)
	}), req)
}

// ask sends a request of this machine, and returns the answer.
func (r *rig) ask(method, target, body string, change func(*http.Request)) *http.Response {
	r.t.Helper()
	var b io.Reader
	if body != "" {
		b = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, target, b)
	req.RemoteAddr, req.Host = "127.0.0.1:4711", "localhost:9464"
	if method == "POST" {
		req.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(req)
	}
	w := httptest.NewRecorder()
	r.obs.ServeHTTP(w, req)
	return w.Result()
}

// get is the JSON that a GET below api/v1/ answers.
func (r *rig) get(path string) object {
	r.t.Helper()
	return r.want(200, r.ask("GET", "/api/v1/"+path, "", nil))
}

// post is the JSON that an act answers.
func (r *rig) post(path, body string) object {
	r.t.Helper()
	return r.want(202, r.ask("POST", "/api/v1/"+path, body, nil))
}

// want is the JSON of an answer, whose status must be this one.
func (r *rig) want(status int, resp *http.Response) object {
	r.t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != status {
		r.t.Fatalf("status: got %d, want %d; body: %s", resp.StatusCode, status, b)
	}
	var v object
	if err := json.Unmarshal(b, &v); err != nil {
		r.t.Fatalf("body is no JSON: %v: %s", err, b)
	}
	return v
}

// wantError checks status and code of an error.
func (r *rig) wantError(status int, code string, resp *http.Response) {
	r.t.Helper()
	v := r.want(status, resp)
	if got := v.in("error").str("code"); got != code {
		r.t.Errorf("error code: got %q, want %q", got, code)
	}
}

// object is a JSON object.
type object map[string]any

func (v object) in(key string) object {
	o, _ := v[key].(map[string]any)
	return o
}

func (v object) str(key string) string {
	s, _ := v[key].(string)
	return s
}

func (v object) num(key string) float64 {
	n, _ := v[key].(float64)
	return n
}

func (v object) yes(key string) bool {
	b, _ := v[key].(bool)
	return b
}

// list is the objects in an array.
func (v object) list(key string) (all []object) {
	for _, x := range asList(v[key]) {
		o, _ := x.(map[string]any)
		all = append(all, o)
	}
	return all
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

// column is one text of each row.
func (v object) column(key string) (all []string) {
	for _, row := range v.list("rows") {
		all = append(all, row.str(key))
	}
	return all
}

// next is the next message of a live connection.
func next(c *sockettest.Conn) object {
	var v object
	_ = json.Unmarshal(c.Next().Data, &v) // what is no JSON has no type
	return v
}

// nextOf is the next message of a type, snapshots left out unless they are wanted.
func nextOf(t testing.TB, c *sockettest.Conn, kind string) object {
	t.Helper()
	for range 100 {
		if v := next(c); v.str("type") == kind {
			return v
		}
	}
	t.Fatalf("no message of type %q among 100", kind)
	return nil
}

func say(c *sockettest.Conn, v any) { c.Send(websock.JSON(v)) }

type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines are the lines with s in them.
func (l *logs) lines(s string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.Split(l.b.String(), "\n") {
		if strings.Contains(line, s) {
			found = append(found, line)
		}
	}
	return found
}

// counts is a value that counts how often it was looked at.
type counts struct{ n *int }

func (c counts) MarshalJSON() ([]byte, error) { *c.n++; return []byte("1"), nil }

// blocks is a value that is looked at until it is released.
type blocks struct{ release chan struct{} }

func (b blocks) MarshalJSON() ([]byte, error) { <-b.release; return []byte("1"), nil }

// with gives a request another context.
func with(ctx context.Context) func(*http.Request) {
	return func(r *http.Request) { *r = *r.WithContext(ctx) }
}

func readerOf(s string) io.Reader { return strings.NewReader(s) }
