package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// behind is a socket that keeps what HandleLag was told.
type behind struct{ lags []uint64 }

func (*behind) Init(context.Context) websock.Result                      { return websock.OK() }
func (*behind) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (*behind) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }
func (b *behind) HandleLag(_ context.Context, l websock.Lag) websock.Result {
	b.lags = append(b.lags, l.LeftOut)
	return websock.OK()
}

// serveBehind makes a socket on node 1 of two, a member of the group "all". Its client reads nothing until Resume: what is sent to it
// from now on waits in its mailbox, behind filler.
func serveBehind(t *testing.T, c *registries, h websock.Handler) (conn *sockettest.Conn, filler websock.Message) {
	t.Helper()
	conn = sockettest.Serve(t, socket.Config{System: c.System(1), PingInterval: -1, IdleTimeout: -1, WriteTimeout: -1}, h)
	if err := c.regs[1].Join("all", conn.PID, nil); err != nil {
		t.Fatal(err)
	}
	c.arrived()
	conn.Pause(64)
	filler = websock.Binary(make([]byte, 1000))
	conn.PID.Send(filler)
	c.arrived()
	return conn, filler
}

// ways are how a message gets to a process, and to its group.
var ways = map[string]func(c *registries, from int, to actor.PID, m websock.Message) error{
	"Send": func(c *registries, from int, to actor.PID, m websock.Message) error {
		if !c.At(from, to).Send(m) {
			return fmt.Errorf("Send(%v) = false", m)
		}
		return nil
	},
	"SendWait": func(c *registries, from int, to actor.PID, m websock.Message) error {
		return actor.SendWait(context.Background(), c.At(from, to), m)
	},
	"Broadcast": func(c *registries, from int, _ actor.PID, m websock.Message) error {
		c.regs[from].Broadcast("all", m)
		return nil
	},
}

// What may become of a message while its client is behind is the same whichever node it comes from: of a key the newest is written,
// what is volatile or has expired is not, and the node of the socket counts them. What SendWait sends is never left out.
func TestDelivery_cluster(t *testing.T) {
	key := func(s, k string) websock.Message { return websock.Text(s).Deliver(websock.Delivery{Key: k}) }
	volatile := websock.Text("volatile").Deliver(websock.Delivery{Volatile: true})
	expires := websock.Text("expires").Deliver(websock.Delivery{Expires: time.Second})
	for name, tt := range map[string]struct {
		sent []websock.Message
		want []string
	}{
		"the newest of a key": {
			[]websock.Message{websock.Text("1"), key("a1", "a"), websock.Text("2"), key("b1", "b"), key("a2", "a"), key("a3", "a"), websock.Text("3")},
			[]string{"1", "a3", "2", "b1", "3"}},
		"volatile":          {[]websock.Message{websock.Text("1"), volatile, websock.Text("2")}, []string{"1", "2"}},
		"expires":           {[]websock.Message{websock.Text("1"), expires, websock.Text("2")}, []string{"1", "2"}},
		"a key and expires": {[]websock.Message{expires.Deliver(websock.Delivery{Key: "a", Expires: time.Second}), key("a2", "a")}, []string{"a2"}},
		"the longest key":   {[]websock.Message{key("a1", strings.Repeat("a", 1024)), key("a2", strings.Repeat("a", 1024))}, []string{"a2"}},
		"nothing":           {[]websock.Message{volatile.Deliver(websock.Delivery{}), volatile.Deliver(websock.Delivery{Expires: -1})}, []string{"volatile", "volatile"}},
	} {
		for way, send := range ways {
			for from := range 2 {
				t.Run(fmt.Sprint(name, ", by ", way, " of node ", from), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond}, nil)
						h := &behind{}
						conn, filler := serveBehind(t, c, h)
						var all []string
						for _, m := range tt.sent {
							all = append(all, string(m.Data))
							if err := send(c, from, conn.PID, m); err != nil {
								t.Error(err)
							}
						}
						c.arrived()
						want, leftOut := tt.want, uint64(len(tt.sent)-len(tt.want))
						if way == "SendWait" {
							want, leftOut = all, 0
						}
						conn.Resume()
						conn.Want(filler)
						for _, s := range want {
							conn.Want(websock.Text(s))
						}
						conn.WantNothing(time.Second)
						if info, err := actor.Inspect(conn.PID); err != nil || info.LeftOut != leftOut {
							t.Errorf("%d were left out there, %v; want %d", info.LeftOut, err, leftOut)
						}
						if leftOut > 0 && !slices.Equal(h.lags, []uint64{leftOut}) || leftOut == 0 && h.lags != nil {
							t.Errorf("HandleLag got %d, want it once, with %d; or never for 0", h.lags, leftOut)
						}
					})
				})
			}
		}
	}
}

// Expires begins when a message comes to the mailbox, on the clock of that node: the way there does not count.
func TestDelivery_cluster_expiresBeginsThere(t *testing.T) {
	for name, tt := range map[string]struct {
		reads time.Duration // after it has come
		want  bool
	}{"in time": {900 * time.Millisecond, true}, "too late": {1100 * time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
				conn, filler := serveBehind(t, c, &behind{})
				c.Freeze(1)
				m := websock.Text("m").Deliver(websock.Delivery{Expires: time.Second})
				if !c.At(0, conn.PID).Send(m) {
					t.Fatal("Send = false")
				}
				time.Sleep(3 * time.Second)
				if info, _ := actor.Inspect(conn.PID); info.Mailbox != 0 {
					t.Fatalf("%d messages wait, want it to be on its way still", info.Mailbox)
				}
				c.Thaw(1)
				for range 1000 { // the link sends it again
					synctest.Wait()
					if info, _ := actor.Inspect(conn.PID); info.Mailbox > 0 {
						break
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(tt.reads)
				conn.Resume()
				conn.Want(filler)
				if tt.want {
					conn.Want(m)
				}
				conn.WantNothing(time.Second)
			})
		})
	}
}

// Random messages of all classes from another node, sent and broadcast, over a network that loses and repeats, to a client that
// reads now and then: those without a Delivery arrive all and in order, of each key what arrives gets newer and the newest
// arrives, and what was sent has arrived or is counted.
func TestDelivery_cluster_property(t *testing.T) {
	for seed := range min(seeds(), 20) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			c := newCluster(t, clustertest.Config{Nodes: 2, Seed: seed, Loss: 0.05, Dup: 0.05, Reorder: 0.01, Delay: 3 * time.Millisecond}, nil)
			const messages = 1000
			conn := sockettest.Serve(t, socket.Config{System: c.System(1), PingInterval: -1, IdleTimeout: -1, MailboxLimit: 2 * messages}, &behind{})
			if err := c.regs[1].Join("all", conn.PID, nil); err != nil {
				t.Fatal(err)
			}
			c.arrived()
			var plain []string
			newest := map[string]int{}
			for i := range messages {
				d := websock.Delivery{}
				switch random.IntN(4) {
				case 0:
					d.Key = string(rune('a' + random.IntN(3)))
					newest[d.Key] = i
				case 1:
					d.Volatile = true
				case 2:
					d.Expires = time.Duration(1+random.IntN(50)) * time.Millisecond
				}
				m := websock.Text(fmt.Sprint(d.Key, ":", i)).Deliver(d)
				if d == (websock.Delivery{}) {
					m = websock.Text(fmt.Sprint("plain:", i))
					plain = append(plain, string(m.Data))
				}
				way := []string{"Send", "Broadcast"}[random.IntN(2)]
				if err := ways[way](c, 0, conn.PID, m); err != nil {
					t.Fatalf("seed %d: message %d: %v", seed, i, err)
				}
				if random.IntN(3) == 0 {
					time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
				}
				switch random.IntN(40) {
				case 0:
					conn.Pause(1 + random.IntN(200))
				case 1:
					conn.Resume()
				}
			}
			conn.Resume()
			c.arrived()
			info, err := actor.Inspect(conn.PID)
			if err != nil || info.Mailbox != 0 || info.LeftOut == 0 {
				t.Fatalf("seed %d: %+v, %v; want nothing to wait, and some left out", seed, info, err)
			}
			var gotPlain []string
			got := map[string]int{}
			for range messages - int(info.LeftOut) {
				text := string(conn.Next().Data)
				key, number, _ := strings.Cut(text, ":")
				if key == "plain" {
					gotPlain = append(gotPlain, text)
					continue
				}
				n, _ := strconv.Atoi(number)
				if last, ok := got[key]; ok && n < last && key != "" {
					t.Fatalf("seed %d: %d of key %q after %d", seed, n, key, last)
				}
				got[key] = n
			}
			conn.WantNothing(time.Second)
			if !slices.Equal(gotPlain, plain) {
				t.Errorf("seed %d: %d plain messages have arrived, want all %d in order", seed, len(gotPlain), len(plain))
			}
			for key, n := range newest {
				if got[key] != n {
					t.Errorf("seed %d: the last of key %s is %d, want %d", seed, key, got[key], n)
				}
			}
		})
	}
}

// A key that is too long is refused for other nodes, as what cannot be encoded is: it is not written as if there were none.
func TestDelivery_cluster_keyTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		conn := sockettest.Serve(t, socket.Config{System: c.System(1), PingInterval: -1, IdleTimeout: -1}, &behind{})
		if err := c.regs[1].Join("all", conn.PID, nil); err != nil {
			t.Fatal(err)
		}
		settle()
		m := websock.Text("m").Deliver(websock.Delivery{Key: strings.Repeat("a", 1025)})
		if ways["Send"](c, 0, conn.PID, m) == nil {
			t.Error("Send = true")
		}
		const want = "the Key of its Delivery has 1025 bytes, more than 1024"
		if err := ways["SendWait"](c, 0, conn.PID, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("SendWait: %v, want %q", err, want)
		}
		c.regs[0].Broadcast("all", m)
		conn.WantNothing(time.Second)
		if n := c.Node(0).Stats().Unencodable; n != 3 {
			t.Errorf("%d were refused, want 3", n)
		}
		c.regs[1].Broadcast("all", m) // of its own node
		conn.Want(m)
	})
}
