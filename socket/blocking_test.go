package socket_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// blocked makes n sockets whose HandleInfo blocks for d on each message, and sends them one.
func blocked(r *rig, n int, d time.Duration) (h []*handler) {
	for range n {
		b := &handler{info: func(context.Context, any) websock.Result { time.Sleep(d); return websock.OK() }}
		h = append(h, b)
		r.dial(b).pid.Send("block")
	}
	return h
}

// TestHandleInfo_thatBlocks: a thousand sockets that block take no time from the others, neither from frames nor from
// messages, and their goroutines go away again.
func TestHandleInfo_thatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1})
		n := 1000
		if testing.Short() || raceEnabled() {
			n = 200
		}
		hs := blocked(r, n, 10*time.Second)
		c := r.dial(puppet())
		start := time.Now()
		for i := range 100 {
			wantEcho(t, c.Client, fmt.Sprint("frame ", i))
			c.pid.Send(do(func(context.Context) websock.Result { return websock.Push(websock.Text(fmt.Sprint("message ", i))) }))
			wantMessage(t, c.Client, rawclient.OpText, fmt.Sprint("message ", i))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("another socket waited %v for those that block", d)
		}
		synctest.Wait() // a callback that was begun may not have come to its first line
		began := 0
		for _, h := range hs {
			began += len(h.log()) - 1 // but for Init
		}
		if began != n {
			t.Errorf("%d of %d callbacks have begun", began, n)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
	})
}

// TestCall_chain: each socket calls the next in HandleInfo, a thousand deep, and all block until the last answers.
func TestCall_chain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := serve(t, socket.Config{IdleTimeout: -1, PingInterval: -1})
		n := 1000
		if testing.Short() || raceEnabled() {
			n = 200
		}
		var next actor.PID
		for range n {
			to := next
			next = r.dial(&handler{info: func(ctx context.Context, msg any) websock.Result {
				depth := 0
				if to != (actor.PID{}) {
					d, err := actor.Call[int](ctx, to, msg)
					if err != nil {
						t.Errorf("Call: %v", err)
					}
					depth = d
				}
				actor.Reply(ctx, depth+1)
				return websock.OK()
			}}).pid
		}
		start := time.Now()
		for range 3 {
			depth, err := actor.Call[int](context.Background(), next, "how deep")
			if err != nil || depth != n {
				t.Fatalf("Call: %d, %v; want %d", depth, err, n)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the chain took %v", d)
		}
	})
}

// BenchmarkBlocked is the time from a message to a socket to its arrival at the client, beside sockets that block in
// HandleInfo all the time. p99 must stay within twice its value without them.
func BenchmarkBlocked(b *testing.B) {
	for _, n := range []int{0, 1000} {
		b.Run(fmt.Sprintf("blocked=%d", n), func(b *testing.B) {
			r := serve(b, socket.Config{Logger: quiet, IdleTimeout: -1, PingInterval: -1})
			stop := make(chan struct{})
			for range n {
				h := &handler{}
				h.info = func(ctx context.Context, _ any) websock.Result {
					select {
					case <-stop:
					case <-time.After(2 * time.Second):
						actor.Self(ctx).Send("again")
					}
					return websock.OK()
				}
				r.dial(h).pid.Send("block")
			}
			c := r.dial(puppet())
			tick := do(func(context.Context) websock.Result { return websock.Push(websock.Text("tick")) })
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				c.pid.Send(tick)
				if _, _, err := c.ReadMessage(); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			close(stop)
			slices.Sort(took)
			for _, q := range []struct {
				name string
				of   float64
			}{{"p50-ns", 0.5}, {"p99-ns", 0.99}, {"p99.9-ns", 0.999}} {
				b.ReportMetric(float64(took[int(q.of*float64(len(took)-1))]), q.name)
			}
		})
	}
}
