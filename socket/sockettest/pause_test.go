package sockettest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// counted is a handler that pushes frames of 100 bytes, as many as it is told to.
func counted() *handler {
	return &handler{info: func(_ context.Context, msg any) websock.Result {
		var ms []websock.Message
		for i := range msg.(int) {
			ms = append(ms, text(fmt.Sprintf("%098d", i)))
		}
		return websock.Push(ms...)
	}}
}

// A paused client reads nothing, and what the server could not write comes when it reads again.
func TestConn_Pause(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, counted())
		c.PID.Send(text("before"))
		c.Want(text("before"))
		c.Pause(250)
		c.PID.Send(5)
		c.WantNothing(10 * time.Millisecond)
		c.Resume()
		for i := range 5 {
			c.Want(text(fmt.Sprintf("%098d", i)))
		}
		c.Resume() // nothing
		c.Send(websock.Ping(nil))
		c.Want(websock.Pong(nil))
	})
}

// The server's writes block when the window is full, and WriteTimeout ends the socket.
func TestConn_Pause_writeTimeout(t *testing.T) {
	for window, blocks := range map[int]bool{99: true, 100: false} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reason error
				h := counted()
				h.terminate = func(err error) { reason = err }
				c := sockettest.Serve(t, socket.Config{WriteTimeout: time.Second, PingInterval: -1, IdleTimeout: -1}, h)
				c.Pause(window)
				c.PID.Send(1) // one frame of 100 bytes
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := reason != nil; got != blocks {
					t.Errorf("with a window of %d, after a frame of 100 bytes and a minute: the socket has ended: %v (%v), want %v", window, got, reason, blocks)
				}
				if blocks && !errors.Is(reason, websock.ErrRemote) {
					t.Errorf("Terminate: got %v, want ErrRemote", reason)
				}
			})
		})
	}
}

// A client that does not read is a slow consumer: its mailbox fills up.
func TestConn_Pause_overload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(chan socket.Closed, 1)
		cfg := socket.Config{MailboxLimit: 4, OnClose: func(c socket.Closed) { closed <- c }}
		c := sockettest.Serve(t, cfg, counted())
		c.Pause(10)
		sent := 0
		for sent < 100 && c.PID.Send(text(strings.Repeat("x", 100<<10))) {
			sent++
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case got := <-closed:
			if !errors.Is(got.Reason, websock.ErrOverload) {
				t.Errorf("after %d messages: the socket has ended with %v, want ErrOverload", sent, got.Reason)
			}
		default:
			t.Errorf("after %d messages of 100 KiB: the socket lives, want ErrOverload", sent)
		}
	})
}

// No ping is answered while the client is paused, and so the server gives it up.
func TestConn_Pause_pings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{PingInterval: 10 * time.Second, IdleTimeout: time.Minute}, echo())
		c.Pause(0)
		time.Sleep(time.Minute + 3*time.Second) // timeouts are up to 1/32 late, and CloseTimeout is 5 s
		c.WantClose(1002, "")                   // it reads for that
	})
}

// A call that waits reads what it waits for and nothing more: each message read lets the server write one more.
func TestConn_Pause_slowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size, window = 100, 250
		start, written := make(chan struct{}), 0
		c, _ := sockettest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, brw := accept(w, r)
			<-start
			frame := append([]byte{0x82, size - 2}, make([]byte, size-2)...)
			for range 10 {
				if _, err := conn.Write(frame); err != nil {
					t.Errorf("write: %v", err)
				}
				written++
			}
			drain(conn, brw.Reader)
		}), nil)
		c.Pause(window)
		close(start)
		for read := range 10 {
			synctest.Wait()
			if want := min(10, read+window/size); written != want {
				t.Errorf("with %d messages read: the server has written %d, want %d", read, written, want)
			}
			c.Want(websock.Binary(make([]byte, size-2)))
			c.WantNothing(time.Second)
		}
	})
}

func TestConn_Pause_drop(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := counted()
		h.terminate = func(err error) { ended <- err }
		c := sockettest.Serve(t, socket.Config{}, h)
		c.Pause(0)
		c.PID.Send(1)
		c.Drop()
		if err := <-ended; !errors.Is(err, websock.ErrRemote) {
			t.Errorf("Terminate: got %v, want ErrRemote", err)
		}
	})
}

// The end of the test is as quick as always, and orderly.
func TestConn_Pause_end(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		var closed socket.Closed
		passes(t, func(t testing.TB) {
			c := sockettest.Serve(t, socket.Config{OnClose: func(c socket.Closed) { closed = c }}, counted())
			c.Pause(1)
			c.PID.Send(3)
		})
		want := websock.CloseDetail{Code: 1001}
		if closed.Sent == nil || closed.Received == nil || *closed.Sent != want || *closed.Received != want {
			t.Errorf("Close frames: sent %v, received %v; want %v twice", closed.Sent, closed.Received, want)
		}
	})
}
