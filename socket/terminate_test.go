package socket_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

func goexit() { runtime.Goexit() }

// 267: Terminate is optional, whatever the end.
func TestTerminate_isOptional(t *testing.T) {
	for name, end := range map[string]func(c *client){
		"Stop": func(c *client) {
			c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(websock.ErrNormal) }))
		},
		"peer's Close": func(c *client) { c.must(c.Close(1000, "")) },
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			h := puppet()
			c := r.dial(plain{h})
			end(c)
			c.wantEnd(closeFrame(1000, ""))
			c.end()
			if got := h.terminated(); len(got) != 0 {
				t.Errorf("Terminate was called: %v", got)
			}
			wantOneLine(t, r, c.pid, 0)
		})
	}
}

// 275: once, though more happens after the stop. What it gets is in the matrix (268, 269, 274) and in the close table
// (270 to 273, 278).
func TestTerminate_once(t *testing.T) {
	stop := func(c *client, reason error) {
		c.pid.Send(do(func(context.Context) websock.Result { return websock.Stop(reason) }))
	}
	for _, tt := range []struct {
		name string
		end  func(c *client)
		want reasonCheck
	}{
		{"stop, then the peer's Close", func(c *client) { stop(c, websock.ErrNormal); c.want(closeFrame(1000, "")); c.must(c.Close(1000, "")) }, reasonIs(websock.ErrNormal)},
		{"stop, then silence", func(c *client) {
			stop(c, websock.ErrNormal)
			c.want(closeFrame(1000, ""))
			time.Sleep(10 * time.Minute)
		}, reasonIs(websock.ErrNormal)},
		{"error, then TCP drop", func(c *client) { stop(c, errAbnormal); synctest.Wait(); c.conn.Close() }, reasonIs(errAbnormal)},
		{"stop, then Exit", func(c *client) { stop(c, errAbnormal); c.pid.Exit(websock.ErrShutdown) }, reasonIs(errAbnormal)},
		{"stop, then a Shutdown", func(c *client) {
			stop(c, errAbnormal)
			synctest.Wait()
			go c.rig.srv.Shutdown(context.Background())
		}, reasonIs(errAbnormal)},
		{"peer's Close, then TCP drop", func(c *client) { c.must(c.Close(1000, "")); c.conn.Close() }, reasonIs(websock.ErrRemote)},
		{"Exit twice", func(c *client) { c.pid.Exit(errAbnormal); c.pid.Exit(websock.ErrNormal) }, reasonIs(errAbnormal)},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			h := puppet()
			c := serve(t, socket.Config{}).dial(h)
			tt.end(c)
			c.end()
			got := h.terminated()
			if len(got) != 1 {
				t.Fatalf("Terminate was called with %v, want one call", got)
			}
			if problem := tt.want(got[0]); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// 276: a panic in Terminate changes nothing of the end, is logged, and concerns this socket alone.
func TestTerminate_panics(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("boom in Terminate") }, "Goexit": goexit} {
		for where, end := range map[string]func(c *client){
			"on the reader": func(c *client) { c.must(c.Text("stop")) },
			"on a worker":   func(c *client) { c.pid.Send("stop") },
		} {
			bubble(t, name+" "+where, func(t *testing.T) {
				r := serve(t, socket.Config{})
				h := &handler{
					in:        func(context.Context, websock.Message) websock.Result { return websock.Close(4000, "bye") },
					info:      func(context.Context, any) websock.Result { return websock.Close(4000, "bye") },
					terminate: func(context.Context, error) { f() },
				}
				c, other := r.dial(h), r.dial(echo())
				synctest.Wait()
				end(c)
				c.wantEnd(closeFrame(4000, "bye"))
				c.must(c.Close(4000, ""))
				closed := c.end()
				if !errors.Is(closed.Reason, websock.ErrNormal) {
					t.Errorf("Closed.Reason = %v, want that of the stop", closed.Reason)
				}
				if n := len(h.terminated()); n != 1 {
					t.Errorf("Terminate was called %d times, want once", n)
				}
				if lines := r.logs.of("panic while a process ended", c.pid); len(lines) != 1 || !strings.Contains(lines[0].attrs["stack"].String(), "terminate_test.go") {
					t.Errorf("lines about the panic: %v, want one with its stack", lines)
				}
				other.must(other.Text("OK"))
				other.want(textFrame("OK"))
			})
		}
	}
}

// It runs without waiting for the peer's Close, but after ours, and its ctx is still that of the process.
func TestTerminate_ctx(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		var self actor.PID
		var info socket.ConnInfo
		h.terminate = func(ctx context.Context, _ error) {
			self, info = actor.Self(ctx), socket.Info(ctx)
			actor.SetLabel(ctx, "terminated")
		}
		c := r.dial(h)
		c.pid.Exit(websock.ErrNormal)
		c.wantEnd(closeFrame(1000, ""))
		closed := c.end()
		if self != c.pid || info.PID != c.pid || info.Written.Close.Frames != 1 {
			t.Errorf("in Terminate: Self %v, Info %+v; want %v with the Close frame written", self, info, c.pid)
		}
		if closed.Label != "terminated" {
			t.Errorf("Closed.Label = %q, want what Terminate set", closed.Label)
		}
	})
}

// Terminate does not run for an Init that panicked, and for one that stopped it does; the matrix has it, too.
func TestTerminate_afterInit(t *testing.T) {
	bubble(t, "Exit while Init runs", func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{init: func(context.Context) websock.Result { <-release; return websock.Push(websock.Text("x")) }}
		c := serve(t, socket.Config{}).dial(h)
		c.pid.Exit(websock.ErrNormal)
		close(release)
		c.wantEnd(textFrame("x"), closeFrame(1000, ""))
		c.end()
		if n := len(h.terminated()); n != 1 {
			t.Errorf("Terminate was called %d times, want once", n)
		}
	})
	bubble(t, "kill while Init runs", func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{init: func(context.Context) websock.Result { <-release; return websock.Push(websock.Text("x")) }}
		c := serve(t, socket.Config{}).dial(h)
		synctest.Wait()
		c.pid.Exit(actor.ErrKilled)
		c.wantEnd()
		c.end()
		close(release)
		synctest.Wait()
		if n := len(h.terminated()); n != 0 {
			t.Errorf("Terminate was called %d times, want not at all", n)
		}
	})
}
