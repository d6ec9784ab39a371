package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// events is what has happened, in order.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf(format, args...))
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

// receiver is an actor made of functions.
type receiver struct {
	init      func(ctx context.Context) error
	receive   func(ctx context.Context, msg any) error
	terminate func(ctx context.Context, reason error)
}

func (a receiver) Init(ctx context.Context) error {
	if a.init == nil {
		return nil
	}
	return a.init(ctx)
}

func (a receiver) Receive(ctx context.Context, msg any) error {
	if a.receive == nil {
		return nil
	}
	return a.receive(ctx, msg)
}

func (a receiver) Terminate(ctx context.Context, reason error) {
	if a.terminate != nil {
		a.terminate(ctx, reason)
	}
}

func spawn(t *testing.T, sys *actor.System, a actor.Actor) actor.PID {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), a, actor.SpawnOptions{})
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	return pid
}

// step is what every step of an end takes here, so that what the one before has caused is seen before it.
const step = time.Millisecond

// Section 3: the steps of an end, in order, whatever the end.
func TestEnd_order(t *testing.T) {
	wire := []string{"text pushed", "close frame", "end of stream"} // what a peer sees that reads
	for _, way := range []struct {
		name   string
		cfg    socket.Config
		init   websock.Result
		end    func(r *rig, c *client)
		wire   []string
		reason reasonCheck
	}{
		{name: "Stop in Init", init: websock.Stop(websock.ErrNormal), end: func(*rig, *client) {}, wire: wire, reason: reasonIs(websock.ErrNormal)},
		{name: "Stop in HandleIn", end: func(_ *rig, c *client) { c.must(c.Text("stop")) }, wire: wire, reason: reasonIs(websock.ErrNormal)},
		{name: "Stop in HandleInfo", end: func(_ *rig, c *client) { c.pid.Send("stop") }, wire: wire, reason: reasonIs(websock.ErrNormal)},
		{name: "Stop in HandleControl", end: func(_ *rig, c *client) { c.must(c.Pong(nil)) }, wire: wire, reason: reasonIs(websock.ErrNormal)},
		{name: "panic", end: func(_ *rig, c *client) { c.must(c.Text("panic")) }, wire: wire, reason: reasonAs[*actor.PanicError]()},
		{name: "Exit", end: func(_ *rig, c *client) { c.pid.Exit(errAbnormal) }, wire: wire, reason: reasonIs(errAbnormal)},
		{name: "peer's Close", end: func(_ *rig, c *client) { c.must(c.Close(1000, "")) }, wire: wire, reason: remoteClose(1000, "")},
		{name: "breach of the protocol", end: func(_ *rig, c *client) { c.must(c.WriteBytes([]byte{0xff, 0xff})) }, wire: wire, reason: protocolError(1002)},
		{name: "IdleTimeout", cfg: socket.Config{IdleTimeout: 10 * time.Second, PingInterval: -1}, end: func(*rig, *client) {}, wire: wire, reason: reasonIs(websock.ErrTimeout)},
		{name: "overload", cfg: socket.Config{MailboxLimit: 1}, end: func(_ *rig, c *client) {
			release := blockUntil(c, websock.OK())
			c.pid.Send(1)
			c.pid.Send(2)
			release()
		}, wire: wire, reason: reasonIs(websock.ErrOverload)},
		{name: "Server.Shutdown", end: func(r *rig, _ *client) { go r.srv.Shutdown(context.Background()) }, wire: wire, reason: reasonIs(websock.ErrShutdown)},
		{name: "System.Shutdown", end: func(r *rig, _ *client) { go r.sys.Shutdown(context.Background()) }, wire: wire, reason: reasonIs(websock.ErrShutdown)},
		{name: "peer half closes TCP", end: func(_ *rig, c *client) { c.conn.CloseWrite() },
			wire: []string{"text pushed"}, reason: reasonIs(websock.ErrRemote)},
	} {
		bubble(t, way.name, func(t *testing.T) {
			var ev events
			var r *rig
			var c *client
			way.cfg.OnClose = func(cl socket.Closed) {
				if _, err := c.conn.Write([]byte{0}); err == nil {
					t.Error("TCP is open when OnClose is called")
				}
				if living(c.pid) {
					t.Error("the process is alive when OnClose is called")
				}
				time.Sleep(step) // until the Down that was sent has been handled
				ev.add("OnClose")
			}
			way.cfg.ShutdownTimeout = 15 * time.Second
			r = serve(t, way.cfg)
			away, err := actor.NewSystem(actor.Config{Logger: slog.New(r.logs)}) // lives on in a System.Shutdown
			if err != nil {
				t.Fatal(err)
			}
			defer away.Shutdown(context.Background())
			oracle := spawn(t, away, receiver{receive: func(ctx context.Context, _ any) error { actor.Reply(ctx, "42"); return nil }})

			var ctx context.Context
			h := &controlHandler{}
			h.init = func(own context.Context) websock.Result {
				ctx = own
				_, err := actor.Spawn(own, receiver{terminate: func(_ context.Context, reason error) {
					time.Sleep(step)
					ev.add("child: %v", reason)
				}}, actor.SpawnOptions{})
				if err != nil {
					t.Errorf("Spawn of a child: %v", err)
				}
				actor.Self(own).OnExit(func(reason error) {
					time.Sleep(step)
					if problem := way.reason(reason); problem != "" {
						t.Errorf("OnExit: %s", problem)
					}
					if own.Err() != nil || actor.Self(own).Alive() {
						t.Errorf("OnExit: ctx says %v, Alive %v; want nil and false", own.Err(), actor.Self(own).Alive())
					}
					ev.add("exit hook")
				})
				res := way.init
				res.Push = append(res.Push, websock.Text("pushed"))
				return res
			}
			h.in = func(_ context.Context, msg websock.Message) websock.Result {
				if string(msg.Data) == "panic" {
					panic("boom")
				}
				return websock.Stop(websock.ErrNormal)
			}
			h.control = func(context.Context, websock.Message) websock.Result { return websock.Stop(websock.ErrNormal) }
			h.info = func(ctx context.Context, msg any) websock.Result {
				if f, ok := msg.(do); ok {
					return f(ctx)
				}
				return websock.Stop(websock.ErrNormal)
			}
			h.terminate = func(ctx context.Context, reason error) {
				time.Sleep(step)
				ev.add("Terminate")
				if problem := way.reason(reason); problem != "" {
					t.Errorf("Terminate: %s", problem)
				}
				if ctx.Err() != nil {
					t.Errorf("Terminate: ctx is done: %v", context.Cause(ctx))
				}
				deadline, ok := ctx.Deadline()
				if left := time.Until(deadline); !ok || left != 15*time.Second-2*step {
					t.Errorf("Terminate: %v until ctx's deadline (%v), want what is left of ShutdownTimeout, 15s-2ms", left, ok)
				}
				if got, err := actor.Call[string](ctx, oracle, "?"); got != "42" || err != nil {
					t.Errorf("Call in Terminate: %q, %v, want 42", got, err)
				}
			}
			// Whom the socket's process tells of its end.
			listening := make(chan actor.PID)
			spawn(t, away, receiver{
				init: func(own context.Context) error {
					go func() { actor.Self(own).Send(<-listening) }()
					return nil
				},
				receive: func(own context.Context, msg any) error {
					switch m := msg.(type) {
					case actor.PID:
						actor.Monitor(own, m)
						listening <- m
					case actor.Down:
						if problem := way.reason(m.Reason); problem != "" {
							t.Errorf("Down: %s", problem)
						}
						if m.PID.Send("x") || living(m.PID) {
							t.Error("at the Down the process can still be sent to")
						}
						if ctx.Err() == nil || context.Cause(ctx) != m.Reason {
							t.Errorf("at the Down: ctx says %v, cause %v, want it done, with %v", ctx.Err(), context.Cause(ctx), m.Reason)
						}
						ev.add("Down")
					}
					return nil
				},
			})

			if way.name == "Stop in Init" { // it is to be monitored before it ends
				inner := h.init
				gate := make(chan struct{})
				h.init = func(ctx context.Context) websock.Result { <-gate; return inner(ctx) }
				way.end = func(*rig, *client) { close(gate) }
			}
			c = r.dial(h)
			reading := make(chan struct{})
			go func() {
				defer close(reading)
				for {
					f, err := c.ReadFrame()
					switch {
					case err != nil && len(way.wire) == 1:
						return // the stream just ends
					case err != nil:
						ev.add("end of stream")
						return
					case f.Opcode == rawclient.OpClose:
						ev.add("close frame")
					default:
						ev.add("text %s", f.Payload)
					}
				}
			}()
			listening <- c.pid
			<-listening
			synctest.Wait()
			way.end(r, c)
			c.end()
			<-reading
			time.Sleep(2 * step)
			want := append(slices.Clone(way.wire), "child: shutdown", "Terminate", "exit hook", "Down", "OnClose")
			if got := ev.all(); !slices.Equal(got, want) {
				t.Errorf("the order of the end:\ngot  %q\nwant %q", got, want)
			}
		})
	}
}

// Exit keeps its place in the mailbox, the first one decides, and what stands after it is dropped and counted.
func TestEnd_exitKeepsItsPlace(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		c := r.dial(h)
		release := blockUntil(c, websock.Push(websock.Text("from the callback in progress")))
		c.pid.Send("before")
		c.pid.Send(websock.Text("before"))
		c.pid.Exit(&websock.CloseError{Code: 4001})
		c.pid.Send("behind")
		c.pid.Send(websock.Text("behind"))
		c.pid.Exit(errAbnormal)
		release()
		c.wantEnd(textFrame("from the callback in progress"), textFrame("before"), closeFrame(4001, ""))
		closed := c.end()
		if want := []string{"init", "info do", "info string before", "terminate"}; !slices.Equal(h.log(), want) {
			t.Errorf("callbacks: got %q, want %q", h.log(), want)
		}
		if problem := reasonAs[*websock.CloseError]()(closed.Reason); problem != "" {
			t.Error(problem)
		}
		if closed.Dropped != 2 {
			t.Errorf("Closed.Dropped = %d, want the 2 messages after the Exit", closed.Dropped)
		}
		if line := r.logs.of("socket closed", c.pid); line[0].attrs["dropped"].Uint64() != 2 {
			t.Errorf("the line in the log: %s, want dropped=2", line[0].text)
		}
	})
}

// An Exit is not refused by the limit.
func TestEnd_exitIsNotRefusedByTheLimit(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{MailboxLimit: 1})
		c := r.dial(puppet())
		release := blockUntil(c, websock.OK())
		c.pid.Send("x")
		if !c.pid.Exit(websock.ErrRestart) {
			t.Error("Exit says false")
		}
		release()
		c.wantEnd(closeFrame(1012, ""))
	})
}

// What the reader meets keeps its place after the frames it read, and in front of the messages that come later.
func TestEnd_peersCloseKeepsItsPlace(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		c := r.dial(h)
		release := blockUntil(c, websock.OK())
		c.pid.Send("before")
		c.must(c.Close(1000, ""))
		synctest.Wait()
		c.pid.Send("behind")
		release()
		c.wantEnd(closeFrame(1000, ""))
		if closed := c.end(); closed.Dropped != 1 {
			t.Errorf("Closed.Dropped = %d, want 1", closed.Dropped)
		}
		if want := []string{"init", "info do", "info string before", "terminate"}; !slices.Equal(h.log(), want) {
			t.Errorf("callbacks: got %q, want %q", h.log(), want)
		}
	})
}

// The loss of the peer overtakes messages, but not the frame that was read before it.
func TestEnd_lossDoesNotOvertakeTheFrameBefore(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		h := puppet()
		h.in = func(context.Context, websock.Message) websock.Result { time.Sleep(time.Second); return websock.OK() }
		c := r.dial(h)
		release := blockUntil(c, websock.OK())
		c.pid.Send("before")
		c.must(c.Text("the last"))
		c.conn.CloseWrite()
		synctest.Wait()
		c.pid.Send("behind")
		release()
		c.wantEnd()
		closed := c.end()
		want := []string{"init", "info do", "info string before", "in " + websock.Text("the last").String(), "terminate"}
		if !slices.Equal(h.log(), want) {
			t.Errorf("callbacks: got %q, want %q", h.log(), want)
		}
		if closed.Dropped != 1 {
			t.Errorf("Closed.Dropped = %d, want 1", closed.Dropped)
		}
	})
}

// ShutdownTimeout runs from the Exit: what the callback in progress took is missing in Terminate.
func TestTerminate_hasWhatIsLeftOfShutdownTimeout(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{ShutdownTimeout: 10 * time.Second})
		h := puppet()
		left := make(chan time.Duration, 1)
		h.terminate = func(ctx context.Context, _ error) {
			d, _ := ctx.Deadline()
			left <- time.Until(d)
		}
		c := r.dial(h)
		release := blockUntil(c, websock.OK())
		c.pid.Exit(websock.ErrShutdown)
		time.Sleep(7 * time.Second)
		release()
		if got := <-left; got != 3*time.Second {
			t.Errorf("Terminate has %v, want 3s of 10s", got)
		}
		c.wantEnd(closeFrame(1001, ""))
	})
}

// 277, 321, 331: ShutdownTimeout over with a callback that does not return: TCP is closed, Down comes and OnClose is
// called, at once; the goroutine is left, and logged with its stack; what it returns is dropped.
func TestEnd_stuckCallback(t *testing.T) {
	for _, where := range []struct {
		name   string
		start  func(c *client)
		frames []string // before the end of the stream
	}{
		{"Init", func(*client) {}, nil},
		{"HandleIn, on the reader", func(c *client) { c.must(c.Text("x")) }, nil},
		{"HandleControl, on the reader", func(c *client) { c.must(c.Ping(nil)) }, []string{pongFrame("")}},
		{"HandleInfo, on a worker", func(c *client) { c.pid.Send("x") }, nil},
		{"HandleInfo, with a frame waiting", func(c *client) {
			c.pid.Send("x")
			synctest.Wait()
			c.must(c.Text("waits"))
		}, nil},
		{"Terminate", func(*client) {}, []string{closeFrame(1001, "")}},
		{"Terminate on the reader", func(c *client) { c.must(c.Close(1000, "")) }, []string{closeFrame(1000, "")}},
		{"Terminate on the reader of a socket that stopped for ErrKilled of another", func(c *client) { c.must(c.Text("x")) }, []string{closeFrame(1011, "")}},
	} {
		for _, how := range []struct {
			name string
			end  func(r *rig, c *client) (err error)
			wait time.Duration
		}{
			{"Exit", func(r *rig, c *client) error { c.pid.Exit(websock.ErrShutdown); return nil }, 15 * time.Second},
			{"Exit(ErrKilled)", func(r *rig, c *client) error { c.pid.Exit(actor.ErrKilled); return nil }, 0},
			{"Server.Shutdown", func(r *rig, c *client) error { return r.srv.Shutdown(context.Background()) }, 15 * time.Second},
			{"Server.Shutdown with a deadline", func(r *rig, c *client) error {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				if err := r.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 sockets killed") {
					return fmt.Errorf("got %v, want one socket killed at the deadline", err)
				}
				return nil
			}, time.Second},
		} {
			bubble(t, where.name+", "+how.name, func(t *testing.T) {
				r := serve(t, socket.Config{ShutdownTimeout: 15 * time.Second, PingInterval: -1, IdleTimeout: -1, CloseTimeout: time.Hour})
				release := make(chan struct{})
				h := &controlHandler{}
				var late error
				stuck := func(ctx context.Context) websock.Result {
					<-release
					late = context.Cause(ctx)
					return websock.Close(4000, "late", websock.Text("late"))
				}
				terminating := strings.HasPrefix(where.name, "Terminate")
				if terminating {
					h.terminate = func(ctx context.Context, _ error) { stuck(ctx) }
					h.in = func(context.Context, websock.Message) websock.Result { return websock.Stop(actor.ErrKilled) }
				} else {
					h.in = func(ctx context.Context, _ websock.Message) websock.Result { return stuck(ctx) }
				}
				h.control = func(ctx context.Context, _ websock.Message) websock.Result { return stuck(ctx) }
				h.info = func(ctx context.Context, _ any) websock.Result { return stuck(ctx) }
				if where.name == "Init" {
					h.init = stuck
				}
				c := r.dial(h)
				synctest.Wait()
				where.start(c)
				synctest.Wait()
				start := time.Now()
				down := make(chan time.Time, 1)
				go func() { actor.Wait(context.Background(), c.pid); down <- time.Now() }()
				synctest.Wait()
				ended := make(chan error, 1)
				go func() { ended <- how.end(r, c) }()

				frames := where.frames
				if where.name == "Terminate" && how.name == "Exit(ErrKilled)" {
					frames = nil // it has not begun
				}
				c.want(frames...)
				if f, err := c.ReadFrame(); err == nil {
					t.Errorf("on the wire: got %v, want the end of the stream", f)
				}
				closed := c.end()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if got := (<-down).Sub(start); got > how.wait {
					t.Errorf("Down came after %v, want %v", got, how.wait)
				}
				if got := time.Since(start); got > how.wait {
					t.Errorf("OnClose was called and the end returned after %v, want %v", got, how.wait)
				}
				if !errors.Is(closed.Reason, actor.ErrKilled) {
					t.Errorf("Closed.Reason = %v, want ErrKilled", closed.Reason)
				}
				if !terminating && closed.Sent != nil {
					t.Errorf("Closed.Sent = %+v, want none", closed.Sent)
				}
				time.Sleep(time.Second) // when it has been reported
				abandoned := r.logs.of("a callback does not return; its goroutine is abandoned", c.pid)
				if want := 1; len(abandoned) != want && !(where.name == "Terminate" && how.name == "Exit(ErrKilled)") {
					t.Errorf("%d lines about the goroutine that is abandoned, want one: %v", len(abandoned), abandoned)
				}
				for _, l := range abandoned {
					if l.level != slog.LevelError || !strings.Contains(l.attrs["stack"].String(), "order_test.go") {
						t.Errorf("the line about the goroutine that is abandoned: %s, want an error with its stack", l.text)
					}
				}
				calls := h.log()
				close(release)
				synctest.Wait()
				if got := h.log(); !slices.Equal(got, calls) {
					t.Errorf("callbacks after the end: %q", got[len(calls):])
				}
				if n := r.onClose(c.pid); n != 1 {
					t.Errorf("OnClose was called %d times, want once", n)
				}
				if terminating {
					return // there ctx has a deadline of its own, which is over at the same time
				}
				if !errors.Is(late, actor.ErrKilled) {
					t.Errorf("context.Cause in the callback that was left: %v, want ErrKilled", late)
				}
				if slices.Contains(calls, "terminate") {
					t.Errorf("Terminate was called though the process was killed: %q", calls)
				}
			})
		}
	}
}

// A slow peer that takes longer than ShutdownTimeout for the Close frame does not get it.
func TestEnd_shutdownTimeoutDuringTheCloseFrame(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{ShutdownTimeout: time.Second, WriteTimeout: time.Hour, PingInterval: -1})
		r.ln.Buffer = 100
		h := puppet()
		c := r.dial(h)
		synctest.Wait()
		start := time.Now()
		c.pid.Send(do(func(context.Context) websock.Result {
			return websock.Close(1000, "", websock.Binary(make([]byte, 1000)))
		}))
		closed := c.end()
		if got := time.Since(start); got != time.Second {
			t.Errorf("it took %v, want ShutdownTimeout, 1s", got)
		}
		if !errors.Is(closed.Reason, actor.ErrKilled) || closed.Sent != nil {
			t.Errorf("Closed: reason %v, sent %+v; want ErrKilled and no Close frame", closed.Reason, closed.Sent)
		}
		if len(h.terminated()) != 0 {
			t.Errorf("Terminate was called with %v, want no call", h.terminated())
		}
	})
}

// 330: a Shutdown ends many at once.
func TestShutdown_many(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		clients := make([]*client, 200)
		for i := range clients {
			clients[i] = r.dial(puppet())
		}
		start := time.Now()
		done := make(chan error)
		go func() { done <- r.srv.Shutdown(context.Background()) }()
		for _, c := range clients {
			c.wantEnd(closeFrame(1001, ""))
			c.must(c.Close(1001, ""))
		}
		if err := <-done; err != nil || time.Since(start) != 0 {
			t.Errorf("Shutdown: %v after %v, want nil at once", err, time.Since(start))
		}
		if r.srv.Count() != 0 {
			t.Errorf("Count = %d, want 0", r.srv.Count())
		}
	})
}

// Shutdown may be called again, and with a ctx that is done, when nothing is left to end.
func TestShutdown_again(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 20 {
			if err := r.srv.Shutdown(ctx); err != nil {
				t.Fatalf("Shutdown of a server without sockets: %v, want nil", err)
			}
		}
	})
}

// A panic, or a runtime.Goexit, in OnClose is the application's mistake, and holds nothing up.
func TestOnClose_panicAndGoexit(t *testing.T) {
	for name, f := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": goexit} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{OnClose: func(socket.Closed) { f() }})
			c := r.dial(puppet())
			c.pid.Exit(websock.ErrNormal)
			c.wantEnd(closeFrame(1000, ""))
			if err := r.srv.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			if lines := r.logs.of("panic in Config.OnClose", c.pid); name == "panic" && len(lines) != 1 {
				t.Errorf("%d lines about the panic, want one", len(lines))
			}
		})
	}
}
