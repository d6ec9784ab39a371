package sockettest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func text(s string) websock.Message { return websock.Text(s) }

func TestConn_Send(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, echo())
		ms := []websock.Message{text("a"), websock.Binary([]byte{0, 1}), text(strings.Repeat("x", 70_000)), text("")}
		for _, m := range ms {
			c.Send(m)
			c.Want(m)
		}
		c.Send(ms[0], ms[1])
		c.Want(ms[0], ms[1])
		c.Send(websock.Ping([]byte("p")))
		c.Want(websock.Pong([]byte("p")))
	})
}

func TestConn_SendRaw(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, echo())
		frame := []byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58} // RFC 6455 section 5.7
		c.SendRaw(frame[:3])
		c.SendRaw(frame[3:])
		c.Want(text("Hello"))
		c.SendRaw([]byte{0x81, 0x05, 'H', 'e', 'l', 'l', 'o'}) // not masked
		c.WantClose(1002, "")
	})
}

// The server's pings are answered, and do not show.
func TestConn_answersPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{PingInterval: 10 * time.Second, IdleTimeout: 15 * time.Second}, echo())
		c.WantNothing(time.Hour)
		c.Send(text("still here"))
		c.Want(text("still here"))
	})
}

func TestConn_answersPingsOfTheHandler(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		h := first(websock.Ping([]byte("who?")))
		h.control = func(_ context.Context, m websock.Message) websock.Result { return websock.Push(text(m.String())) }
		c := sockettest.Serve(t, socket.Config{}, h)
		c.Want(text(`pong, 4 bytes: "who?"`))
	})
}

func TestConn_IgnorePings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := sockettest.Serve(t, socket.Config{PingInterval: 10 * time.Second, IdleTimeout: time.Minute}, echo())
		c.IgnorePings()
		c.WantClose(1002, "")
		if got := time.Since(start); got < time.Minute || got > time.Minute+time.Minute/32 {
			t.Errorf("the server closed after %v of the bubble's clock, want 1m0s", got)
		}
	})
}

// An idle timeout of a minute takes no real time: the bubble's clock moves by that.
func TestConn_idleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reason error
		h := echo()
		h.terminate = func(err error) { reason = err }
		c := sockettest.Serve(t, socket.Config{IdleTimeout: time.Minute, PingInterval: -1}, h)
		start := time.Now()
		c.WantNothing(time.Minute)
		c.WantClose(1002, "")
		if got := time.Since(start); got < time.Minute || got > time.Minute+time.Minute/32 {
			t.Errorf("the server closed after %v of the bubble's clock, want 1m0s", got)
		}
		synctest.Wait()
		if !errors.Is(reason, websock.ErrTimeout) {
			t.Errorf("Terminate got %v, want ErrTimeout", reason)
		}
	})
}

// The connection has no time limit of its own: a test may last longer than a call may wait.
func TestConn_lasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, echo())
		time.Sleep(2 * sockettest.BubbleLimit)
		c.Send(text("still here"))
		c.Want(text("still here"))
	})
}

// The client answers the server's Close with its own, of the same code.
func TestConn_answersClose(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		closed := make(chan socket.Closed, 1)
		c := sockettest.Serve(t, socket.Config{OnClose: func(cl socket.Closed) { closed <- cl }}, result(websock.Close(4001, "bye")))
		c.WantClose(4001, "bye")
		if cl := <-closed; cl.Received == nil || *cl.Received != (websock.CloseDetail{Code: 4001}) {
			t.Errorf("Closed.Received: got %v, want 4001 without a reason", cl.Received)
		}
		c.Close(1000, "too late") // as in a browser, nothing
		c.Send(text("lost"))
	})
}

// The client closes TCP after the server, also when its own Close could not be understood: inside a frame.
func TestConn_closesAfterServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, end := time.Now(), time.Time{}
		c := sockettest.Serve(t, socket.Config{OnClose: func(socket.Closed) { end = time.Now() }}, echo())
		c.SendRaw([]byte{0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0})
		c.PID.Exit(websock.ErrNormal)
		c.WantClose(1000, "")
		synctest.Wait()
		if end != start {
			t.Errorf("the socket ended at %v, want %v, with the server's Close", end, start)
		}
	})
}

func TestConn_Close(t *testing.T) {
	for _, tt := range []struct {
		code         websock.CloseCode
		reason       string
		echoed       websock.CloseCode
		remoteReason string
	}{
		{1000, "done", 1000, "done"},
		{4005, "", 4005, ""},
		{websock.CloseNoStatus, "", websock.CloseNoStatus, ""},
	} {
		t.Run(fmt.Sprint(uint16(tt.code)), func(t *testing.T) {
			everywhere(t, func(t *testing.T) {
				ended := make(chan error, 1)
				h := echo()
				h.terminate = func(err error) { ended <- err }
				c := sockettest.Serve(t, socket.Config{}, h)
				c.Send(text("last"))
				c.Close(tt.code, tt.reason)
				c.Close(4999, "again")
				c.Want(text("last"))
				c.WantClose(tt.echoed, "")
				got, ok := errors.AsType[*websock.RemoteCloseError](<-ended)
				if want := (websock.RemoteCloseError{Code: tt.code, Reason: tt.remoteReason}); !ok || *got != want {
					t.Errorf("Terminate: got %v, want %v", got, want)
				}
			})
		})
	}
}

func TestConn_Drop(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := echo()
		h.terminate = func(err error) { ended <- err }
		c := sockettest.Serve(t, socket.Config{}, h)
		c.Send(text("a"))
		c.Want(text("a"))
		c.Drop()
		c.Drop()
		c.Close(1000, "") // nothing
		if err := <-ended; !errors.Is(err, websock.ErrRemote) {
			t.Errorf("Terminate: got %v, want ErrRemote", err)
		}
	})
}

// Compression is offered when the server has it on, and both sides use it.
func TestConn_compressed(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		long := text(strings.Repeat("again and ", 1000))
		c := sockettest.Serve(t, socket.Config{Compression: socket.Compression{On: true}}, &handler{
			in: func(ctx context.Context, m websock.Message) websock.Result {
				return websock.Push(m, text(fmt.Sprint(socket.Info(ctx).Compressed)))
			},
		})
		c.Send(long)
		c.Want(long, text("true"))
		p := rawclient.Deflate([]byte("small"))
		c.SendRaw(rawclient.AppendFrame(nil, rawclient.Frame{
			Fin: true, RSV: rawclient.RSV1, Opcode: rawclient.OpText, Masked: true, Payload: p,
		}, rawclient.DefaultMask))
		c.Want(text("small"), text("true"))
	})
}

// A server that does not read blocks Send until it gives up.
func TestConn_Send_blocks(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		release := make(chan struct{})
		h := &handler{in: func(context.Context, websock.Message) websock.Result { <-release; return websock.OK() }}
		failsWith(t, func(t testing.TB) {
			c := sockettest.Serve(t, socket.Config{}, h)
			c.SetLimit(10 * time.Millisecond)
			defer close(release)
			for {
				c.Send(websock.Binary(make([]byte, 1<<20)))
			}
		}, "Send: the peer has not read", "within 10ms")
	})
}
