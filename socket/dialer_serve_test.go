package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// What Serve owes to its surroundings: the http.Client, the supervisor, its ctx.

// transport is a RoundTripper around another one that counts bodies, as those do that trace connections or limit them.
type transport struct {
	http.RoundTripper
	open atomic.Int32 // bodies that have not been closed
}

func (tr *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := tr.RoundTripper.RoundTrip(r)
	if err == nil {
		tr.open.Add(1)
		body := &countedBody{ReadCloser: resp.Body, tr: tr}
		if w, ok := resp.Body.(io.Writer); ok {
			resp.Body = struct {
				*countedBody
				io.Writer
			}{body, w}
		} else {
			resp.Body = body
		}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	tr     *transport
	closed atomic.Bool
}

func (b *countedBody) Close() error {
	if !b.closed.Swap(true) {
		b.tr.open.Add(-1)
	}
	return b.ReadCloser.Close()
}

// answerByHand answers with a 101 and leaves the rest to the test: Close frames are not answered.
func answerByHand(a *sockettest.Attempt) {
	a.SendRaw([]byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		rawclient.Accept(a.Request.Header.Get("Sec-WebSocket-Key")) + "\r\n\r\n"))
}

// TestDialer_closesBodies: the body of each answer is closed, that of a 101 when its TCP connection is, not before.
func TestDialer_closesBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		tr := &transport{RoundTripper: d.srv.HTTP.Transport}
		d.HTTP = &http.Client{Transport: tr}
		d.serve()
		want := func(when string, n int32) {
			t.Helper()
			if synctest.Wait(); tr.open.Load() != n {
				t.Errorf("%s: %d bodies are open, want %d", when, tr.open.Load(), n)
			}
		}
		a := d.srv.Accept()
		want("no answer yet", 0)
		a.Refuse(503, nil)
		a = d.srv.Accept()
		want("a refused attempt", 0)
		a.Upgrade(http.Header{"Sec-Websocket-Accept": {"wrong"}})
		a = d.srv.Accept()
		want("a wrong answer", 0)
		c := a.Upgrade(nil)
		want("a connection", 1)
		c.Send(websock.Text("x"))
		want("a message", 1)
		c.Drop()
		a = d.srv.Accept()
		want("a connection that was lost", 0)
		answerByHand(a)
		synctest.Wait()
		pid, _ := d.PID()
		pid.Exit(websock.ErrRestart)
		want("a connection whose TCP the server does not end", 1)
		time.Sleep(5 * time.Second) // CloseTimeout
		want("the end of its TCP", 0)
		d.srv.Accept().Upgrade(nil)
		want("another connection", 1)
		d.cancel()
		if err := d.result(); err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
		want("the end of Serve", 0)
	})
}

// TestDialer_setUpWrongLater: what is wrong with the set-up, and is seen at the first attempt, ends Serve, whatever
// Backoff.Retry says: all other attempts would end as this one.
func TestDialer_setUpWrongLater(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *dialled, sys *actor.System)
		want   string
	}{
		"no handler": {func(d *dialled, _ *actor.System) { d.Handler = func() websock.Handler { return nil } }, "Handler returned nil"},
		"a field of the handshake": {func(d *dialled, _ *actor.System) {
			d.Header = func(context.Context) (http.Header, error) { return http.Header{"Upgrade": {"x"}}, nil }
		}, "Header: the header sets Upgrade"},
		"a Registry of another System": {func(d *dialled, sys *actor.System) {
			d.Registry, d.Name, d.Config.System = registry.New(sys), "x", sockettest.NewSystem(d.t)
		}, "Registry is not one of Config.System"},
		"a System that has ended": {func(d *dialled, sys *actor.System) {
			d.Config.System = sys
			if err := sys.Shutdown(context.Background()); err != nil {
				d.t.Fatal(err)
			}
		}, "System takes no process"},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			c.change(d, sockettest.NewSystem(t))
			d.Backoff.Retry = func(err error) bool {
				t.Errorf("Backoff.Retry is asked about %v", err)
				return true
			}
			d.serve()
			if d.Header == nil {
				d.srv.Accept().Upgrade(nil).WantDropped()
			}
			if err := d.result(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Serve: got %v, want an error about %q", err, c.want)
			} else if name == "a System that has ended" && !errors.Is(err, actor.ErrShutdown) {
				t.Errorf("Serve: got %v, want ErrShutdown", err)
			}
			d.srv.WantNothing(time.Hour)
		})
	}
}

// TestDialer_stoppedWhileItEnds: the connection is over, and Serve waits for the server to end TCP, when its ctx is done.
// Serve still has the time that an orderly end takes, and returns nil after it. A kill ends the wait.
func TestDialer_stoppedWhileItEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		cause error
		takes time.Duration
		ok    bool
	}{
		"stopped": {nil, 4 * time.Second, true},                     // CloseTimeout is 5 s, and a second is over
		"killed":  {actor.ErrKilled, 250 * time.Millisecond, false}, // a farewell
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			ctx, cancel := context.WithCancelCause(d.ctx)
			d.ctx = ctx
			d.serve()
			answerByHand(d.srv.Accept())
			synctest.Wait()
			pid, _ := d.PID()
			pid.Exit(websock.ErrNormal)
			time.Sleep(time.Second)
			d.wantServing("as long as TCP is open")
			begun := time.Now()
			cancel(tt.cause)
			if err := d.result(); (err == nil) != tt.ok || time.Since(begun) != tt.takes {
				t.Errorf("Serve: got %v after %v, want success %t after %v", err, time.Since(begun), tt.ok, tt.takes)
			}
		})
	}
}

// TestDialer_stoppedAtEachStep: whatever an attempt waits for, Serve returns nil at once when its ctx is done, and nothing
// is left of the attempt: the bubble waits for all goroutines.
func TestDialer_stoppedAtEachStep(t *testing.T) {
	raw := func(text string) func(d *dialled) {
		return func(d *dialled) { d.srv.Accept().SendRaw([]byte(text)) }
	}
	for name, tt := range map[string]struct {
		change func(d *dialled)
		begin  func(d *dialled)
	}{
		"Header": {func(d *dialled) {
			d.Header = func(ctx context.Context) (http.Header, error) { <-ctx.Done(); return nil, ctx.Err() }
		}, func(*dialled) {}},
		"TCP": {func(d *dialled) {
			d.HTTP = connecting(d.t, func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}, func(*dialled) {}},
		"TLS": {func(d *dialled) {
			d.URL = "wss://server.test/"
			d.HTTP = connecting(d.t, func(context.Context) (net.Conn, error) {
				near, _ := pipe.New(0)
				return near, nil
			})
		}, func(*dialled) {}},
		"the answer":             {nil, func(d *dialled) { d.srv.Accept() }},
		"half an answer":         {nil, raw("HTTP/1.1 101 Switching Protocols\r\nUpg")},
		"the text of a refusal":  {nil, raw("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\nwe are")},
		"the body of a redirect": {nil, raw("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 100\r\n\r\nlook")},
		"the wait":               {nil, func(d *dialled) { d.srv.Accept().Refuse(503, http.Header{"Retry-After": {"60"}}) }},
		"a redirect":             {nil, func(d *dialled) { d.srv.Accept().Refuse(302, http.Header{"Location": {"/x"}}); d.srv.Accept() }},
		"a deadline that is ignored": {func(d *dialled) { d.HTTP = &http.Client{Transport: deaf(d.srv.HTTP.Transport.(*http.Transport))} },
			func(d *dialled) { answerByHand(d.srv.Accept()) }},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			if tt.change != nil {
				tt.change(d)
			}
			d.Config.System = sockettest.NewSystem(t)
			d.serve()
			tt.begin(d)
			synctest.Wait()
			d.wantServing("before its ctx is done")
			begun := time.Now()
			d.cancel()
			if err := d.result(); err != nil || time.Since(begun) != 0 {
				t.Errorf("Serve: got %v after %v, want nil at once", err, time.Since(begun))
			}
			for p := range d.Config.System.Processes() {
				t.Errorf("a process is left: %+v", p)
			}
		})
	}
}

// connecting is an http.Client that connects with dial. What dial does outlives the attempt: http.Transport keeps on
// connecting, for a request that may come. CloseIdleConnections ends that.
func connecting(t *testing.T, dial func(ctx context.Context) (net.Conn, error)) *http.Client {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// deaf is tr with connections that do not know read deadlines, and say nothing of it.
func deaf(tr *http.Transport) *http.Transport {
	tr, dial := tr.Clone(), tr.DialContext
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return deafConn{conn}, err
	}
	return tr
}

type deafConn struct{ net.Conn }

func (deafConn) SetReadDeadline(time.Time) error { return nil }

// supervised has a supervisor of its own serve d.
func (d *dialled) supervised(restart supervisor.Restart) {
	d.t.Helper()
	sup, err := supervisor.New(supervisor.Config{Name: "test", Logger: quiet}, supervisor.ChildSpec{ID: "dialer", Service: d.Dialer, Restart: restart})
	if err != nil {
		d.t.Fatal(err)
	}
	go func() { d.ended <- sup.Serve(d.ctx) }()
	d.t.Cleanup(func() {
		d.cancel()
		synctest.Wait()
	})
}

// TestDialer_supervised: Transient is for a Dialer that stays away when it is sent away, Permanent for one that comes back
// even then. After a panic of the handler both do.
func TestDialer_supervised(t *testing.T) {
	for _, restart := range []supervisor.Restart{supervisor.Transient, supervisor.Permanent} {
		for name, tt := range map[string]struct {
			do    func(c *sockettest.Conn)
			again bool // with Transient
		}{
			"4000":    {func(c *sockettest.Conn) { c.Close(4000, "") }, false},
			"1000":    {func(c *sockettest.Conn) { c.Close(1000, "") }, false},
			"a panic": {func(c *sockettest.Conn) { c.Send(websock.Text("panic")) }, true},
		} {
			bubble(t, fmt.Sprint(name, ", ", restart), func(t *testing.T) {
				d := dialling(t, func(h *handler) {
					h.in = func(context.Context, websock.Message) websock.Result { panic("boom") }
				})
				d.supervised(restart)
				tt.do(d.srv.Accept().Upgrade(nil))
				if !tt.again && restart == supervisor.Transient {
					d.srv.WantNothing(time.Hour)
					return
				}
				d.srv.Accept()
				d.wantServing("after the second attempt")
			})
		}
	}
}

// TestDialer_waitsAfterRestart: a supervisor that starts a Dialer again does not have it come back at once.
func TestDialer_waitsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		longest := time.Duration(0)
		d := dialling(t, nil)
		d.Backoff = socket.Backoff{Min: time.Hour, Max: 4 * time.Hour}
		served := func() {
			t.Helper()
			go func() { d.ended <- d.Serve(d.ctx) }()
			begun := time.Now()
			a := d.srv.Accept()
			longest = max(longest, time.Since(begun))
			a.Upgrade(nil).Close(4000, "")
			d.result()
		}
		if served(); longest != 0 {
			t.Errorf("the first attempt came after %v, want at once", longest)
		}
		for range 30 {
			served()
		}
		if longest < time.Hour || longest > 4*time.Hour {
			t.Errorf("the longest of 30 waits of one Serve after the other is %v, want 1h to 4h", longest)
		}
		// A good connection that ctx ends: the next Serve has nothing to wait for.
		ctx, cancel := context.WithCancel(d.ctx)
		go func() { d.ended <- d.Serve(ctx) }()
		d.srv.Accept().Upgrade(nil)
		time.Sleep(time.Minute)
		cancel()
		d.result()
		go func() { d.ended <- d.Serve(d.ctx) }()
		begun := time.Now()
		d.srv.Accept()
		if got := time.Since(begun); got != 0 {
			t.Errorf("after a good connection that ctx has ended, the attempt came after %v, want at once", got)
		}
		d.cancel()
		d.result()
	})
}

// TestDialer_ready: a supervisor that waits for it starts the next child when the Dialer is connected for the first time.
func TestDialer_ready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil)
		var started atomic.Bool
		next := supervisor.ServiceFunc(func(ctx context.Context) error { started.Store(true); <-ctx.Done(); return nil })
		sup, err := supervisor.New(supervisor.Config{Name: "test", Logger: quiet},
			supervisor.ChildSpec{ID: "dialer", Service: d.Dialer, StartTimeout: time.Hour}, supervisor.ChildSpec{ID: "next", Service: next})
		if err != nil {
			t.Fatal(err)
		}
		go func() { d.ended <- sup.Serve(d.ctx) }()
		d.srv.Accept().Refuse(503, nil)
		a := d.srv.Accept()
		if synctest.Wait(); started.Load() {
			t.Error("the next child has been started before there is a connection")
		}
		a.Upgrade(nil)
		if synctest.Wait(); !started.Load() {
			t.Error("the next child has not been started when there is a connection")
		}
		d.cancel()
		if err := d.result(); err != nil {
			t.Errorf("Serve of the supervisor: %v", err)
		}
	})
}

// TestDialer_retry: the user has the last word, in both directions.
func TestDialer_retry(t *testing.T) {
	for code, again := range map[websock.CloseCode]bool{1000: true, 1008: true, 4000: true, 1001: false, 1012: false} {
		bubble(t, fmt.Sprint(code), func(t *testing.T) {
			d := dialling(t, nil)
			d.Backoff.Retry = func(err error) bool { return !socket.ComesBack(err) }
			d.serve()
			d.srv.Accept().Upgrade(nil).Close(code, "")
			if again {
				d.srv.Accept()
				d.wantServing("after the second attempt")
				return
			}
			if err, ok := errors.AsType[*websock.RemoteCloseError](d.result()); !ok || err.Code != code {
				t.Errorf("Serve: got %v, want a RemoteCloseError of %d", err, code)
			}
		})
	}
}

// TestDialer_servedTwice: one Serve at a time, and again after it.
func TestDialer_servedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialling(t, nil).serve()
		c := d.srv.Accept().Upgrade(nil)
		if err := d.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), "runs already") {
			t.Errorf("a second Serve: got %v, want an error at once", err)
		}
		c.Close(1000, "")
		if err := d.result(); err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
		d.serve()
		d.srv.Accept()
	})
}

// drainable is a handler that is asked before it is ended.
type drainable struct {
	*handler
	asked atomic.Bool
}

func (h *drainable) HandleDrain(context.Context, time.Time) websock.Result {
	h.asked.Store(true)
	return websock.OK()
}

// TestDialer_drains: a Drainer is asked, and has half of Drain.Timeout; not when a supervisor restarts the Dialer, nor for
// longer than a kill allows. A connection that does not end is killed after Drain.Timeout, and the error says so. All of it
// is within ShutdownTime.
func TestDialer_drains(t *testing.T) {
	for name, tt := range map[string]struct {
		cause error
		asked bool
		code  websock.CloseCode
		takes time.Duration
	}{
		"stopped":   {nil, true, 4123, 5 * time.Second},
		"restarted": {supervisor.ErrRestarting, false, 4123, 0},
	} {
		bubble(t, name, func(t *testing.T) {
			d := dialling(t, nil)
			h := &drainable{handler: &handler{}}
			d.Handler = func() websock.Handler { return h }
			d.Config.Drain = socket.Drain{Close: websock.CloseDetail{Code: 4123, Reason: "off"}, Timeout: 10 * time.Second}
			ctx, cancel := context.WithCancelCause(d.ctx)
			d.ctx = ctx
			d.serve()
			c := d.srv.Accept().Upgrade(nil)
			synctest.Wait()
			begun := time.Now()
			cancel(tt.cause)
			c.WantClose(tt.code, "off")
			if got := time.Since(begun); got != tt.takes || h.asked.Load() != tt.asked {
				t.Errorf("Close after %v, asked %t; want %v, %t", got, h.asked.Load(), tt.takes, tt.asked)
			}
			if err := d.result(); err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
	bubble(t, "it does not end", func(t *testing.T) {
		release := make(chan struct{})
		d := dialling(t, func(h *handler) {
			h.in = func(context.Context, websock.Message) websock.Result { <-release; return websock.OK() }
		})
		defer close(release)
		d.Config.Drain.Timeout = 3 * time.Second
		d.serve()
		d.srv.Accept().Upgrade(nil, websock.Text("x"))
		synctest.Wait()
		begun := time.Now()
		d.cancel()
		err := d.result()
		if got := time.Since(begun); err == nil || got < 3*time.Second || got > d.ShutdownTime() || d.ShutdownTime() != 4*time.Second {
			t.Errorf("Serve: got %v after %v of ShutdownTime %v, want an error after 3s of 4s", err, got, d.ShutdownTime())
		}
	})
}

// TestDialer_config: Compression is offered, and a connection does not sleep unless HibernateAfter says so.
func TestDialer_config(t *testing.T) {
	for after, want := range map[time.Duration]bool{0: false, time.Second: true} {
		bubble(t, fmt.Sprint("HibernateAfter ", after), func(t *testing.T) {
			infos := make(chan socket.ConnInfo, 1)
			d := dialling(t, func(h *handler) {
				h.info = func(ctx context.Context, _ any) websock.Result { infos <- socket.Info(ctx); return websock.OK() }
			})
			d.Config.HibernateAfter, d.Config.Compression.On = after, true
			d.serve()
			a := d.srv.Accept()
			offer := a.Request.Header.Get("Sec-WebSocket-Extensions")
			if !strings.HasPrefix(offer, "permessage-deflate;") {
				t.Errorf("offered %q, want permessage-deflate", offer)
			}
			a.Upgrade(http.Header{"Sec-Websocket-Extensions": {offer}})
			time.Sleep(20 * time.Second)
			pid, _ := d.PID()
			pid.Send("look")
			if i := <-infos; i.Hibernated != want || !i.Compressed {
				t.Errorf("hibernated %t, compressed %t, want %t, true", i.Hibernated, i.Compressed, want)
			}
		})
	}
}
