package socket_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// A peer that does not read costs nobody but itself, and it for WriteTimeout.
func TestTurn_slowReader(t *testing.T) {
	big := websock.Binary(make([]byte, 32<<10))
	tests := []struct {
		name string
		push func(c *rawclient.Client, pid actor.PID)
	}{
		{"messages from elsewhere", func(_ *rawclient.Client, pid actor.PID) {
			for range 100 {
				if !pid.Send(big) {
					panic("the mailbox takes 1024")
				}
			}
		}},
		{"its own requests", func(c *rawclient.Client, _ actor.PID) {
			for range 100 {
				if c.Binary(big.Data) != nil {
					return
				}
			}
		}},
		{"its own pings", func(c *rawclient.Client, _ actor.PID) {
			for c.Ping(make([]byte, 125)) == nil {
			}
		}},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			hd := echo()
			neighbours := []*handler{echo(), echo(), echo()}
			next := neighbours
			h := memorySite(t, socket.Config{WriteTimeout: 7 * time.Second}, func() websock.Handler {
				if len(next) == 0 {
					return hd
				}
				n := next[0]
				next = next[1:]
				return n
			})
			var others []*rawclient.Client
			for range neighbours {
				others = append(others, h.connect(rawclient.HandshakeOptions{}))
			}
			synctest.Wait()
			var known []actor.PID
			for pid := range h.srv.Sockets() {
				known = append(known, pid)
			}
			c := h.connect(rawclient.HandshakeOptions{})
			synctest.Wait()
			var pid actor.PID
			for p := range h.srv.Sockets() {
				if !slices.Contains(known, p) {
					pid = p
				}
			}
			start := time.Now()
			background(t, func() { test.push(c, pid) })
			for range 6 {
				time.Sleep(time.Second)
				for _, o := range others {
					wantEcho(t, o, "still here")
				}
				if time.Since(start) > 6*time.Second {
					t.Errorf("the neighbours have waited")
				}
			}
			h.wantEnds(1)
			if d := time.Since(start); d < 7*time.Second || d > 7*time.Second+7*time.Second/8 { // over memory it is coarse
				t.Errorf("ended after %v, want WriteTimeout, 7s, or up to an eighth more", d)
			}
			end := h.ends()[0]
			if end.PID != pid || !errors.Is(end.Reason, websock.ErrRemote) || !errors.Is(end.Reason, os.ErrDeadlineExceeded) || end.Sent != nil {
				t.Errorf("Closed: got %v, exit reason %v, Close frame %v; want %v, ErrRemote that wraps os.ErrDeadlineExceeded, none", end.PID, end.Reason, end.Sent, pid)
			}
			if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrRemote) {
				t.Errorf("Terminate: got %v, want ErrRemote once", got)
			}
		})
	}
}

// A flood of messages ends the one socket that it is for, with ErrOverload, and its peer is told if it reads in time.
func TestTurn_flood(t *testing.T) {
	const limit = 100
	big := websock.Binary(make([]byte, 32<<10))
	tests := []struct {
		name   string
		closed bool // the peer reads again within CloseTimeout
		slow   time.Duration
		cfg    socket.Config
		flood  any
	}{
		{name: "for a peer that reads again", closed: true, slow: 4 * time.Second, flood: big},
		{name: "for a peer that never reads", flood: big},
		{name: "for a peer that never reads, WriteTimeout off", cfg: socket.Config{WriteTimeout: -1}, flood: big},
		{name: "for a handler that takes its time", closed: true, flood: "slow"},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			test.cfg.MailboxLimit = limit
			proceed := make(chan struct{})
			hd := &handler{info: func(context.Context, any) websock.Result { <-proceed; return websock.OK() }}
			handlers := []websock.Handler{hd, echo()}
			h := memorySite(t, test.cfg, func() websock.Handler {
				n := handlers[0]
				handlers = handlers[1:]
				return n
			})
			c := h.connect(rawclient.HandshakeOptions{})
			synctest.Wait()
			pid := h.idOf()
			neighbour := h.connect(rawclient.HandshakeOptions{})
			sent := 0
			for pid.Send(test.flood) {
				if sent++; sent > 10*limit {
					t.Fatalf("%d messages were taken, limit %d", sent, limit)
				}
				synctest.Wait()
			}
			start := time.Now()
			for range 100 {
				pid.Send(test.flood) // goes on, and makes no difference
			}
			wantEcho(t, neighbour, "still here")
			time.Sleep(test.slow)
			close(proceed)
			if test.closed {
				frames := 0
				for {
					f, err := c.ReadFrame()
					if err != nil {
						t.Fatalf("after %d frames: got error %v, want Close 1013", frames, err)
					}
					if f.Opcode == rawclient.OpClose {
						if code := codeOf(f.Payload); code != 1013 {
							t.Errorf("got Close %d, want 1013", code)
						}
						break
					}
					frames++
				}
				c.Close(1013, "")
				c.Conn().Close()
			}
			h.wantEnds(1)
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("ended after %v, want within CloseTimeout, 5s", d)
			}
			end := h.ends()[0]
			if end.PID != pid || !errors.Is(end.Reason, websock.ErrOverload) {
				t.Errorf("exit reason: got %v, want ErrOverload", end.Reason)
			}
			if (end.Sent != nil) != test.closed {
				t.Errorf("Close frame: got %v, want one: %v", end.Sent, test.closed)
			}
			if end.Dropped < 1 || end.Dropped > uint64(sent)+101 {
				t.Errorf("dropped: got %d, want some", end.Dropped)
			}
			if got := hd.terminated(); len(got) != 1 || !errors.Is(got[0], websock.ErrOverload) {
				t.Errorf("Terminate: got %v, want ErrOverload once", got)
			}
			wantEcho(t, neighbour, "still here")
			goodbye(t, neighbour)
		})
	}
}

// A callback that blocks holds up its own socket alone, and what its peer sends meanwhile stays with the
// peer.
func TestTurn_blockedCallbackHoldsUpItsSocketAlone(t *testing.T) {
	bubble(t, "backpressure", func(t *testing.T) {
		proceed := make(chan struct{})
		first := true
		h := memorySite(t, socket.Config{PingInterval: -1}, func() websock.Handler {
			if !first {
				return echo()
			}
			first = false
			return &handler{in: func(_ context.Context, m websock.Message) websock.Result {
				<-proceed
				return websock.Push(websock.Text(fmt.Sprint(len(m.Data))))
			}}
		})
		c := h.connect(rawclient.HandshakeOptions{})
		synctest.Wait()
		other := h.connect(rawclient.HandshakeOptions{})
		var taken atomic.Int64
		background(t, func() {
			for range 64 {
				if c.Text(strings.Repeat("x", 32<<10)) != nil {
					return
				}
				taken.Add(32 << 10)
			}
		})
		time.Sleep(30 * time.Second) // no idle timeout, no ping: it is not read
		wantEcho(t, other, "still here")
		// One frame handled, one waiting, one in the read buffer, and the pipe's 64 KB.
		if n := taken.Load(); n > 5*32<<10 {
			t.Errorf("%d bytes were taken from the peer of a blocked socket", n)
		}
		close(proceed)
		for range 64 {
			wantMessage(t, c, rawclient.OpText, "32768")
		}
		goodbye(t, c)
		goodbye(t, other)
	})
}

// A peer that sends frames faster than they are handled keeps neither messages nor the end from its socket, and is
// itself held back by TCP. Not in a bubble: its clock would stand still.
func TestTurn_floodOfFramesDoesNotHideMessages(t *testing.T) {
	for name, newOne := range map[string]func(testing.TB, socket.Config, func() websock.Handler) *site{"memory": memorySite, "tcp": tcpSite} {
		ends := map[string]func(h *site, pid actor.PID){
			"Exit":     func(_ *site, pid actor.PID) { pid.Exit(actor.ErrShutdown) },
			"Shutdown": func(h *site, _ actor.PID) { h.srv.Shutdown(context.Background()) },
			"a Result": func(_ *site, pid actor.PID) { pid.Send("stop") },
		}
		for how, end := range ends {
			t.Run(name+", "+how, func(t *testing.T) {
				h := newOne(t, socket.Config{}, func() websock.Handler {
					return plain{sink{}}
				})
				c := h.connect(rawclient.HandshakeOptions{})
				background(t, func() {
					stream := masked(slices.Repeat([]rawclient.Frame{msg(1, "flood"), msg(9, "")}, 1000)...)
					for err := error(nil); err == nil; {
						err = c.WriteBytes(stream)
					}
				})
				h.waitForCount(t, 1)
				pid := h.idOf()
				until := func(want byte, text string) {
					for {
						op, p, err := c.ReadMessage()
						if err != nil {
							t.Fatalf("got %v, want opcode %d %q", err, want, text)
						}
						if op == want && strings.HasPrefix(string(p), text) {
							return
						}
					}
				}
				pid.Send(websock.Text("fastlane"))
				until(rawclient.OpText, "fastlane")
				pid.Send("info")
				until(rawclient.OpText, "info")
				background(t, func() { end(h, pid) })
				until(rawclient.OpClose, "\x03\xe9")
				c.Conn().Close()
				h.wantEnds(1)
			})
		}
	}
}

// sink takes frames in and answers messages.
type sink struct{ idleHandler }

func (sink) HandleInfo(_ context.Context, m any) websock.Result {
	if m == "stop" {
		return websock.Stop(websock.ErrShutdown)
	}
	return websock.Push(websock.Text(m.(string)))
}
