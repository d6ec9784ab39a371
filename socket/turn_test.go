package socket_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// goroutine identifies the calling goroutine.
func goroutine() string {
	var b [64]byte
	fields := bytes.Fields(b[:runtime.Stack(b[:], false)]) // "goroutine 7 [running]:"
	return string(fields[1])
}

// idOf is the PID of the one socket of a site.
func (h *site) idOf() actor.PID {
	h.t.Helper()
	var pids []actor.PID
	for pid := range h.srv.Sockets() {
		pids = append(pids, pid)
	}
	if len(pids) != 1 {
		h.t.Fatalf("Sockets: got %v, want one", pids)
	}
	return pids[0]
}

// Handler code never runs on the goroutine of a sender, whatever is sent: neither its identity shows up in a callback, nor
// does a callback that needs a lock of the sender hold up the sending.
func TestTurn_neverRunsOnTheSender(t *testing.T) {
	tests := []struct {
		name string
		send func(pid actor.PID) bool
		ends bool
	}{
		{"a message", func(pid actor.PID) bool { return pid.Send("x") }, false},
		{"a message for the client", func(pid actor.PID) bool { return pid.Send(websock.Text("x")) }, false},
		{"many", func(pid actor.PID) bool {
			for range 1000 {
				if !pid.Send("x") {
					return false
				}
			}
			return true
		}, false},
		{"Exit", func(pid actor.PID) bool { return pid.Exit(actor.ErrNormal) }, true},
		{"Exit with a Close frame", func(pid actor.PID) bool { return pid.Exit(&websock.CloseError{Code: 4000}) }, true},
		{"kill", func(pid actor.PID) bool { return pid.Exit(actor.ErrKilled) }, true},
		{"overload", func(pid actor.PID) bool {
			for range 5000 {
				pid.Send("x")
			}
			return true
		}, true},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			var lock sync.Mutex
			var mu sync.Mutex
			seen := map[string]bool{}
			see := func() {
				mu.Lock()
				seen[goroutine()] = true
				mu.Unlock()
				lock.Lock() // the sender holds it
				defer lock.Unlock()
			}
			hd := &handler{
				info:      func(context.Context, any) websock.Result { see(); return websock.Push(websock.Text("y")) },
				terminate: func(context.Context, error) { see() },
			}
			h := memorySite(t, socket.Config{OnClose: func(socket.Closed) { see() }}, func() websock.Handler { return hd })
			c := h.connect(rawclient.HandshakeOptions{})
			background(t, func() {
				for err := error(nil); err == nil; {
					_, err = c.ReadFrame()
				}
			})
			synctest.Wait()
			pid := h.idOf()
			for range 10 {
				lock.Lock()
				sent := test.send(pid)
				lock.Unlock()
				if !sent {
					t.Errorf("sent: got false, want true")
				}
				synctest.Wait()
				if test.ends {
					break
				}
			}
			c.Conn().Close()
			h.wantEnds(1)
			mu.Lock()
			defer mu.Unlock()
			if seen[goroutine()] {
				t.Errorf("handler code has run on the goroutine of the sender")
			}
		})
	}
	bubble(t, "a Call", func(t *testing.T) {
		var ran string
		hd := &handler{info: func(ctx context.Context, _ any) websock.Result {
			ran = goroutine()
			actor.Reply(ctx, "answer")
			return websock.OK()
		}}
		h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
		h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		if answer, err := actor.Call[string](t.Context(), h.idOf(), "question"); err != nil || answer != "answer" {
			t.Fatalf("Call: got %q, %v", answer, err)
		}
		if ran == goroutine() {
			t.Error("the callback has run on the goroutine of the caller")
		}
	})
}

// What a callback pushed leaves within a millisecond, whatever runs after it.
func TestTurn_pushesLeaveWhileTheNextCallbackRuns(t *testing.T) {
	tests := []struct {
		name    string
		handler func(proceed chan struct{}) *handler
		frames  []rawclient.Frame
	}{
		{"frame after frame", func(proceed chan struct{}) *handler {
			return &handler{in: func(_ context.Context, m websock.Message) websock.Result {
				if string(m.Data) == "block" {
					<-proceed
				}
				return websock.Push(m)
			}}
		}, []rawclient.Frame{msg(1, "first"), msg(1, "block")}},
		{"message after frame", func(proceed chan struct{}) *handler {
			return &handler{in: func(ctx context.Context, m websock.Message) websock.Result {
				actor.Self(ctx).Send("block")
				return websock.Push(m)
			}, info: func(context.Context, any) websock.Result {
				<-proceed
				return websock.Push(websock.Text("block"))
			}}
		}, []rawclient.Frame{msg(1, "first")}},
		{"message after Init", func(proceed chan struct{}) *handler {
			return &handler{init: func(ctx context.Context) websock.Result {
				actor.Self(ctx).Send("block")
				return websock.Push(websock.Text("first"))
			}, info: func(context.Context, any) websock.Result {
				<-proceed
				return websock.Push(websock.Text("block"))
			}}
		}, nil},
		{"message after message", func(proceed chan struct{}) *handler {
			return &handler{init: func(ctx context.Context) websock.Result {
				actor.Self(ctx).Send(websock.Text("first"))
				actor.Self(ctx).Send("block")
				return websock.OK()
			}, info: func(context.Context, any) websock.Result {
				<-proceed
				return websock.Push(websock.Text("block"))
			}}
		}, nil},
		{"frame after message after frame", func(proceed chan struct{}) *handler {
			return &handler{in: func(ctx context.Context, m websock.Message) websock.Result {
				if string(m.Data) == "block" {
					<-proceed
					return websock.Push(m)
				}
				actor.Self(ctx).Send(m)
				return websock.OK()
			}}
		}, []rawclient.Frame{msg(1, "first"), msg(1, "block")}},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			proceed := make(chan struct{})
			h := memorySite(t, socket.Config{}, func() websock.Handler { return test.handler(proceed) })
			start := time.Now()
			c := h.connect(rawclient.HandshakeOptions{})
			c.Write(test.frames...)
			wantMessage(t, c, rawclient.OpText, "first")
			if d := time.Since(start); d > time.Millisecond {
				t.Errorf("the push left after %v, want within 1ms", d)
			}
			close(proceed)
			wantMessage(t, c, rawclient.OpText, "block")
			goodbye(t, c)
		})
	}
}

// A reader gives a long turn away: what never ends in the mailbox keeps the socket neither from reading nor from seeing
// that its peer closes.
func TestTurn_floodDoesNotHideThePeer(t *testing.T) {
	// Each message brings the next, so the mailbox is never empty.
	endless := func(tokens int) *handler {
		var counted int
		return &handler{
			in: func(ctx context.Context, m websock.Message) websock.Result {
				if string(m.Data) != "start" {
					return websock.Push(m)
				}
				for range tokens {
					actor.Self(ctx).Send("again")
				}
				return websock.OK()
			},
			info: func(ctx context.Context, msg any) websock.Result {
				counted++
				actor.Self(ctx).Send(msg)
				if counted%1000 == 0 {
					return websock.Push(websock.Binary([]byte("tick")))
				}
				return websock.OK()
			},
		}
	}
	for _, tokens := range []int{1, 100, 1000} {
		ends := []struct {
			name string
			do   func(t *testing.T, h *site, c *rawclient.Client)
		}{
			{"Close", func(t *testing.T, h *site, c *rawclient.Client) { c.Close(1000, "") }},
			{"Close after frames", func(t *testing.T, h *site, c *rawclient.Client) {
				c.Write(slices.Insert(slices.Repeat([]rawclient.Frame{msg(1, "x"), msg(9, "y")}, 20), 40, msg(8, "\x03\xe8"))...)
			}},
			{"TCP gone", func(t *testing.T, h *site, c *rawclient.Client) { c.Conn().Close() }},
			{"a breach", func(t *testing.T, h *site, c *rawclient.Client) { c.WriteBytes([]byte{0x81, 0x00}) }},
			{"Shutdown", func(t *testing.T, h *site, c *rawclient.Client) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				if err := h.srv.Shutdown(ctx); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			}},
		}
		for _, end := range ends {
			// Not in a bubble: its clock would stand still, because the process never rests.
			t.Run(fmt.Sprintf("%d messages, %s", tokens, end.name), func(t *testing.T) {
				// The peer's message and its frames do not count, and the tokens stay below the limit.
				h := memorySite(t, socket.Config{MailboxLimit: 1500}, func() websock.Handler { return plain{endless(tokens)} })
				c := h.connect(rawclient.HandshakeOptions{})
				c.Text("start")
				echoed := make(chan struct{})
				background(t, func() { // reads on, so that nothing blocks
					for {
						op, p, err := c.ReadMessage()
						if op == rawclient.OpText && string(p) == "answer me" {
							close(echoed)
						}
						if op == rawclient.OpClose {
							c.Conn().Close()
						}
						if err != nil {
							return
						}
					}
				})
				c.Text("answer me")
				<-echoed
				end.do(t, h, c)
				h.wantEnds(1)
			})
		}
	}
}

// Frames that arrive together are answered together.
func TestTurn_answersPipelinedFramesInFewWrites(t *testing.T) {
	tests := []struct {
		name   string
		n      int
		frame  rawclient.Frame
		answer byte
		most   int
	}{
		{"500 texts", 500, msg(1, "hello"), rawclient.OpText, 6},
		{"500 pings", 500, msg(9, "hello"), rawclient.OpPong, 6},
		{"5000 texts", 5000, msg(1, "hello"), rawclient.OpText, 10},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := newSite(t, socket.Config{})
			ln := &countingListener{Listener: pipe.NewListener()}
			h.on(ln, h.sockets(func() websock.Handler { return plain{echo()} }))
			h.dial = func() (net.Conn, error) { return ln.Listener.Dial(context.Background()) }
			c := h.connect(rawclient.HandshakeOptions{})
			synctest.Wait()
			before := ln.writes.Load()
			background(t, func() { c.WriteBytes(masked(slices.Repeat([]rawclient.Frame{test.frame}, test.n)...)) })
			for range test.n {
				wantMessage(t, c, test.answer, "hello")
			}
			if n := ln.writes.Load() - before; n > int64(test.most) {
				t.Errorf("%d frames were answered in %d writes, want at most %d", test.n, n, test.most)
			}
			goodbye(t, c)
		})
	}
}

// countingListener counts what the server writes. Its connections are no *pipe.Conn, so they show that nothing depends
// on that.
type countingListener struct {
	*pipe.Listener
	writes atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &countingConn{c, l}, nil
}

type countingConn struct {
	net.Conn
	ln *countingListener
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.ln.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *countingConn) CloseWrite() error { return c.Conn.(*pipe.Conn).CloseWrite() }
