package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// A callback that takes long does not keep the connection from being read.

const long = 30 * time.Second

// slowOnce returns a function that takes long the first time it is called, and what then does.
func slowOnce(then func() websock.Result) func() websock.Result {
	called := false
	return func() websock.Result {
		if called {
			return websock.OK()
		}
		called = true
		time.Sleep(long)
		return then()
	}
}

// slowPlaces are the callbacks that can take long, and how to have them called.
var slowPlaces = []struct {
	name string
	slow func(h *controlHandler, f func() websock.Result)
	call func(c *client)
}{
	{"Init", func(h *controlHandler, f func() websock.Result) {
		h.init = func(context.Context) websock.Result { return f() }
	}, func(*client) {}},
	{"HandleIn", func(h *controlHandler, f func() websock.Result) {
		h.in = func(context.Context, websock.Message) websock.Result { return f() }
	}, func(c *client) { c.must(c.Text("slow")) }},
	{"HandleInfo", func(h *controlHandler, f func() websock.Result) {
		h.info = func(context.Context, any) websock.Result { return f() }
	}, func(c *client) { synctest.Wait(); c.pid.Send("slow") }},
	{"HandleInfo on the reader", func(h *controlHandler, f func() websock.Result) {
		h.in = func(ctx context.Context, _ websock.Message) websock.Result {
			actor.Self(ctx).Send("slow")
			return websock.OK()
		}
		h.info = func(context.Context, any) websock.Result { return f() }
	}, func(c *client) { c.must(c.Text("x")) }},
	{"HandleControl", func(h *controlHandler, f func() websock.Result) {
		h.control = func(_ context.Context, msg websock.Message) websock.Result {
			if msg.Opcode == websock.OpPong {
				return f()
			}
			return websock.OK()
		}
	}, func(c *client) { c.must(c.Pong([]byte("slow"))) }},
}

// A ping is answered at once, with its payload; HandleControl follows in mailbox order, when the callback has returned. What
// it returns, or that it does not return, has the same consequences as for a short one.
func TestPing_duringALongCallback(t *testing.T) {
	ends := []struct {
		name   string
		then   func() websock.Result
		wire   []string
		reason reasonCheck // nil: the socket lives on
	}{
		{"returns", func() websock.Result { return websock.Push(websock.Text("done")) }, []string{textFrame("done")}, nil},
		{"stops", func() websock.Result { return websock.Close(4000, "", websock.Text("done")) },
			[]string{textFrame("done"), closeFrame(4000, "")}, reasonAs[*websock.CloseError]()},
		{"panics", func() websock.Result { panic("boom") }, []string{closeFrame(1011, "")}, reasonAs[*actor.PanicError]()},
		{"leaves its goroutine", func() websock.Result { runtime.Goexit(); return websock.OK() },
			[]string{closeFrame(1011, "")}, reasonAs[*actor.PanicError]()},
	}
	for _, place := range slowPlaces {
		for _, end := range ends {
			bubble(t, place.name+" "+end.name, func(t *testing.T) {
				h := &controlHandler{}
				place.slow(h, slowOnce(end.then))
				c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1}).dial(h)
				place.call(c)
				time.Sleep(time.Second) // the callback runs
				for i := range 3 {
					began := time.Now()
					c.must(c.Ping(fmt.Appendf(nil, "%d", i)))
					c.want(pongFrame(fmt.Sprint(i)))
					if d := time.Since(began); d != 0 {
						t.Errorf("ping %d is answered after %v, want at once", i, d)
					}
				}
				if got := h.log(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "control ping") }) {
					t.Errorf("callbacks: got %q, want no HandleControl of the pings while another callback runs", got)
				}
				c.want(end.wire...)
				if end.reason != nil {
					if problem := end.reason(c.end().Reason); problem != "" {
						t.Error(problem)
					}
					return
				}
				synctest.Wait()
				got, want := h.log(), []string{}
				for i := range 3 {
					want = append(want, "control "+websock.Ping(fmt.Appendf(nil, "%d", i)).String())
				}
				if len(got) < 3 || !slices.Equal(got[len(got)-3:], want) {
					t.Errorf("callbacks: got %q, want the last to be %q", got, want)
				}
				c.must(c.Ping([]byte("still")))
				c.want(pongFrame("still"))
			})
		}
	}
}

// Also when what comes with the ping pauses reading.
func TestPing_beforeReadingPauses(t *testing.T) {
	for _, controls := range []bool{true, false} {
		bubble(t, fmt.Sprintf("HandleControl %t", controls), func(t *testing.T) {
			h := &controlHandler{}
			h.in = func(_ context.Context, msg websock.Message) websock.Result { time.Sleep(long); return websock.OK() }
			var handler websock.Handler = h
			if !controls {
				handler = plain{h}
			}
			c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1}).dial(handler)
			c.must(c.Text("slow"))
			time.Sleep(time.Second)
			text := rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte("x")}
			began := time.Now()
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpPing}, text, text, text))
			c.want(pongFrame(""))
			if d := time.Since(began); d != 0 {
				t.Errorf("the ping is answered after %v, want at once", d)
			}
			time.Sleep(5 * long)
		})
	}
}

// A message for a client that reads nothing keeps whoever writes it: the reader goes on, also when that was the reader, which had taken
// the turn from a worker. With one processor it takes it, unless it is preempted at the wrong moment.
func TestRead_whileTheClientReadsNothing(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	bubble(t, "", func(t *testing.T) {
		c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1}).dial(puppet())
		time.Sleep(time.Second / 2) // nobody watches it for its Init any more
		c.conn.SetReadBuffer(64)
		c.pid.Send(websock.Binary(make([]byte, 1<<20)))
		for n := range int64(2) {
			c.must(c.Text("a frame"))
			time.Sleep(time.Second)
			if info, err := c.rig.srv.Info(c.pid); err != nil || info.Read.Text.Frames != n+1 {
				t.Errorf("%d frames are read, %v; want %d", info.Read.Text.Frames, err, n+1)
			}
		}
		if all := readUntilSilent(c); len(all) != 3 {
			t.Errorf("got %d messages, want what was sent and two echoes", len(all))
		}
	})
}

// Whoever tells a socket to end finds it in a long callback: all is as if its goroutine were not the reader's.
func TestEnd_duringALongCallback(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg        socket.Config
		end        func(c *client)
		after      time.Duration // of the end, from its cause on
		reason     error
		terminates bool
	}{
		"kill": {end: func(c *client) { c.pid.Exit(actor.ErrKilled) }, reason: actor.ErrKilled},
		"exit": {end: func(c *client) { c.pid.Exit(errAbnormal) }, after: long - time.Second, reason: errAbnormal, terminates: true},
		"exit, and ShutdownTimeout is over": {cfg: socket.Config{ShutdownTimeout: 15 * time.Second},
			end: func(c *client) { c.pid.Exit(errAbnormal) }, after: 15 * time.Second, reason: actor.ErrKilled},
		"the peer's Close": {end: func(c *client) { c.must(c.Close(1000, "")) }, after: long - time.Second, reason: websock.ErrRemote, terminates: true},
		"FIN":              {end: func(c *client) { c.conn.CloseWrite() }, after: long - time.Second, reason: websock.ErrRemote, terminates: true},
		"reset":            {end: func(c *client) { c.conn.Reset() }, after: long - time.Second, reason: websock.ErrRemote, terminates: true},
		"FIN, and AbandonAfter is over": {cfg: socket.Config{AbandonAfter: 5 * time.Second},
			end: func(c *client) { c.conn.CloseWrite() }, after: 5 * time.Second, reason: websock.ErrRemote},
	} {
		for _, place := range slowPlaces {
			bubble(t, name+" "+place.name, func(t *testing.T) {
				h := &controlHandler{}
				place.slow(h, slowOnce(websock.OK))
				tt.cfg.IdleTimeout, tt.cfg.PingInterval, tt.cfg.MaxSockets = -1, -1, 1
				if tt.cfg.ShutdownTimeout == 0 {
					tt.cfg.ShutdownTimeout = time.Minute
				}
				c := serve(t, tt.cfg).dial(h)
				place.call(c)
				time.Sleep(time.Second)
				began := time.Now()
				tt.end(c)
				go func() { // a peer that answers
					for {
						f, err := c.ReadFrame()
						if err != nil || f.Opcode == 8 {
							c.conn.Close()
							return
						}
					}
				}()
				closed := c.end()
				if d := time.Since(began); d != tt.after {
					t.Errorf("the end came after %v, want %v", d, tt.after)
				}
				if got := h.terminated(); !errors.Is(closed.Reason, tt.reason) || tt.terminates != (len(got) == 1) {
					t.Errorf("it ended with %v, Terminate got %v; want %v, and Terminate: %t", closed.Reason, got, tt.reason, tt.terminates)
				}
				if err := c.rig.srv.Ready(); err != nil {
					t.Errorf("Ready after the end: %v, want that there is a place", err)
				}
				time.Sleep(long) // the callback that was abandoned returns
			})
		}
	}
}

// paused is a socket in a long HandleIn, behind which one message waits in the mailbox, and the reader holds another one.
func paused(t *testing.T, cfg socket.Config, takes time.Duration) (*client, *handler) {
	t.Helper()
	h := &handler{in: func(_ context.Context, msg websock.Message) websock.Result {
		if string(msg.Data) == "slow" {
			time.Sleep(takes)
		}
		return websock.OK()
	}}
	cfg.IdleTimeout, cfg.PingInterval = -1, -1
	cfg.SlowCallback = -1 // so that the watch does not look once more
	c := serve(t, cfg).dial(h)
	for _, s := range []string{"slow", "waits", "held"} {
		c.must(c.Text(s))
	}
	return c, h
}

// A peer that goes while reading is paused is seen all the same. What it had sent before is handled first, a Close too.
func TestLoss_whileReadingIsPaused(t *testing.T) {
	in := func(s string) string { return "in " + websock.Text(s).String() }
	all := []string{"init", in("slow"), in("waits"), in("held"), in("last"), "terminate"}
	for _, tt := range []struct {
		name   string
		lose   func(c *client)
		reason reasonCheck
		log    []string
		tcp    bool // is closed at once
	}{
		{"half closed", func(c *client) { c.must(c.Text("last")); c.conn.CloseWrite() }, reasonIs(websock.ErrRemote), all, false},
		{"Close and half closed", func(c *client) { c.must(c.Text("last")); c.must(c.Close(1000, "")); c.conn.CloseWrite() },
			remoteClose(1000, ""), all, false},
		{"reset", func(c *client) { c.conn.Reset() }, reasonIs(websock.ErrRemote),
			[]string{"init", in("slow"), in("waits"), "terminate"}, true},
		{"half closed, then reset", func(c *client) { c.conn.CloseWrite(); time.Sleep(time.Second); c.conn.Reset() }, reasonIs(websock.ErrRemote),
			[]string{"init", in("slow"), in("waits"), "terminate"}, true},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			c, h := paused(t, socket.Config{}, long)
			time.Sleep(time.Second)
			tt.lose(c)
			time.Sleep(time.Second)
			synctest.Wait()
			if _, err := c.conn.Write([]byte{0}); tt.tcp && err == nil {
				t.Error("TCP is open a second after the loss, while a callback runs")
			}
			closed := c.end()
			if problem := tt.reason(closed.Reason); problem != "" {
				t.Error(problem)
			}
			if got := h.log(); !slices.Equal(got, tt.log) {
				t.Errorf("callbacks: got %q, want %q", got, tt.log)
			}
		})
		bubble(t, tt.name+", and the callback does not return", func(t *testing.T) {
			c, h := paused(t, socket.Config{AbandonAfter: 5 * time.Second, MaxSockets: 1}, long)
			time.Sleep(time.Second)
			tt.lose(c)
			began := time.Now()
			closed := c.end()
			if d := time.Since(began); d < 4*time.Second || d > 6*time.Second || c.rig.srv.Ready() != nil {
				t.Errorf("the end came after %v, and the server says %v; want AbandonAfter, 5s, and a place for one more", d, c.rig.srv.Ready())
			}
			if !errors.Is(closed.Reason, websock.ErrRemote) || len(h.terminated()) != 0 {
				t.Errorf("it ended with %v, Terminate got %v; want ErrRemote, and no Terminate", closed.Reason, h.terminated())
			}
			wantLevel(t, c, slog.LevelDebug)
			time.Sleep(long)
		})
	}
}

// The same when reading pauses before the callback is long, because it runs on a worker and nobody had to be relieved.
func TestLoss_whileReadingIsPausedFromTheBeginning(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := puppet()
		c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1, AbandonAfter: 5 * time.Second}).dial(h)
		busy(c, long)
		c.must(c.Text("waits"))
		c.must(c.Text("held"))
		synctest.Wait()
		c.conn.Reset()
		began := time.Now()
		if closed := c.end(); !errors.Is(closed.Reason, websock.ErrRemote) {
			t.Errorf("it ended with %v, want ErrRemote", closed.Reason)
		}
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("the end came after %v, want AbandonAfter, 5s", d)
		}
		time.Sleep(long)
	})
}

// What a peer sends to a socket in a long callback is not buffered: one message waits, the reader holds another one, and of
// pings as many as are answered.
func TestFlood_duringALongCallback(t *testing.T) {
	bubble(t, "messages", func(t *testing.T) {
		c, h := paused(t, socket.Config{}, long)
		sent := make(chan int, 1)
		go func() {
			for i := range 1000 {
				if err := c.Write(rawclient.Frame{Fin: true, Opcode: 2, Payload: bytes.Repeat([]byte{'x'}, 1<<10)}); err != nil {
					t.Errorf("message %d: %v", i, err)
				}
			}
			sent <- 1000
		}()
		time.Sleep(long / 2)
		info, err := c.rig.srv.Info(c.pid)
		if n := info.Read.Text.Frames + info.Read.Binary.Frames; err != nil || n > 3 || info.Mailbox > 1 || len(sent) > 0 {
			t.Errorf("during the callback %d messages were read, %d wait, all were sent: %t (%v); want 3, 1 and false", n, info.Mailbox, len(sent) > 0, err)
		}
		if <-sent != 1000 {
			t.Error("not all was sent")
		}
		c.must(c.Close(1000, ""))
		c.end()
		if n := len(h.log()); n != 1+3+1000+1 {
			t.Errorf("%d callbacks, want Init, 1003 messages and Terminate", n)
		}
	})
	for _, controls := range []bool{true, false} {
		bubble(t, fmt.Sprintf("pings, HandleControl %t", controls), func(t *testing.T) {
			h := &controlHandler{}
			h.in = func(context.Context, websock.Message) websock.Result { time.Sleep(long); return websock.OK() }
			var handler websock.Handler = h
			answered := 18 // one more than may wait is read, and held
			if !controls {
				handler, answered = plain{h}, 100
			}
			c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1}).dial(handler)
			c.must(c.Text("slow"))
			time.Sleep(time.Second)
			go func() {
				for range 100 {
					c.must(c.Ping([]byte("x")))
				}
			}()
			time.Sleep(time.Second)
			info, err := c.rig.srv.Info(c.pid)
			if err != nil || info.Read.Ping.Frames > int64(answered) || info.Mailbox > 16 {
				t.Errorf("%d pings were read, and %d wait (%v); want %d, and 16 at most", info.Read.Ping.Frames, info.Mailbox, err, answered)
			}
			for range 100 {
				c.want(pongFrame("x"))
			}
			time.Sleep(long)
		})
	}
}

// Callbacks that return in the very moment in which they would be relieved, with all else that can happen then: what comes
// back is in order, and every socket ends once. It is for the race detector.
func TestRelieve_inTheMomentOfTheReturn(t *testing.T) {
	const moment = 100 * time.Millisecond // when the watch looks, and what it calls long
	for _, ends := range []struct {
		name string
		end  func(c *client)
	}{
		{"none", nil},
		{"a kill", func(c *client) { c.pid.Exit(actor.ErrKilled) }},
		{"an exit", func(c *client) { c.pid.Exit(errAbnormal) }},
		{"a reset", func(c *client) { c.conn.Reset() }},
		{"a Close", func(c *client) { c.must(c.Close(1000, "")) }},
	} {
		bubble(t, ends.name, func(t *testing.T) {
			r := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1, HibernateAfter: moment})
			var clients []*client
			for i := range 60 {
				h := &controlHandler{}
				h.in = func(_ context.Context, msg websock.Message) websock.Result {
					time.Sleep(moment)
					if i%10 == 9 && string(msg.Data) == "2" {
						runtime.Goexit()
					}
					return websock.Push(msg)
				}
				h.control = func(context.Context, websock.Message) websock.Result { time.Sleep(moment / 2); return websock.OK() }
				clients = append(clients, r.dial(h))
			}
			for _, c := range clients {
				go func() {
					for i := range 5 {
						if c.Text(fmt.Sprint(i)) != nil || c.Ping(nil) != nil {
							return
						}
					}
				}()
			}
			if ends.end != nil {
				time.Sleep(3 * moment)
				for _, c := range clients {
					go ends.end(c)
				}
			}
			for i, c := range clients {
				next := 0
				for next < 5 {
					f, err := c.ReadFrame()
					if err != nil || f.Opcode == rawclient.OpClose {
						break
					}
					if f.Opcode == rawclient.OpText {
						if got := string(f.Payload); got != fmt.Sprint(next) {
							t.Errorf("socket %d: got %q, want %d", i, got, next)
						}
						next++
					}
				}
				if want := 5; ends.end == nil && i%10 != 9 && next != want {
					t.Errorf("socket %d: %d answers, want %d", i, next, want)
				}
				c.conn.Close()
			}
			for _, c := range clients {
				c.end()
			}
			time.Sleep(time.Minute)
			if n := r.srv.Count(); n != 0 {
				t.Errorf("Count = %d after all have ended, want 0", n)
			}
		})
	}
}

// A callback that takes long costs one goroutine more than its own.
func TestLongCallbacks_cost(t *testing.T) {
	n := 1000
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 10_000
	}
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1, HibernateAfter: -1})
		h := &handler{in: func(context.Context, websock.Message) websock.Result { time.Sleep(long); return websock.OK() }}
		cs := make([]*client, n)
		for i := range cs {
			cs[i] = r.dial(h)
		}
		synctest.Wait()
		before := runtime.NumGoroutine()
		for _, c := range cs {
			c.must(c.Text("slow"))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > n+100 {
			t.Errorf("%d sockets in long callbacks have %d goroutines more than at rest, want one each at most", n, more)
		}
		for _, c := range cs {
			c.must(c.Ping(nil))
		}
		for _, c := range cs {
			c.want(pongFrame(""))
		}
		time.Sleep(long)
		synctest.Wait()
		if more := runtime.NumGoroutine() - before; more > 100 {
			t.Errorf("after the callbacks there are %d goroutines more than before, want those that read alone", more)
		}
	})
}

// The Data of a message is the handler's while its callback runs, also when others are read meanwhile into buffers that are
// used again.
func TestBorrower_duringALongCallback(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		const size = 8 << 10
		var got []string
		h := &borrower{handler{in: func(_ context.Context, msg websock.Message) websock.Result {
			time.Sleep(time.Second)
			b := msg.Data[0]
			got = append(got, fmt.Sprintf("%c %t", b, bytes.Equal(msg.Data, bytes.Repeat([]byte{b}, size))))
			return websock.Push(websock.Binary(msg.Data[:4]))
		}}}
		c := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1}).dial(h)
		go func() {
			for b := byte('a'); b < 'a'+9; b++ {
				c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 2, Payload: bytes.Repeat([]byte{b}, size)}))
			}
		}()
		var want []string
		for b := byte('a'); b < 'a'+9; b++ {
			c.want(binaryFrame(strings.Repeat(string(b), 4)))
			want = append(want, fmt.Sprintf("%c true", b))
		}
		if !slices.Equal(got, want) {
			t.Errorf("messages that were whole at the end of their callbacks: got %q, want %q", got, want)
		}
	})
}

func TestSlowCallback(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   time.Duration
		takes time.Duration
		lines int
	}{
		{"5 s by default", 0, 6 * time.Second, 1},
		{"not before", 0, 4900 * time.Millisecond, 0},
		{"set", time.Second, 2 * time.Second, 1},
		{"once for each", time.Second, time.Minute, 1},
		{"off", -1, time.Minute, 0},
	} {
		for _, place := range slowPlaces {
			bubble(t, tt.name+" "+place.name, func(t *testing.T) {
				h := &controlHandler{}
				place.slow(h, func() websock.Result { time.Sleep(tt.takes); return websock.Push(websock.Text("done")) })
				c := serve(t, socket.Config{SlowCallback: tt.set, IdleTimeout: -1, PingInterval: -1}).dial(h)
				place.call(c)
				c.want(textFrame("done"))
				lines := c.rig.logs.of("slow callback", c.pid)
				if len(lines) != tt.lines {
					t.Fatalf("%d lines, want %d: %v", len(lines), tt.lines, lines)
				}
				for _, l := range lines {
					if l.level != slog.LevelWarn || l.attrs["handling"].String() == "" || l.attrs["for"].String() == "" {
						t.Errorf("line %v, want a warning that names what is handled and for how long", l)
					}
				}
			})
		}
	}
}
