package socket_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

type traceKey struct{}

// seen collects what ctx.Value says, callback by callback.
type seen struct {
	mu    sync.Mutex
	lines []string
}

func (s *seen) add(where string, ctx context.Context) {
	deadline, limited := ctx.Deadline()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%s: %v, err %v", where, ctx.Value(traceKey{}), ctx.Err()))
	if limited && where != "Terminate" {
		s.lines = append(s.lines, fmt.Sprintf("%s: deadline %v", where, deadline))
	}
}

// TestContext_values: callbacks see the values of the request, and not its end.
func TestContext_values(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var got seen
		h := &controlHandler{}
		h.init = func(ctx context.Context) websock.Result { got.add("Init", ctx); return websock.OK() }
		h.in = func(ctx context.Context, _ websock.Message) websock.Result {
			got.add("HandleIn", ctx)
			derived, cancel := context.WithCancel(ctx)
			got.add("derived", derived)
			cancel()
			actor.Async(ctx, func(ctx context.Context) (int, error) { got.add("Async", ctx); return 0, nil })
			return websock.OK()
		}
		h.info = func(ctx context.Context, msg any) websock.Result {
			where := "HandleInfo"
			if _, ok := actor.Caller(ctx); ok {
				where = "Call"
				actor.Reply(ctx, 1)
			}
			got.add(where, ctx)
			return websock.OK()
		}
		h.control = func(ctx context.Context, _ websock.Message) websock.Result {
			got.add("HandleControl", ctx)
			return websock.OK()
		}
		h.terminate = func(ctx context.Context, _ error) { got.add("Terminate", ctx) }
		s := newSite(t, socket.Config{Context: func(r *http.Request) context.Context {
			ctx, cancel := context.WithTimeout(r.Context(), time.Nanosecond) // neither this end nor the request's
			defer cancel()
			return context.WithValue(ctx, traceKey{}, r.Header.Get("Traceparent"))
		}})
		pids := make(chan actor.PID, 1)
		s.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pid, err := s.srv.Upgrade(w, r, h)
			if err != nil {
				t.Errorf("Upgrade: %v", err)
			}
			pids <- pid
		}))
		c := s.connect(rawclient.HandshakeOptions{Header: http.Header{"Traceparent": {"00-7"}}})
		pid := <-pids
		synctest.Wait() // the HTTP handler has returned
		time.Sleep(time.Second)
		c.Text("x")
		synctest.Wait()
		c.Ping(nil)
		synctest.Wait()
		if _, err := actor.Call[int](t.Context(), pid, "?"); err != nil {
			t.Errorf("Call: %v", err)
		}
		c.Close(1000, "")
		s.wantEnds(1)
		got.mu.Lock()
		defer got.mu.Unlock()
		slices.Sort(got.lines)
		var want []string
		for _, where := range []string{"Async", "Call", "HandleControl", "HandleIn", "HandleInfo", "Init", "Terminate", "derived"} {
			want = append(want, where+": 00-7, err <nil>")
		}
		if !slices.Equal(got.lines, want) { // HandleInfo is the Async's Done
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got.lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestContext_ofAnotherProcess: a request that was made in another process's callback brings its values, not its process.
func TestContext_ofAnotherProcess(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var foreign context.Context
		r := serve(t, socket.Config{Context: func(*http.Request) context.Context { return foreign }})
		other := puppet()
		a := r.dial(other)
		foreign = nil
		go actor.Call[int](t.Context(), a.pid, do(func(ctx context.Context) websock.Result {
			if _, ok := actor.Caller(ctx); !ok {
				t.Error("the other process handles no Call")
			}
			foreign = context.WithValue(ctx, traceKey{}, 7)
			return websock.OK()
		}))
		synctest.Wait()
		b := r.dial(puppet())
		done := make(chan struct{})
		b.pid.Send(do(func(ctx context.Context) websock.Result {
			defer close(done)
			if self := actor.Self(ctx); self != b.pid {
				t.Errorf("Self: got %v, want %v", self, b.pid)
			}
			if from, ok := actor.Caller(ctx); ok {
				t.Errorf("Caller: got %v, want none", from)
			}
			if info := socket.Info(ctx); info.PID != b.pid {
				t.Errorf("Info: got that of %v, want %v", info.PID, b.pid)
			}
			if v := ctx.Value(traceKey{}); v != 7 {
				t.Errorf("Value: got %v, want 7", v)
			}
			return websock.Push(websock.Text("written"))
		}))
		<-done
		b.want(textFrame("written"))
		b.pid.Send(websock.Text("forwarded")) // which asks whether a Call is handled
		b.want(textFrame("forwarded"))
	})
}

// TestContext_whenItIsCalled: once for each socket, after newHandler and before the handshake.
func TestContext_whenItIsCalled(t *testing.T) {
	bubble(t, "order", func(t *testing.T) {
		var calls []string
		h := newSite(t, socket.Config{MaxSockets: 1,
			Context:  func(*http.Request) context.Context { calls = append(calls, "Context"); return nil },
			LogAttrs: func(*http.Request) []slog.Attr { calls = append(calls, "LogAttrs"); return nil },
		})
		var refuse error
		h.overMemory(h.srv.Handler(func(*http.Request) (websock.Handler, error) {
			calls = append(calls, "newHandler")
			return &handler{init: func(ctx context.Context) websock.Result {
				return websock.Push(websock.Text(fmt.Sprint(ctx.Value(traceKey{}))))
			}}, refuse
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		wantMessage(t, c, rawclient.OpText, "<nil>")
		h.refused(rawclient.HandshakeOptions{}) // it is full
		if want := []string{"newHandler", "Context", "LogAttrs"}; !slices.Equal(calls, want) {
			t.Errorf("got %q, want %q", calls, want)
		}
		goodbye(t, c)
		h.wantEnds(1)
		synctest.Wait()
		calls, refuse = nil, &socket.UpgradeError{Status: 401}
		h.refused(rawclient.HandshakeOptions{})
		if want := []string{"newHandler"}; !slices.Equal(calls, want) {
			t.Errorf("for a request that newHandler refuses: got %q, want %q", calls, want)
		}
	})
	for name, cfg := range map[string]socket.Config{
		"Context panics":  {MaxSockets: 1, Context: func(*http.Request) context.Context { panic("boom") }},
		"LogAttrs panics": {MaxSockets: 1, LogAttrs: func(*http.Request) []slog.Attr { panic("boom") }},
	} {
		bubble(t, name, func(t *testing.T) {
			hd := echo()
			h := memorySite(t, cfg, func() websock.Handler { return hd })
			for range 2 { // the first takes no place
				if c, resp, err := h.shake(rawclient.HandshakeOptions{}); c != nil || err == nil {
					t.Errorf("got response %+v, error %v, want a closed connection", resp, err)
				}
			}
			if calls := hd.log(); len(calls) != 0 {
				t.Errorf("callbacks: got %q, want none", calls)
			}
			h.wantEmpty()
		})
	}
}

// TestLogAttrs: they are in every line about the socket, those of its process included.
func TestLogAttrs(t *testing.T) {
	attrs := func(*http.Request) []slog.Attr {
		return []slog.Attr{slog.String("user", "ann"), slog.Int("tenant", 7)}
	}
	for name, tt := range map[string]struct {
		cfg   socket.Config
		cause func(c *client, release chan struct{})
		want  []string // lines
	}{
		"closed": {cause: func(c *client, _ chan struct{}) { c.must(c.Close(1000, "")) }, want: []string{"socket closed"}},
		"a panic in OnClose": {
			cfg:   socket.Config{OnClose: func(socket.Closed) { panic("boom") }},
			cause: func(c *client, _ chan struct{}) { c.must(c.Close(1000, "")) }, want: []string{"socket closed", "panic in Config.OnClose"},
		},
		"killed in a callback": {
			cause: func(c *client, release chan struct{}) {
				c.pid.Send(do(func(context.Context) websock.Result { <-release; return websock.OK() }))
				synctest.Wait()
				c.pid.Exit(actor.ErrKilled)
			},
			want: []string{"socket closed", "a callback does not return; its goroutine is abandoned"},
		},
		"a reason that panics": {
			cause: func(c *client, _ chan struct{}) {
				c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(brokenError{}) }))
			}, want: []string{"panic in the exit reason"},
		},
	} {
		bubble(t, name, func(t *testing.T) {
			tt.cfg.LogAttrs = attrs
			r := serve(t, tt.cfg)
			release := make(chan struct{})
			c := r.dial(puppet())
			tt.cause(c, release)
			c.end()
			time.Sleep(time.Second) // until what is stuck has been reported
			synctest.Wait()
			for _, message := range tt.want {
				lines := r.logs.of(message, c.pid)
				if len(lines) == 0 {
					t.Errorf("no line %q in %+v", message, r.logs.all(slog.LevelDebug))
				}
				for _, l := range lines {
					if l.attrs["user"].String() != "ann" || l.attrs["tenant"].String() != "7" {
						t.Errorf("got %s, want user=ann tenant=7 in it", l.text)
					}
				}
			}
			close(release)
		})
	}
}

// TestLog_readableInJSON: a Duration would be a number of nanoseconds there.
func TestLog_readableInJSON(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var out bytes.Buffer
		r := serve(t, socket.Config{Logger: slog.New(slog.NewJSONHandler(&out, nil))})
		c := r.dial(echo())
		time.Sleep(3 * time.Second)
		c.must(c.Close(1000, ""))
		c.end()
		if err := r.srv.Drain(t.Context(), socket.Drain{Delay: 2 * time.Second}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want := map[string]bool{`"age":"3s"`: false, `"elapsed":"2s"`: false, `"elapsed":"0s"`: false}
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
			for part := range want {
				want[part] = want[part] || strings.Contains(line, part)
			}
		}
		for part, ok := range want {
			if !ok {
				t.Errorf("%s is not in\n%s", part, out.String())
			}
		}
	})
}
