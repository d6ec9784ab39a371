package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/conn"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// What a connection does as a client, where that differs from a server's, or where a mask could get in the way.

// TestClient_whoEndsTCP: the server ends TCP first (RFC 6455 section 7.1.1). The client waits for that, whoever has closed,
// and not longer than CloseTimeout. Its process does not wait.
func TestClient_whoEndsTCP(t *testing.T) {
	weClose := func(t *testing.T, c *tested) {
		c.pid.Exit(websock.ErrNormal)
		c.wantCloseFrame(t, 1000)
	}
	theyClose := func(t *testing.T, c *tested) {
		c.Close(4000, "bye")
		c.wantCloseFrame(t, 4000)
	}
	breach := func(t *testing.T, c *tested) {
		c.WriteBytes([]byte{0x81, 0x80, 0, 0, 0, 0}) // masked
		c.wantCloseFrame(t, 1002)
	}
	for _, tt := range []struct {
		name    string
		begin   func(t *testing.T, c *tested)
		then    func(c *tested)
		timeout time.Duration
		want    time.Duration // until TCP is closed, after the Close frame
	}{
		{"we close, the server answers and ends TCP", weClose, func(c *tested) { c.Close(1000, ""); c.conn.CloseWrite() }, 0, 0},
		{"we close, the server answers, and ends TCP after a second", weClose, func(c *tested) {
			c.Close(1000, "")
			time.Sleep(time.Second)
			c.conn.CloseWrite()
		}, 0, time.Second},
		{"we close, the server answers, and leaves TCP open", weClose, func(c *tested) { c.Close(1000, "") }, 0, 5 * time.Second},
		{"we close, the server says nothing", weClose, func(*tested) {}, time.Second, time.Second},
		{"we close, the server ends TCP without a word", weClose, func(c *tested) { c.conn.CloseWrite() }, 0, 0},
		{"we close, the server resets", weClose, func(c *tested) { c.conn.Reset() }, 0, 0},
		{"we close, the server sends on", weClose, func(c *tested) {
			for range 1000 {
				time.Sleep(10 * time.Millisecond)
				if c.Text("more") != nil {
					return
				}
			}
		}, 0, 5 * time.Second},
		{"the server closes and ends TCP", theyClose, func(c *tested) { c.conn.CloseWrite() }, 0, 0},
		{"the server closes, and ends TCP after a second", theyClose, func(c *tested) { time.Sleep(time.Second); c.conn.CloseWrite() }, 0, time.Second},
		{"the server closes, and leaves TCP open", theyClose, func(*tested) {}, 0, 5 * time.Second},
		{"the server breaks the protocol, and ends TCP", breach, func(c *tested) { c.conn.CloseWrite() }, 0, 0},
		{"the server breaks the protocol, and leaves TCP open", breach, func(c *tested) { c.Close(1002, "") }, time.Second, time.Second},
	} {
		bubble(t, tt.name, func(t *testing.T) {
			h := puppet()
			c := asClient(t, underTest{h: h, closeTimeout: tt.timeout})
			synctest.Wait()
			tt.begin(t, c)
			start := time.Now()
			synctest.Wait()
			if living(c.pid) || len(h.terminated()) != 1 {
				t.Errorf("the process waits for the end of TCP; Terminate: %v", h.terminated())
			}
			if c.ended() {
				t.Fatal("the client has ended TCP before the server")
			}
			background(t, func() { tt.then(c) })
			<-c.over
			if got := time.Since(start); got != tt.want {
				t.Errorf("TCP was open for %v after the Close, want %v", got, tt.want)
			}
		})
	}
	bubble(t, "CloseTimeout off", func(t *testing.T) {
		c := asClient(t, underTest{h: puppet(), closeTimeout: -1})
		c.pid.Exit(websock.ErrNormal)
		wantClosed(t, c.Client, 1000)
		<-c.over
	})
}

// TestClient_closeCodes: both roles send and take the same codes, also those that RFC 6455 gives to one: 1010 is a client's,
// and 1011 was a server's before erratum 3227.
func TestClient_closeCodes(t *testing.T) {
	codes := []websock.CloseCode{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999}
	inBothRoles(t, func(t *testing.T, open opener) {
		for _, code := range codes {
			bubble(t, fmt.Sprintf("we send %d", code), func(t *testing.T) {
				h := puppet()
				c := open(t, underTest{h: h})
				c.pid.Send(do(func(context.Context) websock.Result { return websock.Close(code, "why") }))
				c.wantClose(t, uint16(code))
				c.Close(uint16(code), "")
			})
			bubble(t, fmt.Sprintf("we get %d", code), func(t *testing.T) {
				h := puppet()
				c := open(t, underTest{h: h})
				c.Close(uint16(code), "why")
				c.wantEnd(t, uint16(code))
				if got, want := fmt.Sprint(h.terminated()), fmt.Sprint([]error{&websock.RemoteCloseError{Code: code, Reason: "why"}}); got != want {
					t.Errorf("Terminate: got %s, want %s", got, want)
				}
			})
		}
	})
}

// TestClient_exitReasons: the Close frame of an exit reason is that of the server's side.
func TestClient_exitReasons(t *testing.T) {
	inBothRoles(t, func(t *testing.T, open opener) {
		for _, tt := range []struct {
			reason error
			code   uint16
		}{
			{websock.ErrNormal, 1000}, {websock.ErrShutdown, 1001}, {errors.New("boom"), 1011}, {websock.ErrRestart, 1012},
			{websock.ErrOverload, 1013}, {websock.ErrTimeout, 1002}, {&websock.CloseError{Code: 4001, Reason: "kicked"}, 4001},
		} {
			bubble(t, tt.reason.Error(), func(t *testing.T) {
				c := open(t, underTest{h: puppet()})
				c.pid.Exit(tt.reason)
				c.wantClose(t, tt.code)
			})
		}
	})
}

// TestClient_loses: an end without a Close frame is a loss.
func TestClient_loses(t *testing.T) {
	for name, end := range map[string]func(c *tested){
		"the server ends TCP":                 func(c *tested) { c.conn.CloseWrite() },
		"the server resets":                   func(c *tested) { c.conn.Reset() },
		"the server ends TCP inside a header": func(c *tested) { c.WriteBytes([]byte{0x81}); c.conn.CloseWrite() },
		"the server ends TCP inside a frame":  func(c *tested) { c.WriteBytes([]byte("\x81\x05hel")); c.conn.CloseWrite() },
	} {
		bubble(t, name, func(t *testing.T) {
			h := puppet()
			c := asClient(t, underTest{h: h})
			end(c)
			<-c.over
			if got := h.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrRemote) || !c.end.Lost {
				t.Errorf("Terminate: got %v, lost: %t; want one ErrRemote, true", got, c.end.Lost)
			}
		})
	}
}

// TestClient_sleeps: a silent client gives its reader up as a socket of a server does, and wakes for what comes: messages,
// the end, its own pings and the answers to them.
func TestClient_sleeps(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		c := asClient(t, underTest{h: echo()})
		asleep := func() bool {
			synctest.Wait()
			return c.info().Asleep
		}
		if asleep() {
			t.Fatal("it sleeps at once: the test shows nothing")
		}
		time.Sleep(20 * time.Second)
		if !asleep() {
			t.Error("after 20 s of silence it does not sleep, want it after 15")
		}
		for range 3 {
			c.Text("wake")
			wantMessage(t, c.Client, rawclient.OpText, "wake")
		}
		time.Sleep(20 * time.Second)
		op, p, err := c.ReadMessage() // after 25 s
		if op != rawclient.OpPing || err != nil {
			t.Fatalf("after 25 s of silence: got opcode %d, %v, want a ping", op, err)
		}
		c.Pong(p)
		if !asleep() {
			t.Error("a pong has woken it for good, want that it sleeps on")
		}
		c.Close(1000, "")
		c.wantEnd(t, 1000)
		if !slices.Equal([]int64{4, 1}, []int64{c.end.Counts.Out.Text.Frames + c.end.Counts.Out.Ping.Frames, c.end.Counts.In.Pong.Frames}) || c.end.RTT <= 0 {
			t.Errorf("counts: got %+v, RTT %v; want 3 texts, a ping and a pong, and an RTT", c.end.Counts, c.end.RTT)
		}
	})
	bubble(t, "it closes while it sleeps", func(t *testing.T) {
		c := asClient(t, underTest{h: puppet()})
		time.Sleep(20 * time.Second)
		c.pid.Exit(websock.ErrNormal)
		c.wantClose(t, 1000)
		c.Close(1000, "")
		synctest.Wait()
		if c.ended() {
			t.Error("the client has ended TCP before the server")
		}
		c.conn.CloseWrite()
		if _, err := c.ReadFrame(); err != io.EOF {
			t.Errorf("after the end of TCP from the server: %v, want io.EOF", err)
		}
		<-c.over
	})
	bubble(t, "it closes while it sleeps, and the server says nothing", func(t *testing.T) {
		c := asClient(t, underTest{h: puppet()})
		time.Sleep(20 * time.Second)
		start := time.Now()
		c.pid.Exit(websock.ErrNormal)
		<-c.over
		if got := time.Since(start); !coarse(got, 5*time.Second) {
			t.Errorf("TCP was open for %v, want CloseTimeout, 5s", got)
		}
	})
}

// TestClient_silentServer: IdleTimeout and MessageTimeout are for a server, too.
func TestClient_silentServer(t *testing.T) {
	for name, tt := range map[string]struct {
		sends  []byte
		change func(*conn.Options)
	}{
		"no byte":        {nil, func(o *conn.Options) { o.MessageTimeout = -1 }},
		"half a message": {[]byte("\x81\x05hel"), func(o *conn.Options) { o.IdleTimeout = -1 }},
	} {
		bubble(t, name, func(t *testing.T) {
			h := puppet()
			c := asClient(t, underTest{h: h, change: tt.change})
			start := time.Now()
			c.WriteBytes(tt.sends)
			for {
				op, p, err := c.ReadMessage()
				if err != nil {
					t.Fatalf("got %v, want a Close", err)
				}
				if op == rawclient.OpClose {
					if codeOf(p) != 1002 {
						t.Errorf("got Close %d, want 1002", codeOf(p))
					}
					break
				}
			}
			if got := time.Since(start); !coarse(got, time.Minute) {
				t.Errorf("ended after %v, want a minute", got)
			}
			<-c.over
			if got := h.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrTimeout) {
				t.Errorf("Terminate: got %v, want one ErrTimeout", got)
			}
		})
	}
}
