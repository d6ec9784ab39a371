package socket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
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

// said is a handler that tells its peer what comes by HandleInfo, as text.
func said(init func(ctx context.Context), in func(ctx context.Context, text string)) *handler {
	return &handler{
		init: func(ctx context.Context) websock.Result {
			if init != nil {
				init(ctx)
			}
			return websock.OK()
		},
		in: func(ctx context.Context, msg websock.Message) websock.Result {
			if in != nil {
				in(ctx, string(msg.Data))
			}
			return websock.OK()
		},
		info: func(_ context.Context, msg any) websock.Result {
			switch m := msg.(type) {
			case actor.Down:
				return websock.Push(websock.Text(fmt.Sprintf("down %v child %v", m.Reason, m.Ref == actor.MonitorRef{})))
			case actor.Done[int]:
				return websock.Push(websock.Text(fmt.Sprintf("done %v %v", m.Value, m.Err)))
			}
			return websock.Push(websock.Text(fmt.Sprint(msg)))
		},
	}
}

// ender is an actor that ends with the error that it is sent.
func ender() actor.Actor {
	return receiver{receive: func(_ context.Context, msg any) error { return msg.(error) }}
}

// 351: a socket monitors a process from Init, and is told of every end, normal ones too.
func TestProcess_monitors(t *testing.T) {
	for _, reason := range []error{actor.ErrNormal, errAbnormal} {
		bubble(t, reason.Error(), func(t *testing.T) {
			r := serve(t, socket.Config{})
			target := spawn(t, r.sys, ender())
			c := r.dial(said(func(ctx context.Context) { actor.Monitor(ctx, target) }, nil))
			synctest.Wait()
			target.Send(reason)
			c.want(textFrame(fmt.Sprintf("down %v child false", reason)))
		})
	}
	bubble(t, "of another socket", func(t *testing.T) {
		r := serve(t, socket.Config{})
		other := r.dial(puppet())
		c := r.dial(said(func(ctx context.Context) { actor.Monitor(ctx, other.pid) }, nil))
		synctest.Wait()
		other.pid.Exit(actor.ErrKilled)
		c.want(textFrame("down killed child false"))
	})
}

// 352: a child's end reaches the socket, which carries on.
func TestProcess_children(t *testing.T) {
	for _, reason := range []error{actor.ErrNormal, errAbnormal} {
		bubble(t, reason.Error(), func(t *testing.T) {
			h := said(nil, func(ctx context.Context, text string) {
				child, err := actor.Spawn(ctx, ender(), actor.SpawnOptions{})
				if err != nil {
					t.Error(err)
				}
				child.Send(reason)
			})
			c := serve(t, socket.Config{}).dial(h)
			for range 2 {
				c.must(c.Text("spawn"))
				c.want(textFrame(fmt.Sprintf("down %v child true", reason)))
			}
		})
	}
}

// 353: timers come as messages and die with the socket.
func TestProcess_timers(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1})
		h := said(func(ctx context.Context) {
			actor.SendAfter(ctx, time.Second, "once")
			actor.SendAfter(ctx, 1500*time.Millisecond, websock.Text("to the peer"))
			actor.SendEvery(ctx, 2*time.Second, "tick")
			actor.SendAfter(ctx, time.Hour, "never")
		}, nil)
		c := r.dial(h)
		start := time.Now()
		c.want(textFrame("once"), textFrame("to the peer"), textFrame("tick"), textFrame("tick"))
		if d := time.Since(start); d != 4*time.Second {
			t.Errorf("two ticks of 2s came after %v", d)
		}
		c.pid.Exit(websock.ErrNormal)
		c.wantEnd(closeFrame(1000, ""))
		c.end()
		calls := len(h.log())
		time.Sleep(2 * time.Hour)
		if got := h.log(); len(got) != calls {
			t.Errorf("timers after the end: %q", got[calls:])
		}
	})
}

// 354: what a name registry is built on runs at every end, once.
func TestProcess_onExit(t *testing.T) {
	for name, end := range map[string]func(c *client){
		"normal close": func(c *client) { c.must(c.Close(1000, "")) },
		"crash":        func(c *client) { c.pid.Send(do(func(context.Context) websock.Result { panic("boom") })) },
		"kill":         func(c *client) { c.pid.Exit(actor.ErrKilled) },
		"TCP drop":     func(c *client) { c.conn.Close() },
		"Shutdown":     func(c *client) { go c.rig.srv.Shutdown(context.Background()) },
	} {
		bubble(t, name, func(t *testing.T) {
			c := serve(t, socket.Config{}).dial(puppet())
			n := 0
			if _, ok := c.pid.OnExit(func(error) { n++ }); !ok {
				t.Fatal("OnExit says that there is no such process")
			}
			end(c)
			c.end()
			synctest.Wait()
			if n != 1 {
				t.Errorf("the exit hook ran %d times, want once", n)
			}
			if _, ok := c.pid.OnExit(func(error) {}); ok {
				t.Error("OnExit of a dead socket says true")
			}
		})
	}
}

// 355, 356: a Call blocks its socket alone; that it fails is an error for the handler to judge, not a crash.
func TestProcess_calls(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1, IdleTimeout: -1})
		silent := spawn(t, r.sys, receiver{receive: func(ctx context.Context, _ any) error { actor.Caller(ctx); return nil }})
		h := &handler{in: func(ctx context.Context, _ websock.Message) websock.Result {
			_, err := actor.Call[string](ctx, silent, "?")
			return websock.Stop(err)
		}}
		c, other := r.dial(h), r.dial(echo())
		start := time.Now()
		c.must(c.Text("call"))
		c.must(c.Ping(nil)) // is answered meanwhile
		synctest.Wait()
		other.must(other.Text("OK"))
		other.want(textFrame("OK"))
		if time.Since(start) != 0 {
			t.Errorf("the other socket waited %v", time.Since(start))
		}
		c.wantEnd(pongFrame(""), closeFrame(1011, ""))
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("the Call took %v, want the default 5s", d)
		}
		if problem := reasonIs(context.DeadlineExceeded)(c.end().Reason); problem != "" {
			t.Error(problem)
		}
		other.must(other.Text("still"))
		other.want(textFrame("still"))
	})
}

// A Call to a socket arrives in HandleInfo; it may be answered at once, later, or not.
func TestProcess_isCalled(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := puppet()
		var later actor.From
		h.info = func(ctx context.Context, msg any) websock.Result {
			switch msg {
			case "now":
				actor.Reply(ctx, "at once")
			case "later":
				later, _ = actor.Caller(ctx)
				actor.SendAfter(ctx, time.Second, "reply")
			case "reply":
				later.Reply("a second later")
			case "stop":
				return websock.Close(4000, "")
			}
			return websock.OK()
		}
		c := serve(t, socket.Config{}).dial(h)
		ctx := context.Background()
		for req, want := range map[string]string{"now": "at once", "later": "a second later"} {
			if got, err := actor.Call[string](ctx, c.pid, req); got != want || err != nil {
				t.Errorf("Call %q: got %q, %v, want %q", req, got, err, want)
			}
		}
		if _, err := actor.Call[string](ctx, c.pid, "nothing"); !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("Call without an answer: %v, want ErrNoReply", err)
		}
		if _, err := actor.Call[string](ctx, c.pid, "stop"); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call that ends the socket: %v, want ErrNoProcess", err)
		}
		c.wantEnd(closeFrame(4000, ""))
		c.end()
		if _, err := actor.Call[string](ctx, c.pid, "now"); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call after the end: %v, want ErrNoProcess", err)
		}
	})
}

// A peer that has its handler start an Async for each message starts Config.MaxAsync of them, and is told of the rest.
func TestProcess_asyncsAreBounded(t *testing.T) {
	for _, tt := range []struct{ max, want int }{{0, 128}, {3, 3}, {-1, 1000}} {
		bubble(t, fmt.Sprint(tt.max), func(t *testing.T) {
			r := serve(t, socket.Config{MaxAsync: tt.max})
			running := 0
			released := make(chan struct{})
			release := sync.OnceFunc(func() { close(released) })
			defer release()
			h := &handler{
				in: func(ctx context.Context, msg websock.Message) websock.Result {
					actor.Async(ctx, func(context.Context) (int, error) { <-released; return 0, nil })
					return websock.OK()
				},
				info: func(_ context.Context, msg any) websock.Result {
					if d := msg.(actor.Done[int]); errors.Is(d.Err, websock.ErrOverload) {
						return websock.Push(websock.Text("too much"))
					}
					running++
					return websock.OK()
				},
			}
			c := r.dial(h)
			const flood = 1000
			go func() {
				for i := range flood {
					if err := c.Text("work"); err != nil {
						t.Errorf("message %d: %v", i, err)
						return
					}
				}
			}()
			for range flood - tt.want {
				c.want(textFrame("too much"))
			}
			c.wantNothing(time.Second)
			release()
			synctest.Wait()
			if running != tt.want {
				t.Errorf("of %d Asyncs %d have run, want %d", flood, running, tt.want)
			}
			c.must(c.Close(1000, ""))
			c.wantEnd(closeFrame(1000, ""))
		})
	}
}

// Async: the result comes as a message.
func TestProcess_async(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		cancelled := make(chan error, 1)
		h := said(nil, func(ctx context.Context, text string) {
			actor.Async(ctx, func(ctx context.Context) (int, error) {
				if text == "wait" {
					<-ctx.Done()
					cancelled <- context.Cause(ctx)
				}
				return 42, nil
			})
		})
		c := r.dial(h)
		c.must(c.Text("go"))
		c.want(textFrame("done 42 <nil>"))
		c.must(c.Text("wait"))
		synctest.Wait()
		c.must(c.Close(1000, ""))
		c.wantEnd(closeFrame(1000, ""))
		if problem := remoteClose(1000, "")(<-cancelled); problem != "" {
			t.Errorf("the cause of an Async's ctx at the end of its socket: %s", problem)
		}
	})
}

// 357: a kill is EOF for the peer, and ErrKilled for monitors.
func TestProcess_kill(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(puppet())
		watcher := r.dial(said(func(ctx context.Context) { actor.Monitor(ctx, c.pid) }, nil))
		synctest.Wait()
		if !c.pid.Exit(actor.ErrKilled) || c.pid.Alive() || c.pid.Send(1) || c.pid.Exit(actor.ErrKilled) {
			t.Error("the process is not dead when Exit(ErrKilled) returns")
		}
		c.wantEnd()
		watcher.want(textFrame("down killed child false"))
	})
}

// 359: what is sent as soon as Upgrade has returned, is handled after Init.
func TestProcess_messagesDuringTheUpgrade(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := said(func(context.Context) { time.Sleep(time.Second) }, nil)
		c := serve(t, socket.Config{}).dial(h)
		c.pid.Send("early")
		c.pid.Send(websock.Text("too"))
		c.want(textFrame("early"), textFrame("too"))
		if got := h.log(); !slices.Equal(got, []string{"init", "info string early"}) {
			t.Errorf("callbacks: got %q", got)
		}
	})
}

// 360: a peer that does not read holds up nobody else, and not the sender.
func TestProcess_slowReader(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1})
		r.ln.Buffer = 1024
		slow, other := r.dial(puppet()), r.dial(puppet())
		synctest.Wait()
		start := time.Now()
		for i := range 20 {
			slow.pid.Send(websock.Binary(make([]byte, 2000)))
			other.pid.Send(websock.Text(fmt.Sprint(i)))
			other.want(textFrame(fmt.Sprint(i)))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the sender and the other socket were held up for %v", d)
		}
		closed := slow.end()
		if d := time.Since(start); d < 10*time.Second || d > 10*time.Second+10*time.Second/8 { // over memory it is coarse
			t.Errorf("the slow reader was ended after %v, want WriteTimeout, 10s, or up to an eighth more", d)
		}
		if problem := reasonIs(websock.ErrRemote)(closed.Reason); problem != "" {
			t.Error(problem)
		}
	})
}

// 361, as ours: the bound is a number of messages.
func TestProcess_mailboxLimit(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c, other := r.dial(puppet()), r.dial(echo())
		release := blockUntil(c, websock.OK())
		for i := range 1025 {
			if got := c.pid.Send(i); got != (i < 1024) {
				t.Fatalf("Send number %d: %v", i+1, got)
			}
		}
		release()
		c.wantEnd(closeFrame(1013, ""))
		if closed := c.end(); closed.Dropped != 1025 {
			t.Errorf("Closed.Dropped = %d, want 1025", closed.Dropped)
		}
		other.must(other.Text("OK"))
		other.want(textFrame("OK"))
	})
}

// A PID outlives its socket as text, and never comes to mean another one.
func TestProcess_pidAsText(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		c := r.dial(puppet())
		text := c.pid.String()
		pid, err := r.sys.ParsePID(text)
		if err != nil || pid != c.pid || !pid.Send(websock.Text("found")) {
			t.Errorf("ParsePID(%q) = %v, %v", text, pid, err)
		}
		c.want(textFrame("found"))
		pid.Exit(websock.ErrNormal)
		c.wantEnd(closeFrame(1000, ""))
		c.end()
		for range 10 {
			r.dial(puppet())
		}
		if again, err := r.sys.ParsePID(text); err != nil || again.Send("x") || again.Alive() {
			t.Errorf("the PID of a dead socket, read again: %v, %v, Send says that it lives", again, err)
		}
		if _, err := r.srv.Info(pid); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Info of a dead socket: %v, want ErrNoProcess", err)
		}
	})
}

// What Info, in a callback and from outside, and Sockets say.
func TestInfo(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		var inside socket.ConnInfo
		h := puppet()
		h.init = func(ctx context.Context) websock.Result {
			actor.SetLabel(ctx, "user 7")
			return websock.OK()
		}
		h.in = func(ctx context.Context, _ websock.Message) websock.Result {
			derived, cancel := context.WithCancel(ctx)
			defer cancel()
			inside = socket.Info(derived)
			return websock.Push(websock.Text("12345"))
		}
		start := time.Now()
		c := r.dial(h)
		time.Sleep(time.Second)
		c.must(c.Text("1234"))
		c.want(textFrame("12345"))
		synctest.Wait()
		release := blockUntil(c, websock.OK())
		c.pid.Send("waits")
		out, err := r.srv.Info(c.pid)
		if err != nil {
			t.Fatal(err)
		}
		want := socket.ConnInfo{PID: c.pid, Server: "sockets", Label: "user 7", RemoteAddr: c.conn.LocalAddr(), Since: start,
			LastRead: start.Add(time.Second), LastWrite: start.Add(time.Second), Mailbox: 1, Lag: websock.Lag{Messages: 1}}
		want.Read.Text = socket.FrameCount{Frames: 1, Bytes: 4}
		want.Written.Text = socket.FrameCount{Frames: 1, Bytes: 5}
		if out.RemoteAddr.String() != want.RemoteAddr.String() {
			t.Errorf("Info: RemoteAddr %v, want %v", out.RemoteAddr, want.RemoteAddr)
		}
		out.RemoteAddr = want.RemoteAddr
		if !out.Since.Equal(want.Since) || !out.LastRead.Equal(want.LastRead) || !out.LastWrite.Equal(want.LastWrite) {
			t.Errorf("Info: Since %v, LastRead %v, LastWrite %v; want %v, %v, %v", out.Since, out.LastRead, out.LastWrite, want.Since, want.LastRead, want.LastWrite)
		}
		out.Since, out.LastRead, out.LastWrite = want.Since, want.LastRead, want.LastWrite
		if out != want {
			t.Errorf("Info:\ngot  %+v\nwant %+v", out, want)
		}
		if inside.PID != c.pid || inside.Label != "user 7" || inside.Read.Text.Frames != 1 || inside.Written.Text.Frames != 0 {
			t.Errorf("Info in HandleIn: %+v", inside)
		}
		release()
	})
	bubble(t, "with a ctx of no socket", func(t *testing.T) {
		r := serve(t, socket.Config{})
		for name, f := range map[string]func(){
			"Background": func() { socket.Info(context.Background()) },
			"an actor": func() {
				_, err := actor.Call[error](context.Background(), spawn(t, r.sys, receiver{receive: func(ctx context.Context, _ any) error { socket.Info(ctx); return nil }}), "x")
				panic(err)
			},
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("Info with the ctx of %s did not panic", name)
					}
				}()
				f()
			}()
		}
	})
}

// 309, 316 as ours: each frame is counted once, in its direction, as it was on the wire.
func TestClosed_counts(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(echo())
		c.must(c.Text("1234"))
		c.must(c.Binary([]byte("12345")))
		c.must(c.Ping([]byte("123456")))
		c.must(c.Pong([]byte("1234567")))
		c.want(textFrame("1234"), binaryFrame("12345"), pongFrame("123456"))
		c.must(c.Close(1000, ""))
		c.wantEnd(closeFrame(1000, ""))
		closed := c.end()
		n := func(frames, bytes int64) socket.FrameCount { return socket.FrameCount{Frames: frames, Bytes: bytes} }
		read := socket.Counts{Text: n(1, 4), Binary: n(1, 5), Ping: n(1, 6), Pong: n(1, 7), Close: n(1, 2)}
		written := socket.Counts{Text: n(1, 4), Binary: n(1, 5), Pong: n(1, 6), Close: n(1, 2)}
		if closed.Read != read || closed.Written != written {
			t.Errorf("counts:\nread    %+v\nwant    %+v\nwritten %+v\nwant    %+v", closed.Read, read, closed.Written, written)
		}
	})
}

// No handler code runs on a sender's goroutine, a process at rest included.
func TestSend_runsNoHandlerCode(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var stack string
		c := serve(t, socket.Config{}).dial(puppet())
		synctest.Wait()
		start := time.Now()
		c.pid.Send(do(func(context.Context) websock.Result {
			time.Sleep(time.Second)
			stack = string(debug.Stack())
			return websock.Push(websock.Text("done"))
		}))
		if d := time.Since(start); d != 0 {
			t.Errorf("Send has waited %v for the callback", d)
		}
		c.want(textFrame("done"))
		if strings.Contains(stack, "PID.Send") {
			t.Errorf("the callback ran on the sender's goroutine:\n%s", stack)
		}
	})
}

// A slow peer at whom two goroutines write, here the reader and a worker, lets a bubble come to rest.
func TestSlowPeer_inABubble(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{PingInterval: -1})
		r.ln.Buffer = 1024
		h := puppet()
		h.in = func(context.Context, websock.Message) websock.Result {
			return websock.Push(websock.Binary(make([]byte, 2000)))
		}
		c := r.dial(h)
		synctest.Wait()
		c.must(c.Text("push")) // the reader writes it
		synctest.Wait()
		c.pid.Send(websock.Text("behind")) // a worker writes it
		time.Sleep(5 * time.Second)
		c.want(bytesOf(0x82, string(make([]byte, 2000))), textFrame("behind"))
	})
}

// A message that overflows the mailbox of a socket whose 101 is not out yet, by somebody who found it in Processes.
func TestOverflow_beforeTheSocketIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSite(t, socket.Config{MailboxLimit: 1, PingInterval: -1})
		hijack, found := make(chan struct{}), make(chan struct{})
		h.overMemory(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			go func() {
				defer close(found)
				synctest.Wait()
				for p := range h.sys.Processes() {
					for range 5 {
						p.PID.Send("too much")
					}
				}
				close(hijack)
			}()
			h.srv.Upgrade(&slowHijack{ResponseWriter: w, wait: hijack}, r, echo())
		}))
		c := h.connect(rawclient.HandshakeOptions{})
		<-found
		wantClosed(t, c, 1013)
		h.wantEnds(1)
	})
}

type slowHijack struct {
	http.ResponseWriter
	wait chan struct{}
}

func (w *slowHijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	<-w.wait
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
