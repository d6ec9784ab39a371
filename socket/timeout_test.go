package socket_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// 293-303: how long the peer may be silent, or take for a message.
func TestTimeouts(t *testing.T) {
	const idle = 100 * time.Millisecond
	type row struct {
		name string
		cfg  socket.Config // IdleTimeout: 100 ms and no pings unless set
		h    func(h *controlHandler)
		talk func(c *client) // what happens meanwhile; it may take time
		want time.Duration   // from the 101 to the Close frame; 0: it stays open
		read func(c *client) // what comes before the Close frame
	}
	every := func(c *client, d time.Duration, n int, f func(i int)) {
		for i := range n {
			time.Sleep(d)
			f(i)
		}
	}
	for _, row := range []row{
		{name: "293 nothing sent at all", want: idle},
		{name: "294 297 one text, then silence: from the last byte", talk: func(c *client) {
			every(c, 60*time.Millisecond, 3, func(int) { c.must(c.Text("x")) })
		}, want: 180*time.Millisecond + idle, read: func(c *client) { c.want(textFrame("x"), textFrame("x"), textFrame("x")) }},
		{name: "295 local messages do not keep it alive", talk: func(c *client) {
			every(c, 20*time.Millisecond, 10, func(i int) { c.pid.Send(i) })
		}, want: idle},
		{name: "299 our writes do not keep it alive", talk: func(c *client) {
			go every(c, 30*time.Millisecond, 3, func(int) { c.pid.Send(websock.Text("x")) })
		}, want: idle, read: func(c *client) { c.want(textFrame("x"), textFrame("x"), textFrame("x")) }},
		{name: "our pings do not keep it alive", cfg: socket.Config{PingInterval: 40 * time.Millisecond}, want: idle,
			read: func(c *client) { c.want(pingFrame("trpe\x00\x00\x00\x01"), pingFrame("trpe\x00\x00\x00\x02")) }},
		{name: "296 302 the peer sends often enough, local messages arriving", talk: func(c *client) {
			every(c, 50*time.Millisecond, 40, func(i int) { c.must(c.Binary(nil)); c.want(binaryFrame("")); c.pid.Send(i) })
		}},
		{name: "a ping keeps it alive", talk: func(c *client) {
			every(c, 50*time.Millisecond, 10, func(int) { c.must(c.Ping(nil)); c.want(pongFrame("")) })
		}},
		{name: "a pong keeps it alive", talk: func(c *client) {
			every(c, 50*time.Millisecond, 10, func(int) { c.must(c.Pong(nil)) })
		}},
		{name: "the bytes of a frame that is not complete keep it alive", talk: func(c *client) {
			c.must(c.WriteBytes([]byte{0x82, 0x8a, 0, 0, 0, 0}))
			every(c, 50*time.Millisecond, 9, func(int) { c.must(c.WriteBytes([]byte{1})) })
		}},
		{name: "301 but not beyond MessageTimeout", cfg: socket.Config{MessageTimeout: time.Second}, talk: func(c *client) {
			c.must(c.WriteBytes([]byte{0x82, 0xfd, 0, 0, 0, 0}))
			every(c, 50*time.Millisecond, 19, func(int) { c.must(c.WriteBytes([]byte{1})) })
		}, want: time.Second},
		{name: "MessageTimeout for a trickled header", cfg: socket.Config{MessageTimeout: time.Second, IdleTimeout: -1}, talk: func(c *client) {
			time.Sleep(3 * time.Second)
			c.must(c.WriteBytes([]byte{0x82}))
		}, want: 4 * time.Second},
		{name: "MessageTimeout for fragments", cfg: socket.Config{MessageTimeout: time.Second}, talk: func(c *client) {
			c.must(c.Write(rawclient.Frame{Opcode: 1}))
			every(c, 50*time.Millisecond, 19, func(int) { c.must(c.Write(rawclient.Frame{Payload: []byte("x")})) })
		}, want: time.Second},
		{name: "MessageTimeout with pings between fragments", cfg: socket.Config{MessageTimeout: time.Second}, talk: func(c *client) {
			c.must(c.Write(rawclient.Frame{Opcode: 1}))
			every(c, 50*time.Millisecond, 19, func(int) { c.must(c.Ping(nil)); c.want(pongFrame("")) })
		}, want: time.Second},
		{name: "MessageTimeout is for one message, not for many", cfg: socket.Config{MessageTimeout: 200 * time.Millisecond}, talk: func(c *client) {
			every(c, 75*time.Millisecond, 20, func(int) {
				c.must(c.Write(rawclient.Frame{Opcode: 1, Payload: []byte("a")}))
				time.Sleep(75 * time.Millisecond)
				c.must(c.Write(rawclient.Frame{Fin: true, Payload: []byte("b")}))
				c.want(textFrame("ab"))
			})
		}},
		{name: "MessageTimeout off", cfg: socket.Config{MessageTimeout: -1}, talk: func(c *client) {
			c.must(c.Write(rawclient.Frame{Opcode: 1}))
			every(c, 50*time.Millisecond, 5000, func(int) { c.must(c.Write(rawclient.Frame{})) })
		}},
		{name: "298 the time in HandleIn counts, for the socket is read meanwhile", h: func(h *controlHandler) {
			h.in = func(context.Context, websock.Message) websock.Result { time.Sleep(time.Second); return websock.OK() }
		}, talk: func(c *client) { c.must(c.Text("x")) }, want: time.Second},
		{name: "298 but not the time in which reading is paused, for a message waits", h: func(h *controlHandler) {
			h.in = func(_ context.Context, msg websock.Message) websock.Result {
				if string(msg.Data) == "x" {
					time.Sleep(time.Second)
				}
				return websock.OK()
			}
		}, talk: func(c *client) { c.must(c.Text("x")); c.must(c.Text("y")); c.must(c.Text("z")) }, want: time.Second + idle},
		{name: "298 the time in HandleControl counts", h: func(h *controlHandler) {
			h.control = func(context.Context, websock.Message) websock.Result { time.Sleep(time.Second); return websock.OK() }
		}, talk: func(c *client) { c.must(c.Ping(nil)); c.want(pongFrame("")) }, want: time.Second},
		{name: "298 the time in HandleInfo counts, for the socket is read meanwhile", h: func(h *controlHandler) {
			h.info = func(context.Context, any) websock.Result { time.Sleep(150 * time.Millisecond); return websock.OK() }
		}, talk: func(c *client) { synctest.Wait(); c.pid.Send("x") }, want: 150 * time.Millisecond},
		{name: "the time in Init counts", h: func(h *controlHandler) {
			h.init = func(context.Context) websock.Result { time.Sleep(time.Second); return websock.OK() }
		}, want: time.Second},
		{name: "the time in which reading is paused does not count for a message that has begun before",
			cfg: socket.Config{MessageTimeout: time.Second, IdleTimeout: -1, PingInterval: 100 * time.Millisecond},
			h: func(h *controlHandler) {
				h.in = func(_ context.Context, msg websock.Message) websock.Result {
					if len(msg.Data) == 0 {
						time.Sleep(10 * time.Second)
						return websock.OK()
					}
					return websock.Push(msg)
				}
			},
			talk: func(c *client) {
				c.must(c.WriteBytes([]byte{0x81, 0x80, 0, 0, 0, 0})) // the one that takes long
				c.must(c.Text("waits"))
				c.must(c.Text("pauses"))
				c.must(c.WriteBytes([]byte{0x81, 0x82, 0, 0, 0, 0, 'a'})) // a half
				time.Sleep(10*time.Second + 550*time.Millisecond)
				c.must(c.WriteBytes([]byte{'b'}))
				c.wantAfterPings(textFrame("waits"), textFrame("pauses"), textFrame("ab"))
			}},
		{name: "nor for one that pings stand in, of which more come than may wait",
			cfg: socket.Config{MessageTimeout: time.Second, IdleTimeout: -1, PingInterval: 100 * time.Millisecond},
			h: func(h *controlHandler) {
				var once sync.Once
				h.control = func(context.Context, websock.Message) websock.Result {
					once.Do(func() { time.Sleep(10 * time.Second) })
					return websock.OK()
				}
			},
			talk: func(c *client) {
				c.must(c.Write(rawclient.Frame{Opcode: 1, Payload: []byte("a")}))
				for range 18 {
					c.must(c.Ping(nil))
				}
				time.Sleep(10*time.Second + 550*time.Millisecond)
				c.must(c.Write(rawclient.Frame{Fin: true, Payload: []byte("b")}))
				for range 18 {
					c.wantAfterPings(pongFrame(""))
				}
				c.wantAfterPings(textFrame("ab"))
			}},
		{name: "300 off", cfg: socket.Config{IdleTimeout: -1}, talk: func(c *client) { time.Sleep(30 * time.Minute) }},
		{name: "303 the default is 60 s", cfg: socket.Config{IdleTimeout: -100}, want: 60 * time.Second},
	} {
		bubble(t, row.name, func(t *testing.T) {
			switch row.cfg.IdleTimeout {
			case 0:
				row.cfg.IdleTimeout = idle
			case -100:
				row.cfg.IdleTimeout = 0
			}
			if row.cfg.PingInterval == 0 {
				row.cfg.PingInterval = -1
			}
			r := serve(t, row.cfg)
			h := &controlHandler{handler: handler{in: echo().in}}
			if row.h != nil {
				row.h(h)
			}
			start := time.Now()
			c := r.dial(h)
			if row.talk != nil {
				row.talk(c)
			}
			if row.want == 0 {
				for { // pings may be on their way
					c.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
					f, err := c.ReadFrame()
					if err != nil || f.Opcode != rawclient.OpPing {
						break
					}
				}
				if !c.pid.Alive() {
					t.Errorf("the socket ended: %v", c.end().Reason)
				}
				return
			}
			if row.read != nil {
				row.read(c)
			}
			c.want("\x88\x02\x03\xea")
			end := time.Now()
			if closed := c.end(); reasonIs(websock.ErrTimeout)(closed.Reason) != "" || !coarse(closed.LastWrite.Sub(start), row.want) {
				t.Errorf("the socket ended with %v, its Close frame left after %v (and was read after %v), want ErrTimeout after %v",
					closed.Reason, closed.LastWrite.Sub(start), end.Sub(start), row.want)
			}
		})
	}
}

// wantAfterPings reads a frame, and the pings in front of it.
func (c *client) wantAfterPings(wants ...string) {
	c.t.Helper()
	for len(wants) > 0 {
		f, err := c.ReadFrame()
		if err == nil && f.Opcode == rawclient.OpPing {
			continue
		}
		if err != nil || string(f.Raw) != wants[0] {
			c.t.Fatalf("got % x, %v, want % x", f.Raw, err, wants[0])
		}
		wants = wants[1:]
	}
}

// Our pings, and what becomes of their pongs.
func TestPingInterval(t *testing.T) {
	bubble(t, "default, until the peer has been silent for too long", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(&controlHandler{})
		start := time.Now()
		var at []time.Duration
		for range 2 {
			f, err := c.ReadFrame()
			if err != nil || f.Opcode != rawclient.OpPing {
				t.Fatalf("got %v, %v, want a ping", f, err)
			}
			at = append(at, time.Since(start))
		}
		c.wantEnd(closeFrame(1002, ""))
		if end := time.Since(start); !coarse(at[0], 25*time.Second) || !coarse(at[1], 50*time.Second) || !coarse(end, time.Minute) {
			t.Errorf("pings after %v, the end after %v; want 25 s, 50 s and 1m0s", at, end)
		}
	})
	for idle, ping := range map[time.Duration]time.Duration{
		10 * time.Millisecond: 5 * time.Millisecond, 20 * time.Second: 10 * time.Second, 49 * time.Second: 24500 * time.Millisecond,
		51 * time.Second: 25 * time.Second, time.Hour: 25 * time.Second, -1: 25 * time.Second,
	} {
		bubble(t, "a quiet peer lives on with IdleTimeout "+idle.String(), func(t *testing.T) {
			c := serve(t, socket.Config{IdleTimeout: idle}).dial(&controlHandler{})
			for range 10 {
				start := time.Now()
				f, err := c.ReadFrame()
				if err != nil || f.Opcode != rawclient.OpPing {
					t.Fatalf("got %v, %v, want a ping", f, err)
				}
				if got := time.Since(start); !coarse(got, ping) {
					t.Errorf("ping after %v, want %v", got, ping)
				}
				c.must(c.Pong(f.Payload))
			}
		})
	}
	bubble(t, "a peer that sends gets none", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(&controlHandler{})
		for range 10 {
			time.Sleep(24 * time.Second)
			c.must(c.Text("x"))
		}
		c.wantNothing(24 * time.Second)
	})
	bubble(t, "the pong is the RTT and reaches no callback", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := &controlHandler{}
		c := r.dial(h)
		for _, rtt := range []time.Duration{300 * time.Millisecond, 20 * time.Millisecond} {
			f, err := c.ReadFrame()
			if err != nil || f.Opcode != rawclient.OpPing {
				t.Fatalf("got %v, %v, want a ping", f, err)
			}
			time.Sleep(rtt)
			c.must(c.Pong(f.Payload))
			synctest.Wait()
			if info, err := r.srv.Info(c.pid); err != nil || info.RTT != rtt {
				t.Errorf("Info: RTT %v, %v, want %v", info.RTT, err, rtt)
			}
			c.must(c.Pong(f.Payload)) // once more: this one answers nothing of ours
			synctest.Wait()
		}
		if calls := h.log(); len(calls) != 3 {
			t.Errorf("callbacks: got %q, want Init and the two pongs that answered nothing", calls)
		}
	})
	bubble(t, "off", func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1}).dial(&controlHandler{})
		c.wantNothing(50 * time.Minute)
	})
	bubble(t, "answered pings keep a silent peer alive", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(&handler{})
		for range 20 {
			f, err := c.ReadFrame()
			if err != nil || f.Opcode != rawclient.OpPing {
				t.Fatalf("got %v, %v, want a ping", f, err)
			}
			c.must(c.Pong(f.Payload))
		}
	})
	bubble(t, "the handler's own pings have other payloads and their pongs reach it", func(t *testing.T) {
		h := &controlHandler{}
		h.info = func(context.Context, any) websock.Result { return websock.Push(websock.Ping([]byte("mine"))) }
		c := serve(t, socket.Config{}).dial(h)
		c.pid.Send("ping")
		c.want(pingFrame("mine"))
		c.must(c.Pong([]byte("mine")))
		synctest.Wait()
		if got := h.log(); got[len(got)-1] != "control "+websock.Pong([]byte("mine")).String() {
			t.Errorf("callbacks: got %q, want the pong last", got)
		}
	})
}

// A ping comes after what was written before it. The time that it waits, for a peer that takes that slowly, is no
// silence of the peer: WriteTimeout is for one that takes nothing.
func TestIdleTimeout_slowDownload(t *testing.T) {
	const size, rate = 10_000_000, 125_000 // 1 Mbit/s: 80 s
	download := func(t *testing.T) (*client, time.Time) {
		c := serve(t, socket.Config{}).dial(&handler{})
		synctest.Wait() // the reader waits, and the write is not its own
		start := time.Now()
		c.pid.Send(websock.Binary(make([]byte, size)))
		p := make([]byte, rate/10)
		for range (10 + size) / len(p) {
			time.Sleep(100 * time.Millisecond)
			if _, err := io.ReadFull(c.conn, p); err != nil {
				t.Fatalf("after %v the download ends: %v", time.Since(start), err)
			}
		}
		io.ReadFull(c.conn, p[:(10+size)%len(p)])
		return c, start
	}
	bubble(t, "a peer that answers lives on", func(t *testing.T) {
		c, start := download(t)
		for range 10 {
			f, err := c.ReadFrame()
			if err != nil || f.Opcode != rawclient.OpPing {
				t.Fatalf("%v after 10 MB were sent to a peer that takes 1 Mbit/s: got %v, %v, want a ping", time.Since(start), f, err)
			}
			c.must(c.Pong(f.Payload))
		}
	})
	bubble(t, "a peer that does not has what is left of IdleTimeout", func(t *testing.T) {
		c, start := download(t)
		f, err := c.ReadFrame()
		for err == nil && f.Opcode == rawclient.OpPing {
			f, err = c.ReadFrame()
		}
		if err != nil || f.Opcode != rawclient.OpClose {
			t.Fatalf("got %v, %v, want a Close frame", f, err)
		}
		// The first ping was due after 25 s, or up to 1/32 later, and was written when all but what the pipe holds was
		// taken.
		if got, want := time.Since(start), (size-64<<10)*time.Second/rate+35*time.Second; got < want-time.Second || got > want+4*time.Second {
			t.Errorf("the end came after %v, want about %v", got, want)
		}
		c.must(c.Close(1002, ""))
		c.end()
	})
}

// A Call in a callback that takes longer than IdleTimeout costs the peer nothing.
func TestIdleTimeout_doesNotRunInACall(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{IdleTimeout: time.Second, PingInterval: -1})
		slow := spawn(t, r.sys, receiver{receive: func(ctx context.Context, _ any) error {
			time.Sleep(4 * time.Second)
			actor.Reply(ctx, "answer")
			return nil
		}})
		h := &handler{in: func(ctx context.Context, _ websock.Message) websock.Result {
			answer, err := actor.Call[string](ctx, slow, "?")
			if err != nil {
				return websock.Stop(err)
			}
			return websock.Push(websock.Text(answer))
		}}
		c := r.dial(h)
		c.must(c.Text("x"))
		c.want(textFrame("answer"))
	})
}

// A peer that does not answer gets one ping for each PingInterval, whatever else falls due in between.
func TestPingInterval_betweenOtherDeadlines(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  socket.Config
		half bool // of a message has come
	}{
		"the socket falls asleep":       {socket.Config{HibernateAfter: 30 * time.Second, IdleTimeout: -1}, false},
		"a message is not complete":     {socket.Config{HibernateAfter: -1, IdleTimeout: -1, MessageTimeout: 80 * time.Second}, true},
		"the peer is silent for long":   {socket.Config{HibernateAfter: -1, IdleTimeout: 80 * time.Second}, false},
		"the socket cannot fall asleep": {socket.Config{HibernateAfter: 7 * time.Second, IdleTimeout: -1, MessageTimeout: -1}, true},
	} {
		bubble(t, name, func(t *testing.T) {
			c := serve(t, tt.cfg).dial(echo())
			began := time.Now()
			if tt.half {
				c.must(c.WriteBytes([]byte{0x81}))
			}
			var at []time.Duration
			for range 3 {
				op, _, err := c.ReadMessage()
				if op != rawclient.OpPing || err != nil {
					t.Fatalf("after pings at %v: opcode %#x, error %v; want another ping", at, op, err)
				}
				at = append(at, time.Since(began))
			}
			for i, got := range at {
				want := time.Duration(i+1) * 25 * time.Second
				if got < want || got > want+want/16 {
					t.Fatalf("pings at %v, want one after each 25 s", at)
				}
			}
		})
	}
}
