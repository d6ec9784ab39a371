package socket_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestPush_leavesThoughTheNextCallbackBlocks_again: not only the first time in the life of a socket.
func TestPush_leavesThoughTheNextCallbackBlocks_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serve(t, socket.Config{PingInterval: -1}).dial(puppet())
		for _, text := range []string{"first", "second", "third"} {
			both, release := make(chan struct{}), make(chan struct{})
			c.pid.Send(do(func(context.Context) websock.Result { <-both; return websock.Push(websock.Text(text)) }))
			c.pid.Send(do(func(context.Context) websock.Result { <-release; return websock.OK() }))
			close(both)
			began := time.Now()
			wantMessage(t, c.Client, rawclient.OpText, text)
			if d := time.Since(began); d > 2*time.Millisecond {
				t.Errorf("%s: came after %v, want about a millisecond", text, d)
			}
			close(release)
			synctest.Wait()
		}
	})
}

// TestPingInterval_lateAnswer: a pong that answers the ping before the last is one of the peer's own. It says nothing about
// how long the last has taken.
func TestPingInterval_lateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(controlHandler)
		c := serve(t, socket.Config{PingInterval: 10 * time.Second, IdleTimeout: -1}).dial(h)
		var pings [2][]byte
		for i := range pings {
			op, p, err := c.ReadMessage()
			if err != nil || op != rawclient.OpPing {
				t.Fatalf("got opcode %#x, error %v; want a ping", op, err)
			}
			pings[i] = slices.Clone(p)
		}
		for i, want := range []bool{false, true} { // the answer to the first, and to the last
			time.Sleep(time.Second)
			c.must(c.Pong(pings[i]))
			synctest.Wait()
			if info, err := c.rig.srv.Info(c.pid); err != nil || (info.RTT != 0) != want {
				t.Errorf("after the answer to ping %d of 2: RTT %v, error %v; want an RTT: %t", i+1, info.RTT, err, want)
			}
		}
		if got := len(h.log()); got != 2 { // init, and the first pong
			t.Errorf("callbacks %q, want init and one pong", h.log())
		}
	})
}
