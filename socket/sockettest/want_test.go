package sockettest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func TestConn_Next(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, first(text("a"), websock.Ping([]byte("p")), websock.Pong(nil), text("b")))
		for _, want := range []websock.Message{text("a"), websock.Pong(nil), text("b")} {
			if got := c.Next(); !got.Equal(want) {
				t.Errorf("Next: got %v, want %v", got, want)
			}
		}
	})
}

func TestConn_Want_pings(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		one, two := websock.Ping([]byte("1")), websock.Ping([]byte("2"))
		c := sockettest.Serve(t, socket.Config{}, first(one, text("a"), one, two, text("b"), one))
		c.Want(text("a"), two, text("b"))
	})
}

func TestConn_WantNothing(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, echo())
		c.WantNothing(0)
		c.WantNothing(time.Millisecond)
	})
}

// What comes at the very end of the time does not count, what comes before does.
func TestConn_WantNothing_until(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &handler{
			init: func(ctx context.Context) websock.Result {
				actor.SendAfter(ctx, time.Second, tick{})
				return websock.OK()
			},
			info: func(context.Context, any) websock.Result { return websock.Push(text("tick")) },
		}
		passes(t, func(t testing.TB) {
			c := sockettest.Serve(t, socket.Config{}, h)
			c.WantNothing(time.Second)
			c.Want(text("tick"))
		})
		failsWith(t, func(t testing.TB) {
			sockettest.Serve(t, socket.Config{}, h).WantNothing(time.Second + 1)
		}, `WantNothing: got text, 4 bytes: "tick", want nothing for 1.000000001s`)
	})
}

// What waits already counts, however short the time is.
func TestConn_WantNothing_waits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			c := sockettest.Serve(t, socket.Config{}, first(text("a")))
			synctest.Wait()
			c.WantNothing(0)
		}, `WantNothing: got text, 1 bytes: "a", want nothing for 0s`)
	})
}

func TestConn_WantClose(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		sockettest.Serve(t, socket.Config{}, result(websock.Close(4001, "bye"))).WantClose(4001, "bye")
		c := sockettest.Serve(t, socket.Config{}, result(websock.Stop(errors.New("no"))))
		c.WantClose(1011, "")
		c.WantNothing(time.Millisecond)
	})
}

func TestConn_WantDropped(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		c := sockettest.Serve(t, socket.Config{}, first(text("a")))
		c.Want(text("a"))
		c.PID.Exit(actor.ErrKilled)
		c.WantDropped()
		c.WantDropped()
		c.Send(text("lost"))
	})
}

// Every way to fail, and what it says.
func TestConn_failures(t *testing.T) {
	killed := func(ctx context.Context) websock.Result {
		actor.Self(ctx).Exit(actor.ErrKilled)
		return websock.OK()
	}
	for name, tt := range map[string]struct {
		h    *handler
		f    func(c *sockettest.Conn)
		want string
	}{
		"Next, Close": {
			result(websock.Close(4001, "bye")), func(c *sockettest.Conn) { c.Next() },
			`Next: got Close frame 4001 with close reason "bye", want a message`,
		},
		"Next, dropped": {
			&handler{init: killed}, func(c *sockettest.Conn) { c.Next() },
			"Next: got the end of the connection without a Close frame: EOF, want a message",
		},
		"Next, after Close": {
			result(websock.Close(1000, "")), func(c *sockettest.Conn) { c.WantClose(1000, ""); c.Next() },
			"Next: got the end of the connection, after the peer's Close frame, want a message",
		},
		"Next, Drop": {
			echo(), func(c *sockettest.Conn) { c.Drop(); c.Next() },
			"Next: got nothing: the test has called Drop, want a message",
		},
		"Next, nothing": {
			echo(), func(c *sockettest.Conn) { c.SetLimit(time.Millisecond); c.Next() },
			"Next: got nothing within 1ms, want a message",
		},
		"Want, another": {
			first(text("a")), func(c *sockettest.Conn) { c.Want(text("b")) },
			`Want: got text, 1 bytes: "a", want text, 1 bytes: "b"`,
		},
		"Want, the second": {
			first(text("a"), websock.Binary(nil)), func(c *sockettest.Conn) { c.Want(text("a"), text("b")) },
			`Want, message 2 of 2: got binary, 0 bytes: "", want text, 1 bytes: "b"`,
		},
		"Want, ping": {
			first(text("a")), func(c *sockettest.Conn) { c.Want(websock.Ping(nil)) },
			`Want: got text, 1 bytes: "a", want ping, 0 bytes: ""`,
		},
		"Want, Close": {
			result(websock.Stop(websock.ErrNormal)), func(c *sockettest.Conn) { c.Want(text("a")) },
			`Want: got Close frame 1000 Normal Closure with close reason "", want text, 1 bytes: "a"`,
		},
		"Want, nothing": {
			echo(), func(c *sockettest.Conn) { c.SetLimit(time.Millisecond); c.Want(text("a")) },
			`Want: got nothing within 1ms, want text, 1 bytes: "a"`,
		},
		"WantNothing, arrives": {
			first(text("a")), func(c *sockettest.Conn) { c.WantNothing(time.Hour) },
			`WantNothing: got text, 1 bytes: "a", want nothing for 1h0m0s`,
		},
		"WantNothing, waits": {
			first(text("a"), text("b")), func(c *sockettest.Conn) { c.Want(text("a")); c.WantNothing(time.Hour) },
			`WantNothing: got text, 1 bytes: "b", want nothing for 1h0m0s`,
		},
		"WantNothing, Close": {
			result(websock.Stop(websock.ErrNormal)), func(c *sockettest.Conn) { c.WantNothing(time.Hour) },
			`WantNothing: got Close frame 1000 Normal Closure with close reason "", want nothing for 1h0m0s`,
		},
		"WantNothing, dropped": {
			&handler{init: killed}, func(c *sockettest.Conn) { c.WantNothing(time.Hour) },
			"WantNothing: got the end of the connection without a Close frame: EOF, want nothing for 1h0m0s",
		},
		"WantClose, another code": {
			result(websock.Close(4001, "bye")), func(c *sockettest.Conn) { c.WantClose(4002, "bye") },
			`WantClose: got Close frame 4001 with close reason "bye", want Close frame 4002 with close reason "bye"`,
		},
		"WantClose, another reason": {
			result(websock.Close(4001, "bye")), func(c *sockettest.Conn) { c.WantClose(4001, "") },
			`WantClose: got Close frame 4001 with close reason "bye", want Close frame 4001 with close reason ""`,
		},
		"WantClose, not empty": {
			result(websock.Close(4001, "")), func(c *sockettest.Conn) { c.WantClose(websock.CloseNoStatus, "") },
			`WantClose: got Close frame 4001 with close reason "", want an empty Close frame`,
		},
		"WantClose, message": {
			first(text("a")), func(c *sockettest.Conn) { c.WantClose(1000, "") },
			`WantClose: got text, 1 bytes: "a", want Close frame 1000 Normal Closure with close reason ""`,
		},
		"WantClose, dropped": {
			&handler{init: killed}, func(c *sockettest.Conn) { c.WantClose(1000, "") },
			`WantClose: got the end of the connection without a Close frame: EOF, want Close frame 1000 Normal Closure with close reason ""`,
		},
		"WantClose, nothing": {
			echo(), func(c *sockettest.Conn) { c.SetLimit(time.Millisecond); c.WantClose(1000, "") },
			`WantClose: got nothing within 1ms, want Close frame 1000 Normal Closure with close reason ""`,
		},
		"WantDropped, message": {
			first(text("a")), func(c *sockettest.Conn) { c.WantDropped() },
			`WantDropped: got text, 1 bytes: "a", want the end of the connection without a Close frame`,
		},
		"WantDropped, Close": {
			result(websock.Close(4001, "bye")), func(c *sockettest.Conn) { c.WantDropped() },
			`WantDropped: got Close frame 4001 with close reason "bye", want the end of the connection without a Close frame`,
		},
		"WantDropped, after Close": {
			result(websock.Close(4001, "bye")), func(c *sockettest.Conn) { c.WantClose(4001, "bye"); c.WantDropped() },
			"WantDropped: got the end of the connection, after the peer's Close frame, want the end of the connection without a Close frame",
		},
		"WantDropped, Drop": {
			echo(), func(c *sockettest.Conn) { c.Drop(); c.WantDropped() },
			"WantDropped: got nothing: the test has called Drop, want the end of the connection without a Close frame",
		},
		"WantDropped, nothing": {
			echo(), func(c *sockettest.Conn) { c.SetLimit(time.Millisecond); c.WantDropped() },
			"WantDropped: got nothing within 1ms, want the end of the connection without a Close frame",
		},
		"Send after Drop": {
			echo(), func(c *sockettest.Conn) { c.Drop(); c.Send(text("a")) }, "Send after Drop",
		},
		"SendRaw after Drop": {
			echo(), func(c *sockettest.Conn) { c.Drop(); c.SendRaw([]byte("a")) }, "SendRaw after Drop",
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T) {
				fake := run(t, func(t testing.TB) { tt.f(sockettest.Serve(t, socket.Config{}, tt.h)) })
				if len(fake.failures) != 1 || fake.failures[0] != "sockettest: "+tt.want {
					t.Errorf("failures: got  %q\nwant %q", fake.failures, "sockettest: "+tt.want)
				}
			})
		})
	}
}

// In a bubble, a call that waits for what never comes ends although the sockets' pings never let the bubble rest.
func TestConn_Next_inABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		failsWith(t, func(t testing.TB) {
			sockettest.Serve(t, socket.Config{PingInterval: time.Minute, IdleTimeout: time.Hour}, echo()).Next()
		}, "Next: got nothing within 168h0m0s")
		if got := time.Since(start); got != sockettest.BubbleLimit {
			t.Errorf("it took %v of the bubble's clock, want %v", got, sockettest.BubbleLimit)
		}
	})
	passes(t, func(t testing.TB) {
		if got := sockettest.Serve(t, socket.Config{}, echo()).Limit(); got != sockettest.RealLimit {
			t.Errorf("outside of a bubble: limit %v, want %v", got, sockettest.RealLimit)
		}
	})
}
