package socket_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// unwatched is a Config in which nothing but the callbacks takes time.
var unwatched = socket.Config{IdleTimeout: -1, PingInterval: -1}

// TestRelieve_returnsWhileReadingPauses: a callback may return in the moment in which the reader begins to wait for that.
func TestRelieve_returnsWhileReadingPauses(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, unwatched)
		for range 3000 {
			spin := rand.IntN(60_000)
			h := &handler{in: func(_ context.Context, msg websock.Message) websock.Result {
				if string(msg.Data) == "slow" {
					time.Sleep(100 * time.Millisecond) // and the watch looks
					for i := range spin {
						_ = i
					}
				}
				return websock.OK()
			}}
			c := r.dial(h)
			for _, s := range []string{"slow", "waits", "held"} {
				c.must(c.Text(s))
			}
			c.must(c.conn.CloseWrite())
			if closed := c.end(); !errors.Is(closed.Reason, websock.ErrRemote) {
				t.Fatalf("the socket ended with %v, want the loss of its peer", closed.Reason)
			}
		}
	})
}

// TestSlowCallback_short: a callback is relieved though Config.SlowCallback is shorter than what the watch takes for long.
func TestSlowCallback_short(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cfg := unwatched
		cfg.SlowCallback = 20 * time.Millisecond
		r := serve(t, cfg)
		first := r.dial(&handler{})
		c := r.dial(&handler{in: func(context.Context, websock.Message) websock.Result {
			time.Sleep(time.Minute)
			return websock.OK()
		}})
		time.Sleep(time.Second)
		first.must(first.Text("x")) // starts the watch
		time.Sleep(50 * time.Millisecond)
		c.must(c.Text("slow")) // is 50 ms old when that looks
		time.Sleep(time.Second)
		began := time.Now()
		c.must(c.Ping([]byte("a")))
		c.want(pongFrame("a"))
		if d := time.Since(began); d > 0 {
			t.Errorf("the ping was answered after %v, want at once", d)
		}
		time.Sleep(time.Minute) // the callback returns
	})
}

// TestLoss_afterWhatWasRead: what was read before the loss is handled, whatever the callbacks before it push to a peer that
// has gone.
func TestLoss_afterWhatWasRead(t *testing.T) {
	for _, push := range []bool{false, true} {
		for _, before := range []string{"long HandleIn", "short HandleInfo", "short HandleControl"} {
			bubble(t, fmt.Sprintf("%s, push %t", before, push), func(t *testing.T) {
				answer := func(takes time.Duration) websock.Result {
					time.Sleep(takes)
					if push {
						return websock.Push(websock.Text("answer"))
					}
					return websock.OK()
				}
				h := &controlHandler{}
				h.in = func(_ context.Context, msg websock.Message) websock.Result {
					if string(msg.Data) == "slow" {
						return answer(time.Second)
					}
					return answer(0)
				}
				h.info = func(context.Context, any) websock.Result { return answer(5 * time.Millisecond) }
				h.control = func(context.Context, websock.Message) websock.Result { return answer(5 * time.Millisecond) }
				c := serve(t, unwatched).dial(h)
				synctest.Wait()
				switch before {
				case "long HandleIn":
					c.must(c.Text("slow"))
					time.Sleep(500 * time.Millisecond)
				case "short HandleInfo":
					c.pid.Send("x")
				default:
					c.must(c.Ping(nil))
				}
				synctest.Wait()
				c.must(c.Text("last"))
				synctest.Wait()
				c.must(c.conn.CloseWrite())
				closed := c.end()
				if got, want := h.log(), "in "+websock.Text("last").String(); !slices.Contains(got, want) {
					t.Errorf("callbacks %q: %q is not among them, which was read before the loss", got, want)
				}
				if !errors.Is(closed.Reason, websock.ErrRemote) {
					t.Errorf("ended with %v, want websock.ErrRemote", closed.Reason)
				}
			})
		}
	}
}

// TestLoss_afterAnExitThatWaits: a loss gives the callback in progress AbandonAfter also when an Exit waits, and a message that will
// not be handled any more.
func TestLoss_afterAnExitThatWaits(t *testing.T) {
	for _, waits := range []bool{false, true} {
		bubble(t, fmt.Sprintf("a message waits %t", waits), func(t *testing.T) {
			cfg := unwatched
			cfg.ShutdownTimeout, cfg.AbandonAfter = -1, 2*time.Second
			c := serve(t, cfg).dial(&handler{in: func(_ context.Context, msg websock.Message) websock.Result {
				if string(msg.Data) == "slow" {
					time.Sleep(time.Hour)
				}
				return websock.OK()
			}})
			c.must(c.Text("slow"))
			if waits {
				c.must(c.Text("waits"))
			}
			time.Sleep(time.Second)
			c.pid.Exit(actor.ErrShutdown)
			synctest.Wait()
			c.conn.Reset()
			began := time.Now()
			closed := c.end()
			if d := time.Since(began); d != 2*time.Second {
				t.Errorf("ended %v after the loss with %v, want after AbandonAfter, 2s", d, closed.Reason)
			}
			time.Sleep(time.Hour) // the callback returns
		})
	}
}
