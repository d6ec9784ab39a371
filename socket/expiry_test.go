package socket_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// renewer is a puppet that is a websock.ExpiryHandler.
type renewer struct {
	handler
	expiry func(ctx context.Context) websock.Result
	warned []time.Time
}

func newRenewer(expiry func(ctx context.Context) websock.Result) *renewer {
	r := &renewer{expiry: expiry}
	r.in = func(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
	r.info = puppet().info
	return r
}

func (r *renewer) HandleExpiry(ctx context.Context) websock.Result {
	r.record("expiry")
	r.mu.Lock()
	r.warned = append(r.warned, time.Now())
	r.mu.Unlock()
	if r.expiry == nil {
		return websock.OK()
	}
	return r.expiry(ctx)
}

// expireIn has a socket expire.
func expireIn(d time.Duration) do {
	return func(ctx context.Context) websock.Result {
		socket.Expire(ctx, time.Now().Add(d))
		return websock.OK()
	}
}

// undisturbed is a Config in which nothing but what is tested ends a socket.
func undisturbed() socket.Config {
	return socket.Config{IdleTimeout: -1, PingInterval: -1, Name: "undisturbed"}
}

// wantExpired wants 4401 after d, since the bubble began.
func (c *client) wantExpired(d time.Duration) {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(100 * time.Hour))
	c.want(closeFrame(4401, "expired"))
	if got := time.Since(start(c.t)); got != d {
		c.t.Errorf("the socket has ended after %v, want %v", got, d)
	}
	c.Close(4401, "")
	end := c.end()
	if !errors.Is(end.Reason, websock.ErrExpired) || end.Cause != socket.CauseExpired {
		c.t.Errorf("ended with %v, cause %v; want ErrExpired, expired", end.Reason, end.Cause)
	}
	if lines := c.rig.logs.of("socket closed", c.pid); len(lines) != 1 || lines[0].attrs["cause"].String() != "expired" || lines[0].level != 0 {
		c.t.Errorf("the log says %+v, want one line at Info with cause expired", lines)
	}
	if got := c.rig.srv.Stats().Closed[socket.CauseExpired]; got != 1 {
		c.t.Errorf("Stats has %d ends by expiry, want 1", got)
	}
}

func TestExpire(t *testing.T) {
	bubble(t, "without an ExpiryHandler", func(t *testing.T) {
		h := puppet()
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(expireIn(time.Hour))
		c.wantExpired(time.Hour)
		if got := h.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrExpired) {
			t.Errorf("Terminate got %v, want ErrExpired", got)
		}
	})
	bubble(t, "in Init", func(t *testing.T) {
		h := puppet()
		h.init = func(ctx context.Context) websock.Result { return expireIn(time.Minute)(ctx) }
		serve(t, undisturbed()).dial(h).wantExpired(time.Minute)
	})
	bubble(t, "a derived ctx, and one that is recorded", func(t *testing.T) {
		cfg := undisturbed()
		cfg.Record = 1
		c := serve(t, cfg).dial(puppet())
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return expireIn(time.Minute)(ctx)
		}))
		c.wantExpired(time.Minute)
	})
	bubble(t, "asleep", func(t *testing.T) {
		r := serve(t, undisturbed())
		c := r.dial(puppet())
		c.pid.Send(expireIn(time.Hour))
		time.Sleep(time.Hour - time.Second)
		if info, err := r.srv.Info(c.pid); err != nil || !info.Hibernated {
			t.Errorf("a second before, the socket does not sleep: %+v, %v", info, err)
		}
		c.wantExpired(time.Hour)
	})
	bubble(t, "renewed, and renewed to be shorter", func(t *testing.T) {
		c := serve(t, undisturbed()).dial(puppet())
		c.pid.Send(expireIn(time.Hour))
		time.Sleep(time.Hour - 1)
		c.pid.Send(expireIn(10 * time.Hour))
		time.Sleep(time.Hour)
		c.pid.Send(expireIn(time.Minute))
		c.wantExpired(2*time.Hour - 1 + time.Minute)
	})
	bubble(t, "never", func(t *testing.T) {
		c := serve(t, undisturbed()).dial(puppet())
		c.pid.Send(expireIn(time.Minute))
		c.pid.Send(do(func(ctx context.Context) websock.Result { socket.Expire(ctx, time.Time{}); return websock.OK() }))
		c.wantNothing(24 * time.Hour)
	})
	bubble(t, "a time that is over", func(t *testing.T) {
		h := newRenewer(nil)
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			socket.Expire(ctx, time.Now().Add(-time.Hour))
			return websock.Push(websock.Text("goodbye"))
		}))
		c.want(textFrame("goodbye"))
		c.wantExpired(0)
		if len(h.warned) != 0 {
			t.Errorf("HandleExpiry was called %d times, want never", len(h.warned))
		}
	})
	bubble(t, "renewed a thousand times, by several goroutines", func(t *testing.T) {
		r := serve(t, undisturbed())
		h := newRenewer(nil)
		c := r.dial(h)
		c.pid.Send(do(func(ctx context.Context) websock.Result {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for i := range 125 {
						socket.Expire(ctx, time.Now().Add(time.Minute+time.Duration(i)))
					}
				})
			}
			all.Wait()
			socket.Expire(ctx, time.Now().Add(time.Hour))
			return websock.OK()
		}))
		c.wantNothing(time.Hour - time.Minute)
		if n, err := actor.Inspect(c.pid); err != nil || n.Handled > 100 {
			t.Errorf("the process has handled %d messages, %v; want one a minute", n.Handled, err)
		}
		c.wantExpired(time.Hour)
		if len(h.warned) != 1 {
			t.Errorf("HandleExpiry was called %d times, want once", len(h.warned))
		}
	})
	t.Run("without a socket", func(t *testing.T) {
		defer func() {
			if p := fmt.Sprint(recover()); !strings.Contains(p, "socket: Expire: ctx is not that of a socket's callback") {
				t.Errorf("panic %q, want one that says what is wrong", p)
			}
		}()
		socket.Expire(context.Background(), time.Now())
	})
}

func TestExpire_warning(t *testing.T) {
	for _, tt := range []struct {
		name    string
		warning time.Duration
		in      time.Duration
		want    time.Duration // from when HandleExpiry was called to the end; 0: never
	}{
		{"default", 0, time.Hour, 30 * time.Second},
		{"set", 5 * time.Minute, time.Hour, 5 * time.Minute},
		{"more than half of the time", 0, 10 * time.Second, 5 * time.Second},
		{"off", -1, time.Hour, 0},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			cfg := undisturbed()
			cfg.ExpiryWarning = tt.warning
			h := newRenewer(func(context.Context) websock.Result { return websock.Push(websock.Text("renew")) })
			c := serve(t, cfg).dial(h)
			c.pid.Send(expireIn(tt.in))
			if tt.want != 0 {
				c.want(textFrame("renew"))
			}
			c.wantExpired(tt.in)
			want := []time.Time{start(t).Add(tt.in - tt.want)}
			if tt.want == 0 {
				want = nil
			}
			if fmt.Sprint(h.warned) != fmt.Sprint(want) {
				t.Errorf("HandleExpiry was called at %v, want %v", h.warned, want)
			}
		})
	}
	bubble(t, "it renews", func(t *testing.T) {
		left := 3
		h := newRenewer(func(ctx context.Context) websock.Result {
			if left--; left > 0 {
				socket.Expire(ctx, time.Now().Add(time.Hour))
			}
			return websock.OK()
		})
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(expireIn(time.Hour))
		c.wantExpired(3*time.Hour - 2*30*time.Second)
		if len(h.warned) != 3 {
			t.Errorf("HandleExpiry was called %d times, want 3", len(h.warned))
		}
	})
	bubble(t, "the client renews", func(t *testing.T) {
		h := newRenewer(func(context.Context) websock.Result { return websock.Push(websock.Text("renew")) })
		h.in = func(ctx context.Context, _ websock.Message) websock.Result { return expireIn(time.Hour)(ctx) }
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(expireIn(time.Hour))
		c.want(textFrame("renew"))
		time.Sleep(29 * time.Second)
		c.Text("a new token")
		c.conn.SetReadDeadline(time.Now().Add(2 * time.Hour))
		c.want(textFrame("renew"))
		c.wantExpired(2*time.Hour - time.Second)
	})
	bubble(t, "it stops", func(t *testing.T) {
		h := newRenewer(func(context.Context) websock.Result { return websock.Close(4002, "no more") })
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(expireIn(time.Hour))
		c.want(closeFrame(4002, "no more"))
	})
	bubble(t, "it panics", func(t *testing.T) {
		h := newRenewer(func(context.Context) websock.Result { panic("boom") })
		c := serve(t, undisturbed()).dial(h)
		c.pid.Send(expireIn(time.Hour))
		c.want(closeFrame(1011, ""))
	})
}

// TestExpire_sameInstant: what came before the expiry is handled before it, and a renewal among it counts; what comes after it
// does not.
func TestExpire_sameInstant(t *testing.T) {
	for name, tt := range map[string]struct {
		renewAt time.Duration // after the start; the callback runs until 2 min
		lives   bool
	}{
		"before":               {time.Minute - 1, true},
		"after":                {time.Minute + 1, false},
		"the end of the other": {2*time.Minute - 1, false},
	} {
		bubble(t, name, func(t *testing.T) {
			c := serve(t, undisturbed()).dial(puppet())
			c.pid.Send(do(func(ctx context.Context) websock.Result {
				socket.Expire(ctx, start(t).Add(time.Minute))
				time.Sleep(2 * time.Minute) // the timer fires meanwhile
				return websock.OK()
			}))
			time.Sleep(tt.renewAt)
			c.pid.Send(expireIn(time.Hour))
			if tt.lives {
				c.wantExpired(2*time.Minute + time.Hour)
			} else {
				c.wantExpired(2 * time.Minute)
			}
		})
	}
	bubble(t, "a callback that is called by the same timer", func(t *testing.T) {
		// Two timers of one instant, set in this order: the process gets them in one order or the other, and the end is exact in both.
		r := serve(t, undisturbed())
		lived, ended := 0, 0
		for range 50 {
			c := r.dial(puppet())
			c.pid.Send(do(func(ctx context.Context) websock.Result {
				at := time.Now().Add(time.Minute)
				actor.SendAfter(ctx, time.Minute, expireIn(time.Hour))
				socket.Expire(ctx, at)
				return websock.OK()
			}))
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if c.pid.Alive() {
				lived++
				c.pid.Exit(websock.ErrNormal)
				c.want(closeFrame(1000, ""))
			} else {
				ended++
				c.want(closeFrame(4401, "expired"))
			}
			c.Close(1000, "")
		}
		t.Logf("renewed in the same instant: %d live, %d have ended", lived, ended)
	})
}

// TestExpire_drain: the first of the two ends the socket.
func TestExpire_drain(t *testing.T) {
	drain := socket.Drain{Delay: time.Minute, Over: -1, Timeout: time.Minute}
	bubble(t, "expired in the Delay", func(t *testing.T) {
		r := serve(t, undisturbed())
		c := r.dial(puppet())
		c.pid.Send(expireIn(30 * time.Second))
		background(t, func() { r.srv.Drain(t.Context(), drain) })
		c.wantExpired(30 * time.Second)
	})
	bubble(t, "drained before", func(t *testing.T) {
		r := serve(t, undisturbed())
		c := r.dial(puppet())
		c.pid.Send(expireIn(61 * time.Second))
		background(t, func() { r.srv.Drain(t.Context(), drain) })
		c.want(closeFrame(1001, ""))
		c.Close(1001, "")
		if end := c.end(); end.Cause != socket.CauseShutdown {
			t.Errorf("cause %v, want shutdown", end.Cause)
		}
	})
	bubble(t, "one that has a say goes on, but not beyond its time", func(t *testing.T) {
		r := serve(t, undisturbed())
		c := r.dial(drainer{puppet()})
		c.pid.Send(expireIn(80 * time.Second))
		background(t, func() { r.srv.Drain(t.Context(), drain) })
		c.wantExpired(80 * time.Second)
	})
}

// drainer goes on.
type drainer struct{ *handler }

func (drainer) HandleDrain(context.Context, time.Time) websock.Result { return websock.OK() }

// TestExpire_clock: a time that has no monotonic reading is one of the wall clock, also when that is set.
func TestExpire_clock(t *testing.T) {
	for _, tt := range []struct {
		name     string
		step     time.Duration // of the wall clock, 10 min after the start
		from, to time.Duration // the end, for an expiry of an hour
	}{
		{"not set", 0, time.Hour, time.Hour},
		{"back", -20 * time.Minute, 80 * time.Minute, 80 * time.Minute},
		{"forward", 20 * time.Minute, 40 * time.Minute, 40 * time.Minute},
		{"forward beyond it", 2 * time.Hour, 10 * time.Minute, 11 * time.Minute},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var step time.Duration
			now := func() time.Time { // a wall clock: no monotonic reading
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Round(0).Add(step)
			}
			h := puppet()
			c := asClient(t, underTest{h: h, change: func(o *conn.Options) {
				o.Now, o.IdleTimeout, o.PingInterval = now, -1, -1
			}})
			c.Conn().SetReadDeadline(time.Now().Add(10 * time.Hour))
			c.pid.Send(do(func(ctx context.Context) websock.Result {
				socket.Expire(ctx, now().Add(time.Hour))
				return websock.OK()
			}))
			background(t, func() {
				time.Sleep(10 * time.Minute)
				mu.Lock()
				step = tt.step
				mu.Unlock()
			})
			op, p, err := c.ReadMessage()
			if err != nil || op != rawclient.OpClose || codeOf(p) != 4401 {
				t.Fatalf("got opcode %#x, %q, %v; want Close 4401", op, p, err)
			}
			if got := time.Since(start(t)); got < tt.from || got > tt.to {
				t.Errorf("the socket has ended after %v, want %v to %v", got, tt.from, tt.to)
			}
		})
	}
}

// TestServer_maxAge: sockets that have come together end one after the other, over the last tenth of their time.
func TestServer_maxAge(t *testing.T) {
	const sockets, age = 500, time.Hour
	for name, cfg := range map[string]socket.Config{
		"silent":       {MaxAge: age, IdleTimeout: -1, PingInterval: -1, MessageTimeout: -1, HibernateAfter: -1},
		"asleep":       {MaxAge: age, IdleTimeout: -1, PingInterval: -1},
		"with a range": {MaxAge: age, IdleTimeout: -1, PingInterval: -1, Drain: socket.Drain{ComeBack: 20 * time.Second}},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, cfg)
			var all []*client
			for range sockets {
				all = append(all, r.dial(puppet()))
			}
			for _, c := range all {
				c.conn.SetReadDeadline(time.Now().Add(2 * time.Hour))
			}
			var mu sync.Mutex
			ends, hints := [10]int{}, map[string]int{}
			var wait sync.WaitGroup
			for _, c := range all {
				wait.Go(func() {
					op, p, err := c.ReadMessage()
					mu.Lock()
					defer mu.Unlock()
					lived := time.Since(start(t))
					if err != nil || op != rawclient.OpClose || codeOf(p) != 1012 || lived < age*9/10 || lived > age+time.Millisecond { // deadlines are coarse
						t.Errorf("after %v: opcode %#x, %q, %v; want Close 1012 in the last tenth of %v", lived, op, p, err, age)
						return
					}
					ends[min(int((lived-age*9/10)*10/(age/10)), 9)]++
					hints[string(p[2:])]++
					c.Close(1012, "")
				})
			}
			wait.Wait()
			for i, n := range ends {
				if n < sockets/30 || n > sockets/5 {
					t.Errorf("part %d of the last tenth: %d of %d ends, want about a tenth: %v", i, n, sockets, ends)
				}
			}
			for hint := range hints {
				var n int
				fmt.Sscanf(hint, "retry-after=%d", &n)
				if most := max(int(cfg.Drain.ComeBack/time.Second), 1); n < 1 || n > most {
					t.Errorf("close reason %q, want retry-after=1 to %d", hint, most)
				}
			}
			if cfg.Drain.ComeBack > 0 && len(hints) < 10 {
				t.Errorf("hints %v, want them spread over 20 s", hints)
			}
			end := all[0].end()
			if !errors.Is(end.Reason, websock.ErrMaxAge) || end.Cause != socket.CauseMaxAge || end.Cause.String() != "max_age" {
				t.Errorf("ended with %v, cause %v; want ErrMaxAge, max_age", end.Reason, end.Cause)
			}
			if lines := r.logs.of("socket closed", all[0].pid); len(lines) != 1 || lines[0].attrs["cause"].String() != "max_age" {
				t.Errorf("the log says %+v, want one line with cause max_age", lines)
			}
		})
	}
	bubble(t, "a busy socket, with everything on", func(t *testing.T) {
		c := serve(t, socket.Config{MaxAge: time.Minute}).dial(echo())
		for i := 0; ; i++ {
			c.Text("still here")
			op, p, err := c.ReadMessage()
			if op == rawclient.OpClose && codeOf(p) == 1012 {
				break
			}
			if err != nil || i > 61 {
				t.Fatalf("after %d s: opcode %#x, %q, %v", i, op, p, err)
			}
			time.Sleep(time.Second)
		}
	})
	bubble(t, "none", func(t *testing.T) {
		if _, err := socket.New(socket.Config{MaxAge: -time.Second}); err == nil || !strings.Contains(err.Error(), "Config.MaxAge -1s: negative") {
			t.Errorf("New: %v, want an error about MaxAge", err)
		}
		c := serve(t, undisturbed()).dial(puppet())
		c.wantNothing(30 * 24 * time.Hour)
	})
}
