package slowlink_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/examples/slowlink"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// greeter pushes a message of size bytes, and then a short one.
type greeter struct{ size int }

func (g greeter) Init(context.Context) websock.Result {
	return websock.Push(websock.Text(strings.Repeat("x", g.size)), websock.Text("end"))
}
func (greeter) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (greeter) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// dial connects to a socket by way of Handler, in the bubble of t. closed gets its end.
func dial(t *testing.T, url string, size int) (c *sockettest.Conn, status int, srv *socket.Server, closed <-chan socket.Closed) {
	t.Helper()
	ends := make(chan socket.Closed, 1)
	srv, err := socket.New(socket.Config{Logger: slog.New(slog.DiscardHandler), OnClose: func(c socket.Closed) { ends <- c }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Shutdown(context.Background()) })
	h := slowlink.Handler(srv.Handler(func(*http.Request) (websock.Handler, error) { return greeter{size}, nil }))
	c, resp := sockettest.Dial(t, h, httptest.NewRequest("GET", url, nil))
	return c, resp.StatusCode, srv, ends
}

// What is written takes its time, longer than WriteTimeout, and arrives whole.
func TestHandler_pace(t *testing.T) {
	for _, tt := range []struct {
		url         string
		size        int
		least, most time.Duration
	}{
		{"/ws", 30_000, 0, 0},
		{"/ws?link=1000", 30_000, 29 * time.Second, 31 * time.Second},
		{"/ws?link=100", 100, 0, 5 * time.Second}, // the 101 takes its time, too
	} {
		t.Run(tt.url, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c, _, _, _ := dial(t, tt.url, tt.size)
				c.Want(websock.Text(strings.Repeat("x", tt.size)), websock.Text("end"))
				if took := time.Since(start); took < tt.least || took > tt.most {
					t.Errorf("%d bytes took %v, want %v to %v", tt.size, took, tt.least, tt.most)
				}
			})
		})
	}
}

func TestHandler_badLink(t *testing.T) {
	for _, link := range []string{"99", "1048577", "-1", "fast", "1e3", "%20"} {
		synctest.Test(t, func(t *testing.T) {
			if c, status, _, _ := dial(t, "/ws?link="+link, 0); c != nil || status != http.StatusBadRequest {
				t.Errorf("link=%s: %d, want 400", link, status)
			}
		})
	}
}

// A write that would take an hour does not hold up the end of its socket: not a kill, and not the end of Shutdown's ctx.
func TestHandler_ends(t *testing.T) {
	for name, end := range map[string]func(*socket.Server){
		"killed": func(srv *socket.Server) {
			for pid := range srv.Sockets() {
				pid.Exit(actor.ErrKilled)
			}
		},
		"shut down": func(srv *socket.Server) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			srv.Shutdown(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _, srv, closed := dial(t, "/ws?link=100", 400_000)
				time.Sleep(10 * time.Second)
				start := time.Now()
				end(srv)
				<-closed
				if took := time.Since(start); took > 30*time.Second {
					t.Errorf("the socket has ended after %v, want 30 s at most", took)
				}
				c.Drop()
			})
		})
	}
}
