package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// dialled is a Dialer under test, with its server, in a bubble.
type dialled struct {
	*socket.Dialer
	t      *testing.T
	srv    *sockettest.Server
	ctx    context.Context
	cancel context.CancelFunc
	ended  chan error // what Serve returned

	mu       sync.Mutex
	handlers []*handler
}

// dialling makes a Dialer whose handlers record, and have what change gives them. It does not serve yet.
func dialling(t *testing.T, change func(h *handler)) *dialled {
	t.Helper()
	d := &dialled{t: t, srv: sockettest.NewServer(t), ended: make(chan error, 1)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.Dialer = &socket.Dialer{URL: d.srv.URL, HTTP: d.srv.HTTP, Config: socket.Config{Logger: quiet}}
	d.Handler = func() websock.Handler {
		h := &handler{}
		if change != nil {
			change(h)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.handlers = append(d.handlers, h)
		return h
	}
	return d
}

// serve runs Serve until the test ends.
func (d *dialled) serve() *dialled {
	go func() { d.ended <- d.Serve(d.ctx) }()
	d.t.Cleanup(func() {
		d.cancel()
		synctest.Wait()
	})
	return d
}

// last is the handler of the last connection.
func (d *dialled) last() *handler {
	d.t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.handlers) == 0 {
		d.t.Fatal("Dialer.Handler was not called")
	}
	return d.handlers[len(d.handlers)-1]
}

// result waits for Serve to return.
func (d *dialled) result() error {
	d.t.Helper()
	select {
	case err := <-d.ended:
		return err
	case <-time.After(24 * time.Hour):
		d.t.Fatal("Serve has not returned within a day")
		return nil
	}
}

// wantServing fails the test when Serve has returned.
func (d *dialled) wantServing(when string) {
	d.t.Helper()
	synctest.Wait()
	select {
	case err := <-d.ended:
		d.t.Fatalf("%s: Serve has returned %v, want that it goes on", when, err)
	default:
	}
}

func TestDialer_contract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var info atomic.Pointer[socket.ConnInfo]
		var closed atomic.Pointer[socket.Closed]
		d := dialling(t, func(h *handler) {
			h.init = func(ctx context.Context) websock.Result {
				i := socket.Info(ctx)
				info.Store(&i)
				return websock.Push(websock.Text("hello"))
			}
			h.in = func(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
			h.info = func(_ context.Context, m any) websock.Result { return websock.Push(websock.Text(fmt.Sprint(m))) }
		})
		d.Config.OnClose = func(c socket.Closed) { closed.Store(&c) }
		d.Config.Subprotocols = []string{"b.v2", "b.v1"}
		d.serve()
		if pid, ok := d.PID(); ok {
			t.Errorf("PID before the connection: got %v, want none", pid)
		}
		a := d.srv.Accept()
		if got := a.Request.Header.Get("Sec-WebSocket-Protocol"); strings.ReplaceAll(got, " ", "") != "b.v2,b.v1" {
			t.Errorf("subprotocols: offered %q, want b.v2 and b.v1", got)
		}
		c := a.Upgrade(http.Header{"Sec-Websocket-Protocol": {"b.v1"}}, websock.Text("early"))
		c.Want(websock.Text("hello"), websock.Text("early"))
		c.Send(websock.Binary([]byte{1, 2}))
		c.Want(websock.Binary([]byte{1, 2}))
		pid, ok := d.PID()
		if !ok || !pid.Send("from a process") {
			t.Fatalf("PID: got %v, %t, want one that takes messages", pid, ok)
		}
		c.Want(websock.Text("from a process"))
		if i := info.Load(); i == nil || i.PID != pid || i.Subprotocol != "b.v1" {
			t.Errorf("Info in Init: got %+v, want PID %v and subprotocol b.v1", i, pid)
		}
		d.cancel()
		c.WantClose(websock.CloseGoingAway, "")
		if err := d.result(); err != nil {
			t.Errorf("Serve after its ctx was done: got %v, want nil", err)
		}
		if got := d.last().terminated(); len(got) != 1 || !errors.Is(got[0], actor.ErrShutdown) {
			t.Errorf("Terminate: got %v, want one ErrShutdown", got)
		}
		if cl := closed.Load(); cl == nil || cl.PID != pid || cl.Sent == nil || cl.Sent.Code != websock.CloseGoingAway || cl.Received == nil {
			t.Errorf("OnClose: got %+v, want %v with a Close of 1001 and its answer", cl, pid)
		}
		if _, ok := d.PID(); ok {
			t.Error("PID after Serve: got one, want none")
		}
	})
}

// TestDialer_closeCodes: what a Close of the server leads to.
func TestDialer_closeCodes(t *testing.T) {
	for code, again := range map[websock.CloseCode]bool{
		1000: false, 1001: true, 1002: true, 1003: true, websock.CloseNoStatus: true, 1007: true, 1008: false, 1009: true, 1010: true, 1011: true,
		1012: true, 1013: true, 1014: true, 3000: true, 3999: true, 4000: false, 4401: false, 4999: false,
	} {
		bubble(t, fmt.Sprint(code), func(t *testing.T) {
			d := dialling(t, nil).serve()
			d.srv.Accept().Upgrade(nil).Close(code, "")
			if again {
				d.srv.Accept().Upgrade(nil)
				d.wantServing("after the second connection")
				return
			}
			err := d.result()
			remote, ok := errors.AsType[*websock.RemoteCloseError](err)
			switch {
			case code == 1000 && err != nil:
				t.Errorf("Serve: got %v, want nil", err)
			case code != 1000 && (!ok || remote.Code != code):
				t.Errorf("Serve: got %v, want a RemoteCloseError of %d", err, code)
			}
			d.srv.WantNothing(time.Hour)
		})
	}
}

// TestDialer_ends: how the handler, a process, and the connection end Serve, or do not.
func TestDialer_ends(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		in    func() websock.Result
		act   func(d *dialled, c *sockettest.Conn)
		again bool
		check func(err error) bool
	}{
		"Close of the handler": {in: func() websock.Result { return websock.Close(websock.CloseNormal, "") }, check: func(err error) bool { return err == nil }},
		"an error of the handler": {in: func() websock.Result { return websock.Stop(boom) },
			check: func(err error) bool { return errors.Is(err, boom) }},
		"a panic": {in: func() websock.Result { panic("boom") }, check: func(err error) bool {
			_, ok := errors.AsType[*actor.PanicError](err)
			return ok
		}},
		"ErrRestart of the handler": {in: func() websock.Result { return websock.Stop(websock.ErrRestart) }, again: true},
		"ErrShutdown of a process": {act: func(d *dialled, _ *sockettest.Conn) {
			pid, _ := d.PID()
			pid.Exit(actor.ErrShutdown)
		}, check: func(err error) bool { return errors.Is(err, actor.ErrShutdown) }},
		"a kill": {act: func(d *dialled, _ *sockettest.Conn) {
			pid, _ := d.PID()
			pid.Exit(actor.ErrKilled)
		}, check: func(err error) bool { return errors.Is(err, actor.ErrKilled) }},
		"a reset": {act: func(_ *dialled, c *sockettest.Conn) { c.Drop() }, again: true},
		"a FIN":   {act: func(_ *dialled, c *sockettest.Conn) { c.CloseWrite() }, again: true},
		"garbage": {act: func(_ *dialled, c *sockettest.Conn) { c.SendRaw([]byte{0xff, 0xff, 0xff}) }, again: true},
		"silence": {act: func(_ *dialled, c *sockettest.Conn) { c.IgnorePings() }, again: true},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, func(h *handler) {
				if c.in != nil {
					h.in = func(context.Context, websock.Message) websock.Result { return c.in() }
				}
			}).serve()
			conn := d.srv.Accept().Upgrade(nil)
			synctest.Wait()
			if c.act != nil {
				c.act(d, conn)
			} else {
				conn.Send(websock.Text("go"))
			}
			if c.again {
				d.srv.Accept().Upgrade(nil)
				d.wantServing("after the second connection")
				return
			}
			if err := d.result(); !c.check(err) {
				t.Errorf("Serve: got %v", err)
			}
			d.srv.WantNothing(time.Hour)
		})
	}
}

// TestDialer_attempts: what a server can do to an attempt. Each time there is another one.
func TestDialer_attempts(t *testing.T) {
	for name, do := range map[string]func(d *dialled, a *sockettest.Attempt){
		"refused, 403":        func(_ *dialled, a *sockettest.Attempt) { a.Refuse(403, nil) },
		"refused, 404":        func(_ *dialled, a *sockettest.Attempt) { a.Refuse(404, nil) },
		"an answer of 200":    func(_ *dialled, a *sockettest.Attempt) { a.Refuse(200, nil) },
		"garbage":             func(_ *dialled, a *sockettest.Attempt) { a.SendRaw([]byte("SSH-2.0-OpenSSH_9.6\r\n")) },
		"half an answer":      func(_ *dialled, a *sockettest.Attempt) { a.SendRaw([]byte("HTTP/1.1 101 Switching")) },
		"nothing":             func(*dialled, *sockettest.Attempt) {},
		"a reset":             func(_ *dialled, a *sockettest.Attempt) { a.Drop() },
		"a wrong Accept":      func(_ *dialled, a *sockettest.Attempt) { a.Upgrade(http.Header{"Sec-Websocket-Accept": {"AAAA"}}) },
		"another subprotocol": func(_ *dialled, a *sockettest.Attempt) { a.Upgrade(http.Header{"Sec-Websocket-Protocol": {"x"}}) },
		"an extension that was not offered": func(_ *dialled, a *sockettest.Attempt) {
			a.Upgrade(http.Header{"Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover"}})
		},
		"nobody listens for a while": func(d *dialled, a *sockettest.Attempt) {
			d.srv.Down(true)
			a.Drop()
			time.Sleep(5 * time.Minute)
			d.srv.Down(false)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			var errs []error
			d.Backoff.Retry = func(err error) bool {
				errs = append(errs, err)
				return socket.ComesBack(err)
			}
			d.serve()
			do(d, d.srv.Accept())
			c := d.srv.Accept().Upgrade(nil)
			c.Send(websock.Text("x"))
			synctest.Wait()
			if len(errs) == 0 {
				t.Fatal("Backoff.Retry was not asked")
			}
			if _, ok := errors.AsType[*socket.UpgradeError](errs[0]); !ok {
				t.Errorf("Backoff.Retry: got %T %v, want an *UpgradeError", errs[0], errs[0])
			}
			if got := fmt.Sprint(d.last().log()); !strings.Contains(got, "in text") {
				t.Errorf("the next connection: callbacks %s, want one of a message", got)
			}
		})
	}
}

// TestDialer_timeout: an attempt that hangs is given up after Timeout.
func TestDialer_timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		d.Timeout = 7 * time.Second
		var got error
		d.Backoff.Retry = func(err error) bool {
			got = err
			return false
		}
		begun := time.Now()
		d.serve()
		if err := d.result(); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(got, context.DeadlineExceeded) {
			t.Errorf("Serve: got %v, want a deadline that is over", err)
		}
		if lasted := time.Since(begun); lasted != d.Timeout || !strings.Contains(got.Error(), "Dialer.Timeout 7s") {
			t.Errorf("the attempt was given up after %v with %v, want after %v, with the name of the field", lasted, got, d.Timeout)
		}
		for timeout, want := range map[time.Duration]time.Duration{0: 30 * time.Second, -1: 24 * time.Hour} {
			d.Timeout, begun = timeout, time.Now()
			ctx, cancel := context.WithTimeout(d.ctx, 24*time.Hour)
			d.Config.Logger, d.Backoff.Min = quiet, 1
			_ = d.Serve(ctx)
			cancel()
			if lasted := time.Since(begun); lasted != want {
				t.Errorf("Timeout %v: the attempt was given up after %v, want %v", timeout, lasted, want)
			}
		}
	})
}

// TestDialer_header: it is asked before each attempt, and its error is that of the attempt.
func TestDialer_header(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		asked := 0
		noToken := errors.New("no token today")
		var errs []error
		d.Backoff.Retry = func(err error) bool { errs = append(errs, err); return true }
		d.Header = func(context.Context) (http.Header, error) {
			if asked++; asked == 2 {
				return nil, noToken
			}
			return http.Header{"Authorization": {fmt.Sprint("Bearer ", asked)}}, nil
		}
		d.serve()
		a := d.srv.Accept()
		if got := a.Request.Header.Get("Authorization"); got != "Bearer 1" {
			t.Errorf("first attempt: Authorization %q, want Bearer 1", got)
		}
		a.Refuse(401, nil)
		if got := d.srv.Accept().Request.Header.Get("Authorization"); got != "Bearer 3" {
			t.Errorf("after an error of Header: Authorization %q, want Bearer 3", got)
		}
		if len(errs) != 2 || !errors.Is(errs[1], noToken) {
			t.Errorf("errors of the attempts: got %v, want a 401 and %v", errs, noToken)
		}
	})
}

// TestDialer_name: the process has the name while there is a connection.
func TestDialer_name(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		names := registry.New(sys)
		d := dialling(t, func(h *handler) {
			h.init = func(ctx context.Context) websock.Result {
				if pid, _, ok := names.Whereis("upstream"); !ok || pid != actor.Self(ctx) {
					t.Errorf("Whereis in Init: got %v, %t, want the process itself", pid, ok)
				}
				return websock.OK()
			}
		})
		d.Name, d.Registry, d.Config.System = "upstream", names, sys
		d.serve()
		whereis := func() actor.PID {
			synctest.Wait()
			pid, _, _ := names.Whereis("upstream")
			return pid
		}
		a := d.srv.Accept()
		if pid := whereis(); pid != (actor.PID{}) {
			t.Errorf("Whereis before the connection: got %v, want nobody", pid)
		}
		c := a.Upgrade(nil)
		first := whereis()
		if pid, _ := d.PID(); pid != first || first == (actor.PID{}) {
			t.Errorf("Whereis: got %v, want %v", first, pid)
		}
		c.Drop()
		a = d.srv.Accept()
		if pid := whereis(); pid != (actor.PID{}) {
			t.Errorf("Whereis after the loss: got %v, want nobody", pid)
		}
		a.Upgrade(nil)
		if pid := whereis(); pid == first || pid == (actor.PID{}) {
			t.Errorf("Whereis after the second connection: got %v, want another process than %v", pid, first)
		}
	})
}

// TestDialer_nameTaken: a connection that cannot have the name is closed, and tried again until it can.
func TestDialer_nameTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		names := registry.New(sys)
		ctx, _ := sockettest.NewProcess(t, sys)
		other := actor.Self(ctx)
		if err := names.Register("upstream", other, nil); err != nil {
			t.Fatal(err)
		}
		d := dialling(t, nil)
		d.Name, d.Registry, d.Config.System = "upstream", names, sys
		d.serve()
		for range 3 {
			d.srv.Accept().Upgrade(nil).WantDropped()
		}
		if n := len(d.handlers); n != 3 {
			t.Errorf("%d handlers, want 3", n)
		}
		for _, h := range d.handlers {
			if got := h.log(); len(got) != 0 {
				t.Errorf("a handler that could not have the name: callbacks %q, want none", got)
			}
		}
		synctest.Wait()
		for p := range sys.Processes() {
			if p.PID != other {
				t.Errorf("a process is left of a connection that could not have the name: %+v", p)
			}
		}
		other.Exit(actor.ErrShutdown)
		c := d.srv.Accept().Upgrade(nil)
		c.Send(websock.Text("x"))
		synctest.Wait()
		if pid, _ := d.PID(); !pid.Alive() {
			t.Error("no connection after the name has become free")
		}
	})
}

// TestDialer_setUpWrong: Serve says what is wrong, at once.
func TestDialer_setUpWrong(t *testing.T) {
	ok := func() websock.Handler { return &handler{} }
	sys := sockettest.NewSystem(t)
	for want, d := range map[string]*socket.Dialer{
		"URL":                   {Handler: ok},
		"want ws":               {URL: "ftp://x/", Handler: ok},
		"fragment":              {URL: "ws://x/#y", Handler: ok},
		"Handler":               {URL: "ws://x/"},
		"OriginPatterns":        {URL: "ws://x/", Handler: ok, Config: socket.Config{OriginPatterns: []string{"*"}}},
		"MaxSockets":            {URL: "ws://x/", Handler: ok, Config: socket.Config{MaxSockets: 1}},
		"Drain":                 {URL: "ws://x/", Handler: ok, Config: socket.Config{Drain: socket.Drain{Delay: 1}}},
		"Compression.Level":     {URL: "ws://x/", Handler: ok, Config: socket.Config{Compression: socket.Compression{Level: 12}}},
		"without a Name":        {URL: "ws://x/", Handler: ok, Registry: registry.New(sys), Config: socket.Config{System: sys}},
		"without Config.System": {URL: "ws://x/", Handler: ok, Registry: registry.New(sys), Name: "x"},
		"Backoff.Max":           {URL: "ws://x/", Handler: ok, Backoff: socket.Backoff{Min: 2, Max: 1}},
		"Backoff.Min":           {URL: "ws://x/", Handler: ok, Backoff: socket.Backoff{Min: -1}},
	} {
		if err := d.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Serve: got %v, want an error about %q", err, want)
		}
	}
}

// TestDialer_secrets: neither errors, nor the log, nor the text of a Dialer show the query or the password of its URL.
func TestDialer_secrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		d.URL = "ws://user:hunter2@server.test/ws?token=hunter2"
		var text string
		d.Backoff.Retry = func(err error) bool {
			text += fmt.Sprint(err)
			return false
		}
		logs := new(logs)
		d.Config.Logger = slog.New(logs)
		d.srv.Down(true)
		err := d.Serve(t.Context())
		d.srv.Down(false)
		d.Backoff = socket.Backoff{}
		d.serve()
		d.srv.Accept().Refuse(503, nil)
		d.srv.Accept().Upgrade(nil).Close(1012, "")
		d.srv.Accept()
		synctest.Wait()
		var lines []string
		for _, r := range logs.all(slog.LevelInfo) {
			lines = append(lines, fmt.Sprint(r.level, " ", r.message))
			text += r.text
		}
		slices.Sort(lines) // the process and Serve each write some
		want := "INFO connected, INFO connecting again, INFO socket closed, WARN connection attempt failed"
		if got := strings.Join(lines, ", "); got != want {
			t.Errorf("lines of the log: got %s, want %s", got, want)
		}
		if all := fmt.Sprint(text, err, d.Dialer); strings.Contains(all, "hunter2") || !strings.Contains(all, "server.test") {
			t.Errorf("got %q, want the host and no secret", all)
		}
	})
}
