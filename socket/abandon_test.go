package socket_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// busy has a callback of HandleInfo run for d. A callback that is abandoned runs on.
func busy(c *client, d time.Duration) {
	c.t.Helper()
	synctest.Wait() // until the reader reads, so that the callback does not run there
	c.pid.Send(do(func(context.Context) websock.Result { time.Sleep(d); return websock.OK() }))
	synctest.Wait()
}

// abandonedLines is what the log says of callbacks of c that did not return.
func abandonedLines(c *client) []record {
	return c.rig.logs.of("a callback does not return; its goroutine is abandoned", c.pid)
}

// ways in which a peer is lost, and what the exit reason is then.
var losses = []struct {
	name   string
	cfg    socket.Config
	lose   func(c *client)
	reason func(error) string
	level  slog.Level
	tcp    time.Duration // after which TCP is closed at the latest, whatever the callback takes
}{
	{name: "TCP is closed", lose: func(c *client) { c.conn.Close() }, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "TCP is reset", lose: func(c *client) { c.conn.Reset() }, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "TCP is half closed", lose: func(c *client) { c.conn.CloseWrite() }, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "a ping cannot be written", cfg: socket.Config{PingInterval: time.Second, WriteTimeout: time.Second, IdleTimeout: -1},
		lose: func(c *client) { time.Sleep(2*time.Second + 100*time.Millisecond) }, reason: reasonIs(websock.ErrRemote), level: slog.LevelDebug},
	{name: "overload", cfg: socket.Config{MailboxLimit: 1}, lose: func(c *client) { c.pid.Send(1); c.pid.Send(2) },
		reason: reasonIs(websock.ErrOverload), level: slog.LevelInfo, tcp: 5200 * time.Millisecond},
	{name: "Close", lose: func(c *client) { c.must(c.Close(1000, "")) }, reason: reasonIs(websock.ErrRemote), level: slog.LevelInfo, tcp: -1},
	{name: "a frame that breaks the protocol", lose: func(c *client) { c.must(c.WriteBytes([]byte{0x83, 0x80, 0, 0, 0, 0})) },
		reason: protocolError(1002), level: slog.LevelInfo, tcp: -1},
}

// dialForLoss connects a client to a socket whose pings cannot be written, if that is how it is to be lost.
func dialForLoss(t *testing.T, cfg socket.Config, h websock.Handler) *client {
	t.Helper()
	r := serve(t, cfg)
	pings := cfg.PingInterval > 0
	if pings {
		r.ln.Buffer = 1024
	}
	c := r.dial(h)
	synctest.Wait()
	if pings {
		c.pid.Send(websock.Binary(make([]byte, 1020))) // with its header all that the transport holds
		synctest.Wait()
	}
	return c
}

// A callback that is at work when the peer is lost may finish, and then the end is as always: Terminate has its whole time.
func TestLoss_duringACallback(t *testing.T) {
	for _, way := range losses {
		bubble(t, way.name, func(t *testing.T) {
			way.cfg.ShutdownTimeout = 500 * time.Millisecond
			h := puppet()
			var left time.Duration
			h.terminate = func(ctx context.Context, _ error) {
				d, _ := ctx.Deadline()
				left = time.Until(d)
			}
			c := dialForLoss(t, way.cfg, h)
			busy(c, 20*time.Second)
			way.lose(c)
			synctest.Wait()
			if way.tcp >= 0 {
				time.Sleep(way.tcp)
				synctest.Wait()
				if _, err := c.conn.Write([]byte{0}); err == nil {
					t.Errorf("TCP is still open %v after the loss, while the callback runs", way.tcp)
				}
			}
			closed := c.end()
			if problem := way.reason(closed.Reason); problem != "" {
				t.Errorf("Closed.Reason: %s", problem)
			}
			if got := h.terminated(); len(got) != 1 || way.reason(got[0]) != "" {
				t.Errorf("Terminate got %v, want the loss, once", got)
			}
			if left != 500*time.Millisecond {
				t.Errorf("Terminate had %v, want its whole ShutdownTimeout of 500ms", left)
			}
			if lines := abandonedLines(c); len(lines) != 0 {
				t.Errorf("the loss of the peer is reported as a callback that is stuck: %v", lines)
			}
			wantLevel(t, c, way.level)
		})
	}
}

// wantLevel checks the level of the line about the end of c.
func wantLevel(t *testing.T, c *client, want slog.Level) {
	t.Helper()
	lines := c.rig.logs.of("socket closed", c.pid)
	if len(lines) != 1 || lines[0].level != want {
		t.Errorf("the lines about the end: %v, want one at %v", lines, want)
	}
}

// A callback that runs on for longer than AbandonAfter is abandoned: the socket ends as lost, not as killed.
func TestAbandonAfter(t *testing.T) {
	for _, way := range losses {
		bubble(t, way.name, func(t *testing.T) {
			way.cfg.AbandonAfter, way.cfg.MaxSockets = 10*time.Second, 1
			h := puppet()
			c := dialForLoss(t, way.cfg, h)
			down := make(chan error, 1)
			go func() { reason, _ := actor.Wait(context.Background(), c.pid); down <- reason }()
			busy(c, time.Hour)
			way.lose(c)
			synctest.Wait()
			start := time.Now()
			closed := c.end()
			if took := time.Since(start); took > 10*time.Second || took < 9*time.Second {
				t.Errorf("OnClose was called after %v, want AbandonAfter, 10s", took)
			}
			for who, reason := range map[string]error{"Closed": closed.Reason, "Down": <-down} {
				if problem := way.reason(reason); problem != "" || errors.Is(reason, actor.ErrKilled) {
					t.Errorf("%s: reason %v, want that of the loss, not a kill; %s", who, reason, problem)
				}
			}
			if err := c.rig.srv.Ready(); err != nil {
				t.Errorf("Ready: %v, want the place given back", err)
			}
			time.Sleep(time.Second)
			if lines := abandonedLines(c); len(lines) != 1 {
				t.Errorf("%d lines about the callback that does not return, want 1: %v", len(lines), lines)
			}
			wantLevel(t, c, way.level)
			time.Sleep(2 * time.Hour)
			if got := h.terminated(); len(got) != 0 {
				t.Errorf("Terminate got %v, want it not to run", got)
			}
		})
	}
}

// The peer's Close keeps its place after the messages that wait, each of which may take AbandonAfter; only a callback that
// does not return is abandoned.
func TestAbandonAfter_isForEachCallback(t *testing.T) {
	for _, test := range []struct {
		name   string
		stuck  int // the number of the callback that does not return; -1: none
		after  time.Duration
		closed time.Duration
	}{
		{"all return", -1, 10 * time.Second, 100 * time.Second},
		{"all return, no limit", -1, -1, 100 * time.Second},
		{"one does not", 50, 10 * time.Second, 60 * time.Second},
	} {
		bubble(t, test.name, func(t *testing.T) {
			h := puppet()
			c := serve(t, socket.Config{AbandonAfter: test.after}).dial(h)
			synctest.Wait()
			start := time.Now()
			for i := range 100 {
				c.pid.Send(do(func(context.Context) websock.Result {
					if i == test.stuck {
						time.Sleep(time.Hour)
					}
					time.Sleep(time.Second)
					return websock.OK()
				}))
			}
			synctest.Wait()
			c.must(c.Close(1000, ""))
			closed := c.end()
			if took := time.Since(start); took != test.closed {
				t.Errorf("100 callbacks of 1s before the Close, AbandonAfter %v: OnClose after %v, want %v", test.after, took, test.closed)
			}
			if got := len(h.terminated()); (got == 1) != (test.stuck < 0) {
				t.Errorf("Terminate ran %d times, want it unless a callback did not return", got)
			}
			if problem := reasonIs(websock.ErrRemote)(closed.Reason); problem != "" {
				t.Errorf("Closed.Reason: %s", problem)
			}
			time.Sleep(2 * time.Hour)
		})
	}
}

// An Exit, a shutdown and a drain shorten the time of a callback whose peer is lost to ShutdownTimeout, but do not
// lengthen it.
func TestAbandonAfter_endsEarlier(t *testing.T) {
	for name, end := range map[string]func(c *client){
		"Exit":            func(c *client) { c.pid.Exit(errors.New("boom")) },
		"Server.Shutdown": func(c *client) { go c.rig.srv.Shutdown(context.Background()) },
		"Server.Drain":    func(c *client) { go c.rig.srv.Drain(context.Background(), socket.Drain{}) },
	} {
		for _, after := range []time.Duration{-1, 10 * time.Second, time.Minute} {
			bubble(t, name+", AbandonAfter "+after.String(), func(t *testing.T) {
				r := serve(t, socket.Config{AbandonAfter: after, ShutdownTimeout: 15 * time.Second})
				c := r.dial(puppet())
				busy(c, time.Hour)
				c.conn.Close()
				start := time.Now()
				time.Sleep(time.Second)
				end(c)
				closed := c.end()
				want := 16 * time.Second
				if after > 0 {
					want = min(want, after)
				}
				if took := time.Since(start); took != want {
					t.Errorf("OnClose was called %v after the loss, want %v", took, want)
				}
				if problem := reasonIs(websock.ErrRemote)(closed.Reason); problem != "" {
					t.Errorf("Closed.Reason: %s", problem)
				}
				time.Sleep(time.Hour)
			})
		}
	}
}

// Without a limit a callback may run for ever when its peer is lost, and Terminate runs after it.
func TestAbandonAfter_negative(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{AbandonAfter: -1})
		h := puppet()
		c := r.dial(h)
		busy(c, 30*time.Minute)
		c.conn.Close()
		start := time.Now()
		c.end()
		if took := time.Since(start); took != 30*time.Minute || len(h.terminated()) != 1 {
			t.Errorf("OnClose was called after %v, Terminate %d times; want 30m and 1", took, len(h.terminated()))
		}
	})
}

// An Exit came first, so its ShutdownTimeout holds, and it decides: the callback is killed.
func TestLoss_afterAnExit(t *testing.T) {
	for name, lose := range map[string]func(c *client){
		"TCP is closed": func(c *client) { c.conn.Close() },
		"Close":         func(c *client) { c.must(c.Close(1000, "")) },
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{ShutdownTimeout: 15 * time.Second})
			c := r.dial(puppet())
			busy(c, time.Hour)
			start := time.Now()
			c.pid.Exit(errors.New("boom"))
			time.Sleep(time.Second)
			lose(c)
			c.end()
			if took := time.Since(start); took != 15*time.Second {
				t.Errorf("OnClose was called %v after the Exit, want ShutdownTimeout, 15s", took)
			}
			time.Sleep(time.Hour)
		})
	}
}

// A peer that reads learns of the overload at once, whatever the callback takes, and nothing that the callback pushes
// comes after the Close frame.
func TestOverload_saysGoodbyeWhileACallbackRuns(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MailboxLimit: 1})
		h := puppet()
		c := r.dial(h)
		c.pid.Send(do(func(context.Context) websock.Result {
			time.Sleep(3 * time.Second)
			return websock.Push(websock.Text("late"))
		}))
		synctest.Wait()
		start := time.Now()
		c.pid.Send(1)
		c.pid.Send(2)
		c.wantEnd(closeFrame(1013, ""))
		if took := time.Since(start); took != 0 {
			t.Errorf("the Close frame came after %v, want at once", took)
		}
		closed := c.end()
		if closed.Sent == nil || closed.Sent.Code != 1013 || reasonIs(websock.ErrOverload)(closed.Reason) != "" {
			t.Errorf("Closed: Close frame %+v, reason %v; want 1013 and ErrOverload", closed.Sent, closed.Reason)
		}
		if got := h.terminated(); len(got) != 1 || reasonIs(websock.ErrOverload)(got[0]) != "" {
			t.Errorf("Terminate got %v, want ErrOverload, once", got)
		}
		wantLevel(t, c, slog.LevelInfo)
	})
}

// A turn that waits in a write is no callback that is stuck: closing TCP frees it.
func TestKill_ofASlowConsumerIsNoAlarm(t *testing.T) {
	for name, push := range map[string]func(c *client){
		"a message for the client": func(c *client) { c.pid.Send(websock.Binary(make([]byte, 5000))) },
		"a large message":          func(c *client) { c.pid.Send(websock.Binary(make([]byte, 500_000))) },
		"what a callback pushed": func(c *client) {
			c.pid.Send(do(func(context.Context) websock.Result { return websock.Push(websock.Binary(make([]byte, 500_000))) }))
		},
		"the last messages": func(c *client) {
			c.pid.Send(do(func(context.Context) websock.Result {
				return websock.Close(1000, "", websock.Binary(make([]byte, 5000)))
			}))
		},
	} {
		for how, kill := range map[string]func(c *client){
			"Exit(ErrKilled)": func(c *client) { c.pid.Exit(actor.ErrKilled) },
			"Server.Shutdown": func(c *client) {
				over, cancel := context.WithCancel(context.Background())
				cancel()
				c.rig.srv.Shutdown(over)
			},
			"ShutdownTimeout": func(c *client) { c.pid.Exit(errors.New("boom")); time.Sleep(time.Second) },
		} {
			bubble(t, name+", "+how, func(t *testing.T) {
				r := serve(t, socket.Config{PingInterval: -1, WriteTimeout: -1, ShutdownTimeout: time.Second})
				r.ln.Buffer = 1024
				c := r.dial(puppet())
				synctest.Wait()
				push(c)
				synctest.Wait()
				kill(c)
				c.end()
				time.Sleep(time.Minute)
				if lines := abandonedLines(c); len(lines) != 0 {
					t.Errorf("a write is reported as a callback that is stuck: %v", lines)
				}
			})
		}
	}
}
