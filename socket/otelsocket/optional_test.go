package otelsocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/otelsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// calls are the optional callbacks that were called.
type calls struct {
	mu  sync.Mutex // the process notes, and so does the test
	all []string
}

func (c *calls) note(name string) websock.Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, name)
	return websock.OK()
}

// basic has none of them. Others embed what is below, each of which is one of them.
type basic struct{ *calls }

func (basic) Init(ctx context.Context) websock.Result {
	socket.Expire(ctx, time.Now().Add(10*time.Minute))
	return websock.OK()
}
func (basic) HandleIn(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
func (basic) HandleInfo(context.Context, any) websock.Result {
	time.Sleep(time.Second)
	return websock.OK()
}

type (
	controls   struct{ c *calls }
	drains     struct{ c *calls }
	describes  struct{ c *calls }
	expires    struct{ c *calls }
	lags       struct{ c *calls }
	terminates struct{ c *calls }
)

func (h controls) HandleControl(context.Context, websock.Message) websock.Result {
	return h.c.note("HandleControl")
}
func (h drains) HandleDrain(context.Context, time.Time) websock.Result {
	return h.c.note("HandleDrain")
}
func (h describes) Describe() any                             { return "state" }
func (h expires) HandleExpiry(context.Context) websock.Result { return h.c.note("HandleExpiry") }
func (h lags) HandleLag(_ context.Context, l websock.Lag) websock.Result {
	return h.c.note(fmt.Sprint("HandleLag ", l.LeftOut))
}
func (h terminates) Terminate(context.Context, error) { h.c.note("Terminate") }

// lifeOf is what becomes of a socket with the handler that make makes, in which something happens for each optional callback.
func lifeOf(t *testing.T, wrap func(func(*http.Request) (websock.Handler, error)) func(*http.Request) (websock.Handler, error), make func(*calls) websock.Handler) (life []string) {
	synctest.Test(t, func(t *testing.T) {
		srv, err := socket.New(socket.Config{System: sockettest.NewSystem(t), Logger: discard, ExpiryWarning: time.Minute, IdleTimeout: -1, PingInterval: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer srv.Shutdown(context.Background())
		c := &calls{}
		client, _ := sockettest.Dial(t, srv.Handler(wrap(func(*http.Request) (websock.Handler, error) { return make(c), nil })), httptest.NewRequest("GET", "/", nil))
		synctest.Wait()
		var pid actor.PID
		for p := range srv.Sockets() {
			pid = p
		}
		client.Send(websock.Pong([]byte("p")))
		pid.Send("this takes a second")
		for range 3 {
			pid.Send(websock.Text("price").Deliver(websock.Delivery{Key: "price"}))
		}
		time.Sleep(9*time.Minute + 30*time.Second)
		state, err := srv.Describe(t.Context(), pid)
		c.note(fmt.Sprint("Describe ", state, errors.Is(err, errors.ErrUnsupported)))
		info, err := actor.Inspect(pid)
		if err != nil {
			t.Fatal(err)
		}
		c.note(info.Actor)
		began := time.Now()
		if err := srv.Drain(t.Context(), socket.Drain{Over: -1, Timeout: 10 * time.Second}); err != nil {
			t.Error(err)
		}
		c.note(fmt.Sprint("drained after ", time.Since(began)))
		life = c.all
	})
	return life
}

// A socket lives as without Traces, whichever optional callbacks its handler has.
func TestTraces_optional(t *testing.T) {
	for name, handler := range map[string]func(c *calls) websock.Handler{
		"none": func(c *calls) websock.Handler { return basic{c} },
		"HandleControl": func(c *calls) websock.Handler {
			return struct {
				basic
				controls
			}{basic{c}, controls{c}}
		},
		"HandleDrain": func(c *calls) websock.Handler {
			return struct {
				basic
				drains
			}{basic{c}, drains{c}}
		},
		"Describe": func(c *calls) websock.Handler {
			return struct {
				basic
				describes
			}{basic{c}, describes{c}}
		},
		"HandleExpiry": func(c *calls) websock.Handler {
			return struct {
				basic
				expires
			}{basic{c}, expires{c}}
		},
		"HandleLag": func(c *calls) websock.Handler {
			return struct {
				basic
				lags
			}{basic{c}, lags{c}}
		},
		"Terminate": func(c *calls) websock.Handler {
			return struct {
				basic
				terminates
			}{basic{c}, terminates{c}}
		},
		"all": func(c *calls) websock.Handler {
			return struct {
				basic
				controls
				drains
				describes
				expires
				lags
				terminates
			}{basic{c}, controls{c}, drains{c}, describes{c}, expires{c}, lags{c}, terminates{c}}
		},
	} {
		want := lifeOf(t, func(next func(*http.Request) (websock.Handler, error)) func(*http.Request) (websock.Handler, error) {
			return next
		}, handler)
		for _, traces := range []otelsocket.Traces{{}, {Callbacks: -1}, {Callbacks: all}} {
			if got := lifeOf(t, traces.Handler, handler); !slices.Equal(got, want) {
				t.Errorf("%s, Callbacks %d: got\n%q, without Traces\n%q", name, traces.Callbacks, got, want)
			}
			twice := func(next func(*http.Request) (websock.Handler, error)) func(*http.Request) (websock.Handler, error) {
				return traces.Handler(traces.Handler(next))
			}
			if got := lifeOf(t, twice, handler); !slices.Equal(got, want) {
				t.Errorf("%s, Callbacks %d, wrapped twice: got\n%q, without Traces\n%q", name, traces.Callbacks, got, want)
			}
		}
		if (name == "all") != (len(want) == 8) {
			t.Errorf("%s: the life has %d entries: %q", name, len(want), want)
		}
	}
}
