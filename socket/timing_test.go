package socket_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// taking is a handler with each callback there is, each of which takes another time.
type taking struct{ asked int }

func (taking) Init(ctx context.Context) websock.Result {
	time.Sleep(20 * time.Microsecond)
	socket.Expire(ctx, time.Now().Add(10*time.Minute))
	return websock.OK()
}

func (taking) HandleIn(context.Context, websock.Message) websock.Result {
	time.Sleep(70 * time.Microsecond)
	return websock.OK()
}

func (taking) HandleInfo(_ context.Context, msg any) websock.Result {
	if msg == "panic" {
		panic("as asked")
	}
	time.Sleep(200 * time.Microsecond)
	return websock.OK()
}

func (taking) HandleControl(context.Context, websock.Message) websock.Result {
	time.Sleep(time.Millisecond) // is in the bucket of that bound
	return websock.OK()
}

func (taking) HandleExpiry(context.Context) websock.Result {
	time.Sleep(2 * time.Millisecond)
	return websock.OK()
}

func (taking) HandleLag(context.Context, websock.Lag) websock.Result {
	time.Sleep(20 * time.Millisecond)
	return websock.OK()
}

func (taking) HandleDrain(context.Context, time.Time) websock.Result {
	time.Sleep(200 * time.Millisecond)
	return websock.OK()
}

func (t taking) Describe() any { time.Sleep(time.Second); return t.asked }

func (taking) Terminate(context.Context, error) { time.Sleep(7 * time.Second) }

// timed is Stats.Callbacks, without the callbacks and buckets of which there were none.
func timed(st socket.Stats) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(st.Callbacks)) {
		h := st.Callbacks[name]
		if h.Count() == 0 && h.Sum == 0 {
			continue
		}
		text := name
		for i, n := range h.Counts {
			bound := "more"
			if i < len(h.Bounds) {
				bound = h.Bounds[i].String()
			}
			if n > 0 {
				text += fmt.Sprintf(" %s:%d", bound, n)
			}
		}
		all = append(all, fmt.Sprintf("%s sum %.5g", text, h.Sum))
	}
	return strings.Join(all, "; ")
}

// TestConfig_TimeCallbacks: each callback of a handler by itself, recorded or not, and what is no callback is not there.
func TestConfig_TimeCallbacks(t *testing.T) {
	for _, record := range []int{0, 1} {
		bubble(t, fmt.Sprint("record ", record), func(t *testing.T) {
			r := serve(t, socket.Config{TimeCallbacks: true, Record: record, ExpiryWarning: time.Minute, PingInterval: -1, IdleTimeout: -1, HibernateAfter: -1})
			if st := r.srv.Stats(); len(st.Callbacks) != 8 || timed(st) != "" {
				t.Errorf("at the start: got %v, want eight that are empty", st.Callbacks)
			}
			c := r.dial(&taking{})
			go c.discard()
			check := func(after, want string) {
				t.Helper()
				synctest.Wait()
				if got := timed(r.srv.Stats()); got != want {
					t.Errorf("after %s: got\n%s, want\n%s", after, got, want)
				}
			}
			time.Sleep(time.Second)
			check("Init", "Init 50µs:1 sum 2e-05")
			c.must(c.Text("x"))
			c.must(c.Binary([]byte("x")))
			c.must(c.Ping([]byte("x")))
			time.Sleep(time.Second)
			const before = "HandleControl 1ms:1 sum 0.001; HandleIn 100µs:2 sum 0.00014; "
			check("messages of the peer", before+"Init 50µs:1 sum 2e-05")
			c.pid.Send("to the handler")
			for range 3 { // two are left out
				c.pid.Send(websock.Text("to the client").Deliver(websock.Delivery{Key: "k"}))
			}
			time.Sleep(time.Second)
			check("messages of others", before+"HandleInfo 500µs:1 sum 0.0002; HandleLag 50ms:1 sum 0.02; Init 50µs:1 sum 2e-05")
			if _, err := r.srv.Describe(t.Context(), c.pid); err != nil {
				t.Fatal(err)
			}
			const later = "HandleInfo 500µs:1 sum 0.0002; HandleLag 50ms:1 sum 0.02; Init 50µs:1 sum 2e-05"
			check("Describe", before+later)
			time.Sleep(9 * time.Minute)
			check("the warning", strings.Replace(before, "HandleIn ", "HandleExpiry 5ms:1 sum 0.002; HandleIn ", 1)+later)
			if err := r.srv.Drain(t.Context(), socket.Drain{Timeout: 20 * time.Second}); err != nil {
				t.Error(err)
			}
			all := strings.Replace(before, "HandleIn ", "HandleDrain 500ms:1 sum 0.2; HandleExpiry 5ms:1 sum 0.002; HandleIn ", 1) + later
			check("the end", all+"; Terminate more:1 sum 7")
		})
	}
	bubble(t, "a panic", func(t *testing.T) {
		r := serve(t, socket.Config{TimeCallbacks: true})
		c := r.dial(&taking{})
		c.pid.Send("panic")
		c.must(c.Close(1011, ""))
		c.end()
		if got, want := timed(r.srv.Stats()), "HandleInfo 10µs:1 sum 0; Init 50µs:1 sum 2e-05; Terminate more:1 sum 7"; got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
	})
	bubble(t, "off", func(t *testing.T) {
		r := serve(t, socket.Config{Record: 1})
		c := r.dial(echo())
		c.must(c.Text("x"))
		c.want(textFrame("x"))
		if got := r.srv.Stats().Callbacks; got != nil {
			t.Errorf("got %v, want nil", got)
		}
	})
}

// A call with a message is for the handler; a message that is sent is for the client, and passes no callback.
func TestConfig_TimeCallbacks_messages(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := serve(t, socket.Config{TimeCallbacks: true})
		c := r.dial(echo())
		c.pid.Send(websock.Text("sent"))
		c.want(textFrame("sent"))
		if n := r.srv.Stats().Callbacks["HandleInfo"].Count(); n != 0 {
			t.Errorf("a message for the client counts as %d calls of HandleInfo, want 0", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = actor.Call[any](ctx, c.pid, websock.Text("called")) // nobody answers
		synctest.Wait()
		if n := r.srv.Stats().Callbacks["HandleInfo"].Count(); n != 1 {
			t.Errorf("a call with a message counts as %d calls of HandleInfo, want 1", n)
		}
		c.must(c.Close(1000, ""))
		c.end()
		if got, want := timed(r.srv.Stats()), "HandleInfo 10µs:1 sum 0; Init 10µs:1 sum 0; Terminate 10µs:1 sum 0"; got != want {
			t.Errorf("after the peer's Close: got %s, want %s", got, want)
		}
	})
}
