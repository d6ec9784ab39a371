package socket_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// hang is code of the user's that does not return before the end of the test.
type hang struct {
	free   chan struct{}
	inside atomic.Int32 // goroutines
	most   atomic.Int32
}

func newHang(t *testing.T) *hang {
	s := &hang{free: make(chan struct{})}
	t.Cleanup(func() { close(s.free) })
	return s
}

func (s *hang) call() {
	s.most.Store(max(s.most.Load(), s.inside.Add(1)))
	<-s.free
	s.inside.Add(-1)
}

// handlerFunc is a slog.Handler that does with each line what the test says.
type handlerFunc func(slog.Record)

func (h handlerFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (h handlerFunc) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h handlerFunc) WithGroup(string) slog.Handler                 { return h }
func (h handlerFunc) Handle(_ context.Context, r slog.Record) error { h(r); return nil }

// A Logger, an OnClose and an OnProgress that do not return hold up no socket, no upgrade, no deadline and no Close frame,
// and cost a goroutine each.
func TestReports_stuck(t *testing.T) {
	for name, set := range map[string]func(s *hang, cfg *socket.Config){
		"Logger":     func(s *hang, cfg *socket.Config) { cfg.Logger = slog.New(handlerFunc(func(slog.Record) { s.call() })) },
		"OnClose":    func(s *hang, cfg *socket.Config) { cfg.OnClose = func(socket.Closed) { s.call() } },
		"OnProgress": func(s *hang, cfg *socket.Config) { cfg.Drain.OnProgress = func(socket.DrainProgress) { s.call() } },
	} {
		bubble(t, name, func(t *testing.T) {
			s, cfg := newHang(t), socket.Config{MaxSockets: 100, Drain: socket.Drain{Delay: time.Second, Over: 10 * time.Second}}
			set(s, &cfg)
			h := memorySite(t, cfg, func() websock.Handler { return echo() })
			for range 400 { // come and go; the Terminate, OnClose and line of each must give its place back
				c := h.connect(rawclient.HandshakeOptions{})
				wantEcho(t, c, "hello")
				c.Close(1000, "")
				if f, err := c.ReadFrame(); err != nil || f.Opcode != rawclient.OpClose {
					t.Fatalf("the answer to Close: %v, %v", f, err)
				}
				c.Conn().Close()
			}
			synctest.Wait()
			closed := make(chan uint16, 20)
			for range 20 {
				c := h.connect(rawclient.HandshakeOptions{})
				go func() {
					op, p, _ := c.ReadMessage()
					c.Conn().Close()
					if op != rawclient.OpClose {
						p = nil
					}
					closed <- codeOf(p)
				}()
			}
			synctest.Wait()
			start := time.Now()
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- h.srv.Serve(ctx) }()
			synctest.Wait()
			stop()
			synctest.Wait()
			if resp, _ := h.refused(rawclient.HandshakeOptions{}); resp.StatusCode != 503 {
				t.Errorf("an upgrade at the beginning of the drain: got %d, want 503", resp.StatusCode)
			}
			select {
			case err := <-served:
				if err != nil {
					t.Errorf("Serve: %v", err)
				}
			case <-time.After(time.Hour):
				t.Fatalf("Serve has not returned after an hour; its ShutdownTime is %v", h.srv.ShutdownTime())
			}
			if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
				t.Errorf("Serve took %v, want what Delay and Over say, 10.5s to 11s", took)
			}
			for range 20 {
				if code := <-closed; code != 1001 {
					t.Errorf("Close frame %d, want 1001", code)
				}
			}
			if n := s.most.Load(); n != 1 {
				t.Errorf("%d goroutines are in the %s, want 1", n, name)
			}
		})
	}
}

// Shutdown, too, and a kill.
func TestReports_stuckAtShutdown(t *testing.T) {
	for name, limit := range map[string]time.Duration{"in order": time.Hour, "with a kill": time.Second} {
		bubble(t, name, func(t *testing.T) {
			s := newHang(t)
			r := serve(t, socket.Config{Logger: slog.New(handlerFunc(func(slog.Record) { s.call() })), CloseTimeout: 2 * time.Second})
			c := r.dial(puppet())
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			err := r.srv.Shutdown(ctx)
			want, killed := 2*time.Second, limit < time.Minute
			if killed {
				want = limit
			}
			if took := time.Since(start); took < want || took > want+400*time.Millisecond || killed != (err != nil) {
				t.Errorf("Shutdown: %v after %v, want it over after %v, and an error: %v", err, took, want, killed)
			}
			c.conn.Close()
		})
	}
}

// A Logger, an OnClose, an OnProgress that panic, or leave the goroutine, are the end of nothing.
func TestReports_panic(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("as asked") }, "Goexit": goexit} {
		bubble(t, name, func(t *testing.T) {
			var lines atomic.Int32 // of the Server and of the System
			closes, steps := 0, 0
			r := serve(t, socket.Config{
				Logger:  slog.New(handlerFunc(func(slog.Record) { lines.Add(1); f() })),
				OnClose: func(socket.Closed) { closes++; f() },
			})
			c := r.dial(puppet())
			c.pid.Exit(errors.New("crash"))
			c.wantEnd(closeFrame(1011, ""))
			c.conn.Close()
			stuck, release := r.dial(puppet()), make(chan struct{})
			stuck.pid.Send(do(func(context.Context) websock.Result { <-release; return websock.OK() }))
			synctest.Wait()
			stuck.pid.Exit(actor.ErrKilled)
			stuck.conn.Close()
			last := r.dial(puppet())
			go func() { last.ReadFrame(); last.conn.Close() }()
			err := r.srv.Drain(t.Context(), socket.Drain{OnProgress: func(socket.DrainProgress) { steps++; f() }})
			if err != nil {
				t.Errorf("Drain: %v", err)
			}
			close(release)
			synctest.Wait()
			if lines.Load() < 3 || closes != 3 || steps < 3 {
				t.Errorf("%d lines, %d OnClose, %d OnProgress, want 3 or more, 3, 3 or more", lines.Load(), closes, steps)
			}
		})
	}
}

// OnClose is called once for each socket, however many end at once, as long as it returns.
func TestOnClose_manyAtOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		const sockets = 1500
		closes := 0
		h := memorySite(t, socket.Config{OnClose: func(socket.Closed) { time.Sleep(time.Millisecond); closes++ }},
			func() websock.Handler { return echo() })
		for range sockets {
			c := h.connect(rawclient.HandshakeOptions{})
			go func() { c.ReadFrame(); c.Conn().Close() }()
		}
		synctest.Wait()
		if err := h.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if closes != sockets {
			t.Errorf("%d OnClose when Shutdown returns, want %d", closes, sockets)
		}
	})
}
