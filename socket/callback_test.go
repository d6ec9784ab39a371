package socket_test

import (
	"context"
	"fmt"
	"log/slog"
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

// 249, 250, 251.
func TestHandleIn_getsOpcodePayloadAndItsOwnState(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var got []string
		h := &handler{in: func(_ context.Context, msg websock.Message) websock.Result {
			if string(msg.Data) == "dump" {
				return websock.Push(websock.Text(strings.Join(got, ",")))
			}
			got = append(got, msg.String())
			return websock.Push(msg)
		}}
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("OK"))
		c.want(textFrame("OK"))
		c.must(c.Binary([]byte("OK")))
		c.want(binaryFrame("OK"))
		c.must(c.Text("dump"))
		c.want(textFrame(websock.Text("OK").String() + "," + websock.Binary([]byte("OK")).String()))
	})
}

// 252: pings are answered without a ControlHandler, pongs ignored.
func TestControlHandler_isOptional(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(plain{echo()})
		c.must(c.Ping([]byte("OK")))
		c.want(pongFrame("OK"))
		c.must(c.Pong([]byte("OK")))
		c.must(c.Ping(nil))
		c.want(pongFrame(""))
		c.must(c.Text("OK"))
		c.want(textFrame("OK"))
	})
}

// 253, 254, 255.
func TestHandleControl_getsPingsAndPongs(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &controlHandler{control: func(_ context.Context, msg websock.Message) websock.Result {
			kind := map[websock.Opcode]string{websock.OpPing: "ping:", websock.OpPong: "pong:"}[msg.Opcode]
			return websock.Push(websock.Text(kind+string(msg.Data)), websock.Ping(msg.Data))
		}}
		c := serve(t, socket.Config{}).dial(h)
		for _, payload := range []string{"123", "", strings.Repeat("x", 125)} {
			c.must(c.Ping([]byte(payload)))
			c.want(pongFrame(payload), textFrame("ping:"+payload), pingFrame(payload))
			c.must(c.Pong([]byte(payload)))
			c.want(textFrame("pong:"+payload), pingFrame(payload))
		}
		c.wantNothing(time.Millisecond)
	})
}

// A ping between the fragments of a message is handled between them.
func TestHandleControl_betweenFragments(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &controlHandler{}
		h.in = echo().in
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Write(rawclient.Frame{Opcode: rawclient.OpText, Payload: []byte("a")}))
		c.must(c.Ping([]byte("p")))
		c.want(pongFrame("p"))
		c.must(c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpContinuation, Payload: []byte("b")}))
		c.want(textFrame("ab"))
		want := []string{"init", `control ` + websock.Ping([]byte("p")).String(), `in ` + websock.Text("ab").String()}
		if got := h.log(); !slices.Equal(got, want) {
			t.Errorf("callbacks: got %q, want %q", got, want)
		}
	})
}

// 256.
func TestHandleInfo_getsWhatTheSocketSendsToItself(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &handler{
			in: func(ctx context.Context, msg websock.Message) websock.Result {
				actor.Self(ctx).Send("pong")
				return websock.OK()
			},
			info: func(_ context.Context, msg any) websock.Result { return websock.Push(websock.Text(msg.(string))) },
		}
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("ping"))
		c.want(textFrame("pong"))
	})
}

// 257: messages of one sender arrive in the order sent, fastlane included, and as they were sent.
func TestMessages_keepTheOrderOfTheirSender(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		type mine struct{ n int }
		h := &handler{info: func(_ context.Context, msg any) websock.Result {
			return websock.Push(websock.Text(fmt.Sprintf("info %v", msg)))
		}}
		c := serve(t, socket.Config{}).dial(h)
		for i := range 10 {
			c.pid.Send(mine{2 * i})
			c.pid.Send(websock.Text(fmt.Sprint("lane ", 2*i+1)))
		}
		for i := range 10 {
			c.want(textFrame(fmt.Sprintf("info {%d}", 2*i)), textFrame(fmt.Sprint("lane ", 2*i+1)))
		}
		if got := len(h.log()); got != 11 {
			t.Errorf("callbacks: got %d, %q, want Init and 10 HandleInfo: a websock.Message does not pass HandleInfo", got, h.log())
		}
	})
}

// The fastlane writes every kind of message, and holds it to the contract.
func TestMessage_sentToThePID(t *testing.T) {
	bubble(t, "legal", func(t *testing.T) {
		c := serve(t, socket.Config{}).dial(&handler{})
		for _, m := range []websock.Message{websock.Text("t"), websock.Binary([]byte("b")), websock.Ping(nil), websock.Pong([]byte("p"))} {
			c.pid.Send(m)
		}
		c.want(textFrame("t"), binaryFrame("b"), pingFrame(""), pongFrame("p"))
	})
	for name, m := range map[string]websock.Message{
		"text that is not UTF-8": websock.Text("a\xff"),
		"ping of 126 bytes":      websock.Ping(make([]byte, 126)),
		"opcode 8":               {Opcode: 8},
	} {
		bubble(t, name, func(t *testing.T) {
			r := serve(t, socket.Config{})
			h := &handler{}
			c := r.dial(h)
			c.pid.Send(m)
			c.wantEnd(closeFrame(1011, ""))
			if problem := reasonAs[*websock.ResultError]()(c.end().Reason); problem != "" {
				t.Error(problem)
			}
			wantOneLine(t, r, c.pid, slog.LevelError)
		})
	}
}

// A Call is a question to the handler, also when it is a websock.Message.
func TestCall_withAMessageReachesHandleInfo(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &handler{info: func(ctx context.Context, msg any) websock.Result {
			actor.Reply(ctx, "got "+msg.(websock.Message).String())
			return websock.OK()
		}}
		c := serve(t, socket.Config{}).dial(h)
		got, err := actor.Call[string](context.Background(), c.pid, websock.Text("x"))
		if want := "got " + websock.Text("x").String(); got != want || err != nil {
			t.Errorf("Call: got %q, %v, want %q", got, err, want)
		}
		c.wantNothing(time.Second)
	})
}

// 258: what is sent is bytes, from whatever they are made.
func TestPush_bytes(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &handler{init: func(context.Context) websock.Result {
			return websock.Push(websock.TextBytes(slices.Concat([]byte("a"), []byte("bc"))), websock.JSON([]int{1}))
		}}
		serve(t, socket.Config{}).dial(h).want(textFrame("abc"), textFrame("[1]"))
	})
}

// 266: all that Init returns comes after the 101.
func TestInit_runsAfterThe101(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := &handler{init: func(context.Context) websock.Result { return websock.Close(4555, "", first, second) }}
		c := serve(t, socket.Config{}).dial(h) // has read the 101
		c.wantEnd(textFrame("first"), textFrame("second"), closeFrame(4555, ""))
	})
	bubble(t, "the 101 does not wait for it", func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{init: func(context.Context) websock.Result { <-release; return websock.Push(first) }}
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Text("early"))
		c.pid.Send("early, too")
		c.wantNothing(20 * time.Second) // then we ping
		if got := h.log(); !slices.Equal(got, []string{"init"}) {
			t.Errorf("callbacks while Init runs: got %q, want Init alone", got)
		}
		close(release)
		c.want(textFrame("first"))
		synctest.Wait()
		want := []string{"init", "info string early, too", "in " + websock.Text("early").String()}
		if got := h.log(); !slices.Equal(got, want) {
			t.Errorf("callbacks: got %q, want %q", got, want)
		}
	})
}

// Callbacks of one socket never overlap, and a frame that came before a message is handled before it.
func TestCallbacks_neverOverlapAndKeepTheirOrder(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		busy := false // the race detector sees it when two callbacks run at once
		slow := func() {
			if busy {
				t.Error("two callbacks at once")
			}
			busy = true
			time.Sleep(time.Second)
			busy = false
		}
		h := &controlHandler{}
		h.init = func(context.Context) websock.Result { slow(); return websock.OK() }
		h.in = func(context.Context, websock.Message) websock.Result { slow(); return websock.OK() }
		h.info = func(context.Context, any) websock.Result { slow(); return websock.OK() }
		h.control = func(context.Context, websock.Message) websock.Result { slow(); return websock.OK() }
		h.terminate = func(context.Context, error) { slow() }
		c := serve(t, socket.Config{}).dial(h)
		time.Sleep(2 * time.Second) // Init is over
		var want []string
		for i := range 4 {
			c.must(c.Text(fmt.Sprint(i)))
			synctest.Wait() // the reader has handed it over
			c.pid.Send(i)
			want = append(want, "in "+websock.Text(fmt.Sprint(i)).String(), fmt.Sprint("info int ", i))
			time.Sleep(10 * time.Second)
		}
		c.must(c.Ping([]byte("p")))
		synctest.Wait()
		c.pid.Exit(websock.ErrNormal)
		want = append(want, "control "+websock.Ping([]byte("p")).String(), "terminate")
		c.wantEnd(pongFrame("p"), closeFrame(1000, ""))
		c.end()
		if got := h.log()[1:]; !slices.Equal(got, want) {
			t.Errorf("callbacks:\ngot  %q\nwant %q", got, want)
		}
	})
}

// msg.Data belongs to the handler: it stays as it is, and what the handler does to it reaches nobody else.
func TestHandleIn_ownsData(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var kept [][]byte
		h := &handler{in: func(_ context.Context, msg websock.Message) websock.Result {
			kept = append(kept, msg.Data)
			full := msg.Data[:cap(msg.Data)]
			for i := len(msg.Data); i < len(full); i++ {
				full[i] = '!'
			}
			return websock.OK()
		}}
		c := serve(t, socket.Config{}).dial(h)
		var all []rawclient.Frame
		for i := range 20 {
			all = append(all, rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: []byte(strings.Repeat(fmt.Sprint(i%10), 100*i))})
		}
		c.must(c.Write(all...))
		c.must(c.Close(1000, ""))
		c.wantEnd(closeFrame(1000, ""))
		c.end()
		for i, p := range kept {
			if want := strings.Repeat(fmt.Sprint(i%10), 100*i); string(p) != want {
				t.Errorf("message %d has become %q", i, p)
			}
		}
	})
}

// The slice of a Push may be used again when the callback has returned.
func TestPush_sliceMayBeReused(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		slice := make([]websock.Message, 2)
		h := &handler{in: func(_ context.Context, msg websock.Message) websock.Result {
			slice[0], slice[1] = msg, websock.Text("and "+string(msg.Data))
			return websock.Push(slice...)
		}}
		c := serve(t, socket.Config{}).dial(h)
		big := strings.Repeat("x", 20_000) // is written from where it is
		var frames []rawclient.Frame
		var want []string
		for i := range 5 {
			p := fmt.Sprint(i)
			frames = append(frames, rawclient.Frame{Fin: true, Opcode: rawclient.OpText, Payload: []byte(p + big)})
			want = append(want, textFrame(p+big), textFrame("and "+p+big))
		}
		c.must(c.Write(frames...))
		c.want(want...)
	})
}

// Messages may be shared between sockets.
func TestPush_sharedMessage(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{Compression: socket.Compression{On: true, Threshold: -1}})
		shared := websock.Text(strings.Repeat("shared ", 5000))
		h := func() *handler {
			return &handler{info: func(context.Context, any) websock.Result { return websock.Push(shared) }}
		}
		a, b := r.dial(h()), r.dialWith(h(), rawclient.HandshakeOptions{Deflate: true})
		a.pid.Send("push")
		b.pid.Send(shared)
		a.want(textFrame(string(shared.Data)))
		if op, p, err := b.ReadMessage(); op != rawclient.OpText || string(p) != string(shared.Data) || err != nil {
			t.Errorf("the compressed one: got opcode %d, %.20q..., %v", op, p, err)
		}
	})
}

// What a callback pushed leaves within about a millisecond, whatever the next callback does.
func TestPush_leavesThoughTheNextCallbackBlocks(t *testing.T) {
	const block = 10 * time.Second
	blocked := func(ctx context.Context) websock.Result { time.Sleep(block); return websock.OK() }
	push := func(s string) websock.Result { return websock.Push(websock.Text(s)) }
	for _, tt := range []struct {
		name string
		h    func(h *controlHandler)
		send func(c *client)
		want string
	}{
		{"Init, then HandleIn", func(h *controlHandler) {
			h.init = func(context.Context) websock.Result { time.Sleep(time.Second); return push("x") }
			h.in = func(ctx context.Context, _ websock.Message) websock.Result { return blocked(ctx) }
		}, func(c *client) { c.must(c.Text("1")) }, textFrame("x")},
		{"Init, then HandleInfo", func(h *controlHandler) {
			h.init = func(context.Context) websock.Result { time.Sleep(time.Second); return push("x") }
			h.info = func(ctx context.Context, _ any) websock.Result { return blocked(ctx) }
		}, func(c *client) { c.pid.Send(1) }, textFrame("x")},
		{"HandleIn, then HandleIn", func(h *controlHandler) {
			h.in = func(ctx context.Context, msg websock.Message) websock.Result {
				if string(msg.Data) == "1" {
					return push("x")
				}
				return blocked(ctx)
			}
		}, func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte("1")}, rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte("2")}))
		}, textFrame("x")},
		{"HandleIn, then HandleControl with a pong", func(h *controlHandler) {
			h.in = func(context.Context, websock.Message) websock.Result { return push("x") }
			h.control = func(ctx context.Context, _ websock.Message) websock.Result { return blocked(ctx) }
		}, func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: 1}, rawclient.Frame{Fin: true, Opcode: rawclient.OpPong}))
		}, textFrame("x")},
		{"HandleInfo, then HandleInfo", func(h *controlHandler) {
			h.info = func(ctx context.Context, msg any) websock.Result {
				if msg == 1 {
					time.Sleep(time.Second)
					return push("x")
				}
				return blocked(ctx)
			}
		}, func(c *client) { c.pid.Send(1); c.pid.Send(2) }, textFrame("x")},
		{"a message to the PID, then HandleInfo", func(h *controlHandler) {
			h.info = func(ctx context.Context, _ any) websock.Result { return blocked(ctx) }
			h.init = func(context.Context) websock.Result { time.Sleep(time.Second); return websock.OK() }
		}, func(c *client) { c.pid.Send(websock.Text("x")); c.pid.Send(2) }, textFrame("x")},
		{"an answered ping, then HandleIn", func(h *controlHandler) {
			h.in = func(ctx context.Context, _ websock.Message) websock.Result { return blocked(ctx) }
		}, func(c *client) {
			c.must(c.Write(rawclient.Frame{Fin: true, Opcode: rawclient.OpPing, Payload: []byte("x")}, rawclient.Frame{Fin: true, Opcode: 1}))
		}, pongFrame("x")},
		{"HandleIn, then a HandleInfo of its own message", func(h *controlHandler) {
			h.in = func(ctx context.Context, _ websock.Message) websock.Result {
				actor.Self(ctx).Send(1)
				return push("x")
			}
			h.info = func(ctx context.Context, _ any) websock.Result { return blocked(ctx) }
		}, func(c *client) { c.must(c.Text("1")) }, textFrame("x")},
	} {
		for _, control := range []bool{true, false} {
			bubble(t, fmt.Sprintf("%s, ControlHandler %v", tt.name, control), func(t *testing.T) {
				if !control && strings.Contains(tt.name, "HandleControl") {
					return
				}
				h := &controlHandler{}
				tt.h(h)
				var hh websock.Handler = h
				if !control {
					hh = plain{h}
				}
				c := serve(t, socket.Config{}).dial(hh)
				synctest.Wait()
				tt.send(c)
				start := time.Now()
				c.want(tt.want)
				// A second is what the first callback takes where it sleeps.
				if d := time.Since(start) % time.Second; d > 2*time.Millisecond {
					t.Errorf("the push left after %v of the blocking callback, want about 1ms", d)
				}
				if time.Since(start) > 2*time.Second {
					t.Errorf("the push left after %v", time.Since(start))
				}
			})
		}
	}
}

// A ping's pong is on the wire before HandleControl is called.
func TestHandleControl_runsAfterThePong(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		called, release := make(chan struct{}), make(chan struct{})
		h := &controlHandler{control: func(context.Context, websock.Message) websock.Result {
			close(called)
			<-release
			return websock.OK()
		}}
		c := serve(t, socket.Config{}).dial(h)
		c.must(c.Ping([]byte("x")))
		<-called
		start := time.Now()
		c.want(pongFrame("x"))
		if d := time.Since(start); d != 0 {
			t.Errorf("the pong came %v after the call of HandleControl", d)
		}
		close(release)
	})
}

// While a callback runs, one frame is read and waits; the rest stays with the transport.
func TestReader_holdsTheRestBack(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{})
		r.ln.Buffer = 4096
		release := make(chan struct{})
		h := &handler{in: func(context.Context, websock.Message) websock.Result { <-release; return websock.OK() }}
		c := r.dial(h)
		c.conn.SetWriteDeadline(time.Now().Add(time.Second))
		var err error
		n := 0
		for ; err == nil && n < 1000; n++ {
			err = c.Binary(make([]byte, 1024))
		}
		if err == nil {
			t.Errorf("%d frames of 1 KiB were taken from a client whose first is still being handled", n)
		}
		if info, err := r.srv.Info(c.pid); err != nil || info.Mailbox > 1 || info.Read.Binary.Frames > 20 {
			t.Errorf("Info while a callback runs: %+v, %v, want one frame in the mailbox, and what one read of 16 KiB brings", info, err)
		}
		close(release)
	})
}
