package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// stuckLeaver is a leaver whose HandleInfo blocks when it is told to.
type stuckLeaver struct {
	leaver
	wait chan struct{}
}

func (l *stuckLeaver) HandleInfo(_ context.Context, msg any) websock.Result {
	if msg == "stuck" {
		<-l.wait
	}
	return websock.OK()
}

// Every socket gets 1001 and says goodbye, all at once.
func TestServer_Shutdown(t *testing.T) {
	bubble(t, "330 1,000 sockets", func(t *testing.T) {
		const n = 1000
		var terminated atomic.Int64
		h := memorySite(t, socket.Config{}, func() websock.Handler {
			return &handler{terminate: func(_ context.Context, reason error) {
				if errors.Is(reason, websock.ErrShutdown) {
					terminated.Add(1)
				}
			}}
		})
		var polite int
		for i := range n {
			c := h.connect(rawclient.HandshakeOptions{})
			if i%10 != 0 { // the tenth never answers
				polite++
				background(t, func() {
					op, p, err := c.ReadMessage()
					if op != rawclient.OpClose || codeOf(p) != 1001 || err != nil {
						t.Errorf("got opcode %d, %q, %v, want Close 1001", op, p, err)
					}
					c.Close(1001, "")
					if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
						t.Errorf("after the Close: got %v, want io.EOF", err)
					}
				})
			}
		}
		synctest.Wait()
		start := time.Now()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("took %v, want CloseTimeout, 5s: the sockets are waited for together", d)
		}
		if got := terminated.Load(); got != n {
			t.Errorf("Terminate with ErrShutdown: %d times, want %d", got, n)
		}
		h.wantEnds(n)
		h.wantEmpty()
	})
	bubble(t, "331 while a callback runs", func(t *testing.T) {
		proceed := make(chan struct{})
		hd := &handler{in: func(_ context.Context, m websock.Message) websock.Result {
			<-proceed
			return websock.Push(m)
		}}
		h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Text("last")
		synctest.Wait()
		background(t, func() {
			time.Sleep(3 * time.Second)
			close(proceed)
		})
		background(t, func() {
			wantMessage(t, c, rawclient.OpText, "last")
			wantClosed(t, c, 1001)
			c.Close(1001, "")
		})
		start := time.Now()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v, want 3s", d)
		}
		if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrShutdown) {
			t.Errorf("Terminate: got %v, want ErrShutdown once", got)
		}
	})
	for _, own := range []bool{false, true} {
		bubble(t, fmt.Sprintf("321 ctx is done, own System %v", own), func(t *testing.T) {
			stuck := make(chan struct{})
			cfg := socket.Config{ShutdownTimeout: time.Hour, CloseTimeout: time.Hour}
			h := memorySite(t, cfg, func() websock.Handler {
				return &handler{in: func(context.Context, websock.Message) websock.Result { <-stuck; return websock.OK() }}
			})
			srv := h.srv
			if own {
				var err error
				if srv, err = socket.New(socket.Config{ShutdownTimeout: time.Hour, CloseTimeout: time.Hour, Logger: slog.New(h.logs)}); err != nil {
					t.Fatal(err)
				}
				h.srv = srv
				h.overMemory(h.sockets(func() websock.Handler {
					return &handler{in: func(context.Context, websock.Message) websock.Result { <-stuck; return websock.OK() }}
				}))
			}
			var clients []*rawclient.Client
			for i := range 7 { // three are stuck in a callback, the others wait for their peer's Close
				c := h.connect(rawclient.HandshakeOptions{})
				if i < 3 {
					c.Text("stuck")
				}
				clients = append(clients, c)
			}
			synctest.Wait()
			cause := errors.New("no more patience")
			ctx, cancel := context.WithCancelCause(context.Background())
			defer cancel(nil)
			time.AfterFunc(10*time.Second, func() { cancel(cause) })
			start := time.Now()
			err := srv.Shutdown(ctx)
			if d := time.Since(start); d != 10*time.Second {
				t.Errorf("took %v, want 10s", d)
			}
			if err == nil || !strings.Contains(err.Error(), "7 sockets killed") || !errors.Is(err, cause) {
				t.Errorf("Shutdown: got error %v, want one that says 7 sockets killed and wraps the cause", err)
			}
			for i, c := range clients {
				f, err := c.ReadFrame()
				if i < 3 && err == nil {
					t.Errorf("client %d, stuck: got %v, want no frame", i, f)
				}
				if i >= 3 {
					if err != nil || f.Opcode != rawclient.OpClose || codeOf(f.Payload) != 1001 {
						t.Errorf("client %d: got %v, %v, want Close 1001", i, f, err)
					}
					_, err = c.ReadFrame()
				}
				if err == nil || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("client %d: TCP is open", i)
				}
			}
			close(stuck)
			synctest.Wait()
			if n := srv.Count(); n != 0 {
				t.Errorf("Count: got %d, want 0", n)
			}
			if err := srv.Shutdown(context.Background()); err != nil {
				t.Errorf("a later Shutdown: %v", err)
			}
		})
	}
	bubble(t, "without sockets, and again", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		for range 3 {
			if err := h.srv.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if err := h.srv.Shutdown(done); err != nil {
			t.Errorf("Shutdown of what is over, with a ctx that is done: %v", err)
		}
	})
}

// Shutdowns and upgrades at once: a 101 before it means a 1001, whoever comes later gets 503, nobody is forgotten.
func TestServer_Shutdown_whileUpgrading(t *testing.T) {
	for round := range 30 {
		h := memorySite(t, socket.Config{CloseTimeout: 10 * time.Millisecond}, func() websock.Handler { return echo() })
		var wg sync.WaitGroup
		var sockets, refused atomic.Int64
		for range 40 {
			wg.Go(func() {
				c, resp, err := h.shake(rawclient.HandshakeOptions{})
				switch {
				case c != nil:
					sockets.Add(1)
					op, p, err := c.ReadMessage()
					if op != rawclient.OpClose || codeOf(p) != 1001 || err != nil {
						t.Errorf("got opcode %d, %q, %v, want Close 1001", op, p, err)
					}
					c.Conn().Close()
				case err != nil || resp.StatusCode != 503:
					t.Errorf("got %+v, %v, want 101 or 503", resp, err)
				default:
					refused.Add(1)
				}
			})
		}
		for i := range 3 {
			wg.Go(func() {
				for int(sockets.Load()+refused.Load()) < round { // so that each round cuts elsewhere
					h.yield()
				}
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := h.srv.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown %d: %v", i, err)
				}
				if n := h.srv.Count(); n != 0 {
					t.Errorf("Shutdown %d has returned with %d sockets", i, n)
				}
			})
		}
		wg.Wait()
		h.wantEnds(int(sockets.Load()))
		h.wantEmpty()
		if t.Failed() {
			return
		}
	}
}

// An upgrade that has its place, and whose 101 is being written while Shutdown begins, is ended by it.
func TestServer_Shutdown_inTheMiddleOfAnUpgrade(t *testing.T) {
	bubble(t, "1001", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		shut := make(chan error, 1)
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.srv.Upgrade(&doingWriter{w, func() {
				go func() { shut <- h.srv.Shutdown(context.Background()) }()
				synctest.Wait() // it has seen all sockets there are, and waits for this one
			}}, r, echo())
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		wantClosed(t, c, 1001)
		c.Close(1001, "")
		if err := <-shut; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.wantEnds(1)
		h.wantEmpty()
	})
}
