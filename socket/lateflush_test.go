package socket_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// stubborn is a connection one of whose Writes does not return when the connection is closed, but when the test says.
type stubborn struct {
	*pipe.Conn
	mu      sync.Mutex
	holds   bool // the next Write does
	release chan struct{}
}

func (c *stubborn) Write(p []byte) (int, error) {
	c.mu.Lock()
	holds := c.holds
	c.holds = false
	c.mu.Unlock()
	if holds {
		<-c.release
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// What was pushed and is flushed while a callback takes its time is waited for by the end: nothing of a socket runs
// after OnClose.
func TestClose_waitsForAFlushOnItsWay(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		h := newSite(t, socket.Config{})
		near, far := pipe.New(0)
		defer near.Close()
		conn := &stubborn{Conn: far, release: make(chan struct{})}
		released := sync.OnceFunc(func() { close(conn.release) })
		defer released()
		upgraded := make(chan actor.PID, 1)
		go func() {
			if _, err := http.ReadRequest(bufio.NewReader(far)); err != nil {
				t.Errorf("ReadRequest: %v", err)
			}
			pid, err := h.srv.Upgrade(&directWriter{conn: conn}, upgradeRequest(), puppet())
			if err != nil {
				t.Errorf("Upgrade: %v", err)
			}
			upgraded <- pid
		}()
		if _, _, err := rawclient.Handshake(near, rawclient.HandshakeOptions{}); err != nil {
			t.Fatal(err)
		}
		pid := <-upgraded
		synctest.Wait()
		finish := make(chan struct{})
		pid.Send(do(func(context.Context) websock.Result { // its push waits for the next, which takes its time
			pid.Send(do(func(context.Context) websock.Result {
				conn.mu.Lock()
				conn.holds = true
				conn.mu.Unlock()
				<-finish
				return websock.OK()
			}))
			return websock.Push(websock.Text("on its way"))
		}))
		time.Sleep(time.Second) // the flush has begun
		pid.Exit(actor.ErrKilled)
		close(finish)
		time.Sleep(time.Second)
		if got := len(h.ends()); got != 0 || h.srv.Count() != 1 {
			t.Errorf("while a flush is on its way: OnClose was called %d times, Count %d; want 0 and 1", got, h.srv.Count())
		}
		released()
		h.wantEnds(1)
	})
}

// upgradeRequest is a legal handshake for the key of rawclient.
func upgradeRequest() *http.Request {
	return &http.Request{
		Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "example.com",
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rawclient.DefaultKey},
		},
	}
}

// What was pushed leaves within about a millisecond also when messages that are compressed follow it, in the same turn
// or in the same Result. What takes its time here is the processor, which no fake clock knows: the test looks at what
// is left to do when the first message comes.
func TestForward_compressionHoldsUpNobody(t *testing.T) {
	const messages = 900 // they compress to less than what is flushed for its size
	slow := func(i int) websock.Message { return websock.Text(fmt.Sprintf("%d", i) + strings.Repeat("x", 15<<10)) }
	for name, send := range map[string]func(pid actor.PID, done chan<- struct{}){
		"forwarded": func(pid actor.PID, done chan<- struct{}) {
			pid.Send(do(func(context.Context) websock.Result { return websock.Push(websock.Text("first")) }))
			for i := range messages {
				pid.Send(slow(i))
			}
			pid.Send(do(func(context.Context) websock.Result { close(done); return websock.OK() }))
		},
		"of one Result": func(pid actor.PID, done chan<- struct{}) {
			pid.Send(do(func(context.Context) websock.Result {
				all := []websock.Message{websock.Text("first")}
				for i := range messages {
					all = append(all, slow(i))
				}
				return websock.Push(all...)
			}))
			pid.Send(do(func(context.Context) websock.Result { close(done); return websock.OK() }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			for try := range 5 { // on a busy machine the turn may be over before the client runs
				if early := firstOf(t, send); early {
					return
				} else if try == 4 {
					t.Errorf("what was pushed first came when the %d messages after it had been compressed, 5 times of 5; want it before", messages)
				}
			}
		})
	}
}

// firstOf tells whether the first message came before the others had been compressed.
func firstOf(t *testing.T, send func(actor.PID, chan<- struct{})) (early bool) {
	t.Helper()
	h := memorySite(t, socket.Config{MailboxLimit: 1 << 16, Compression: socket.Compression{On: true, Level: 9}}, func() websock.Handler { return puppet() })
	c := h.connect(rawclient.HandshakeOptions{Deflate: true})
	// When an answer has come, Init and what followed it are over, and the process rests. A callback that ran on the
	// reader would be given away, and the reader would write what was pushed, whatever the turn does.
	if err := c.Text("ready"); err != nil {
		t.Fatal(err)
	}
	wantMessage(t, c, rawclient.OpText, "ready")
	var pid actor.PID
	for p := range h.srv.Sockets() { // it is among them since before Init
		pid = p
	}
	in, start, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	pid.Send(do(func(context.Context) websock.Result { close(in); <-start; return websock.OK() }))
	<-in
	send(pid, done)
	close(start)
	wantMessage(t, c, rawclient.OpText, "first")
	// The last of what was sent is for HandleInfo, which has pushes leave that wait. It is out of the mailbox when that
	// begins.
	info, err := actor.Inspect(pid)
	if err != nil {
		t.Fatal(err)
	}
	early = info.Mailbox > 0
	go func() { // so that no write blocks
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("after %v the last message has not been handled", patience)
	}
	return early
}
