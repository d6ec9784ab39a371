package socket_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
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
