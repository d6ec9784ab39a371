package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// replica is a Channel that keeps what it is told, as text.
type replica struct {
	journal[string]
	peers    map[string]*cluster.Peer // by node; by mu
	sender   *cluster.Sender
	snapshot func(p *cluster.Peer) iter.Seq[[]byte]
	receive  func(p *cluster.Peer, rec []byte)
	down     func(p *cluster.Peer)
}

func (r *replica) Up(p *cluster.Peer) iter.Seq[[]byte] {
	r.add("up " + p.Node())
	r.mu.Lock()
	if r.peers == nil {
		r.peers = make(map[string]*cluster.Peer)
	}
	r.peers[p.Node()] = p
	r.mu.Unlock()
	if r.snapshot == nil {
		return nil
	}
	return r.snapshot(p)
}

func (r *replica) Receive(p *cluster.Peer, rec []byte) {
	if r.receive != nil {
		r.receive(p, rec)
	}
	r.add(p.Node() + ": " + string(rec))
}

func (r *replica) Down(p *cluster.Peer) {
	if r.down != nil {
		r.down(p)
	}
	r.add("down " + p.Node())
}

// peer is that of a node in its last session.
func (r *replica) peer(node string) *cluster.Peer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[node]
}

// records are those of a snapshot.
func records(text ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, s := range text {
			if !yield([]byte(s)) {
				return
			}
		}
	}
}

// replicas connects nodes with a replica each. change sees each before its node runs.
func replicas(t *testing.T, cfg clustertest.Config, change func(i int, r *replica)) (*clustertest.Cluster, []*replica) {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 2
	}
	rs := make([]*replica, cfg.Nodes)
	cfg.Start = func(i int, n *cluster.Node) {
		rs[i] = &replica{}
		if change != nil {
			change(i, rs[i])
		}
		var err error
		if rs[i].sender, err = n.Channel("test", rs[i]); err != nil {
			t.Fatal(err)
		}
	}
	c := clustertest.New(t, cfg)
	wait(time.Second)
	return c, rs
}

func (r *replica) want(t *testing.T, want ...string) {
	t.Helper()
	if got := r.all(); !slices.Equal(got, want) {
		t.Errorf("the channel was told %q, want %q", got, want)
	}
}

// Snapshot, then what is sent, in order, and in order with the messages of processes.
func TestChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in actor.PID // gets what the channel gets, too, so its mailbox has the order of both
		c, rs := replicas(t, clustertest.Config{Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond}, func(i int, r *replica) {
			r.snapshot = func(*cluster.Peer) iter.Seq[[]byte] { return records(fmt.Sprint("snapshot of ", i), "its end") }
			r.receive = func(_ *cluster.Peer, rec []byte) { in.Send(string(rec)) }
		})
		mixed := newInbox(t, c.System(1))
		in = mixed.pid
		away := c.At(0, in)
		p := rs[0].peer("n1")
		for i := range 3 {
			rs[0].sender.Send(p, []byte(fmt.Sprint("diff ", i)))
			if !away.Send(fmt.Sprint("message ", i)) {
				t.Fatalf("Send(%d) = false", i)
			}
			if rec := []byte(fmt.Sprint("offer ", i)); !rs[0].sender.Offer(p, rec) {
				t.Fatalf("Offer(%q) = false", rec)
			}
		}
		wait(5 * time.Second)
		rs[1].want(t, "up n0", "n0: snapshot of 0", "n0: its end",
			"n0: diff 0", "n0: offer 0", "n0: diff 1", "n0: offer 1", "n0: diff 2", "n0: offer 2")
		if want := []any{
			"diff 0", "message 0", "offer 0", "diff 1", "message 1", "offer 1", "diff 2", "message 2", "offer 2",
		}; !slices.Equal(mixed.all(), want) {
			t.Errorf("with messages between them came %v, want %v", mixed.all(), want)
		}
		rs[0].want(t, "up n1", "n1: snapshot of 1", "n1: its end")
		if p.Node() != "n1" || p.Boot() != fmt.Sprintf("%016x", boot(c.System(1))) {
			t.Errorf("the Peer is %q in boot %q, want n1 in its boot", p.Node(), p.Boot())
		}
	})
}

// Whoever sends as soon as Up has given it the Peer is after the snapshot: the receiver would take the diff for older than that.
func TestChannel_snapshotIsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rs := replicas(t, clustertest.Config{Seed: 1}, func(i int, r *replica) {
			if i == 1 {
				return
			}
			r.snapshot = func(p *cluster.Peer) iter.Seq[[]byte] {
				r.sender.Send(p, []byte("diff within Up"))
				return records("snapshot")
			}
		})
		wait(time.Second)
		rs[1].want(t, "up n0", "n0: snapshot", "n0: diff within Up")
	})
}

// A node that goes and comes back is forgotten and told anew; its old Peer reaches nobody.
func TestChannel_nextSession(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(c *clustertest.Cluster)
	}{
		{"cut off", func(c *clustertest.Cluster) { c.Cut(0, 1); wait(10 * time.Second); c.Heal(0, 1) }},
		{"restarted", func(c *clustertest.Cluster) { c.Restart(0) }},
		{"killed", func(c *clustertest.Cluster) { c.Kill(0); wait(10 * time.Second); c.Restart(0) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, rs := replicas(t, clustertest.Config{Seed: 1}, nil)
				old := rs[0]
				p := old.peer("n1")
				old.sender.Send(p, []byte("before"))
				synctest.Wait()
				tt.fault(c)
				old.sender.Send(p, []byte("by the old Peer"))
				if old.sender.Offer(p, []byte("by the old Peer")) {
					t.Error("Offer to the Peer of a session that has ended = true")
				}
				c.Connect()
				synctest.Wait()
				rs[0].sender.Send(rs[0].peer("n1"), []byte("after"))
				wait(time.Second)
				rs[1].want(t, "up n0", "n0: before", "down n0", "up n0", "n0: after")
			})
		})
	}
}

// Whoever is told that a node is lost finds it forgotten by the channels: whoever gets the Down of a process may take its name.
func TestChannel_forgetsBeforeAnybodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order journal[string]
		c, _ := replicas(t, clustertest.Config{Seed: 1}, func(i int, r *replica) {
			if i == 1 {
				return
			}
			r.down = func(*cluster.Peer) {
				time.Sleep(time.Second) // whatever is told before this is in the journal by then
				order.add("channel")
			}
		})
		leave := make(chan struct{})
		defer close(leave)
		there := spawn(t, c.System(1), &behaviour{receive: func(context.Context, any) error { <-leave; return nil }}, actor.SpawnOptions{})
		pid := spawn(t, c.System(0), &behaviour{
			init: func(ctx context.Context) error {
				c.Node(0).Watch(actor.Self(ctx))
				actor.Monitor(ctx, c.At(0, there))
				return nil
			},
			receive: func(_ context.Context, msg any) error {
				if _, ok := msg.(cluster.NodeUp); !ok {
					order.add(fmt.Sprintf("%T", msg))
				}
				return nil
			},
		}, actor.SpawnOptions{})
		go func() {
			_, err := ask(c.At(0, there), "x")
			order.add(fmt.Sprint("Call: ", errors.Is(err, actor.ErrNodeDown)))
		}()
		wait(time.Second)
		c.Kill(1)
		wait(20 * time.Second)
		got := order.all()
		if i := slices.Index(got, "Call: true"); i > 1 { // a Call and a monitor have no order
			got = slices.Insert(slices.Delete(got, i, i+1), 1, "Call: true")
		}
		if want := []string{"channel", "Call: true", "actor.Down", "cluster.NodeDown"}; !slices.Equal(got, want) {
			t.Errorf("told in the order %q, want %q", got, want)
		}
		pid.Exit(actor.ErrShutdown)
	})
}

// A snapshot that is much longer than what a node may have on its way arrives, and ends no session.
func TestChannel_longSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		_, rs := replicas(t, clustertest.Config{
			Seed: 1, Loss: 0.02, Delay: time.Millisecond,
			Node: func(int, *actor.System) cluster.Config {
				return cluster.Config{Window: 128 << 10, MaxMessage: 16 << 10}
			},
		}, func(i int, r *replica) {
			if i == 1 {
				return
			}
			r.snapshot = func(*cluster.Peer) iter.Seq[[]byte] {
				return func(yield func([]byte) bool) {
					for i := range n {
						if !yield([]byte(fmt.Sprintf("%4d%s", i, strings.Repeat("x", 1000)))) {
							return
						}
					}
				}
			}
		})
		wait(time.Minute)
		got := rs[1].all()
		if len(got) != n+1 {
			t.Fatalf("%d of %d records have come", len(got)-1, n)
		}
		for i, s := range got[1:] {
			if !strings.HasPrefix(s, fmt.Sprintf("n0: %4d", i)) {
				t.Fatalf("record %d begins with %.12q", i, s)
			}
		}
	})
}

// To a node that takes nothing Offer is refused and Send is not, until it ends the session.
func TestSender_toANodeThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 64 << 10
		c, rs := replicas(t, clustertest.Config{
			Seed: 1, Node: func(int, *actor.System) cluster.Config { return cluster.Config{Window: window, MaxMessage: 16 << 10} },
		}, nil)
		p, rec := rs[0].peer("n1"), make([]byte, 1000)
		c.Freeze(1)
		offered := 0
		for rs[0].sender.Offer(p, rec) {
			offered++
		}
		if offered < 50 || offered > window/1000 {
			t.Errorf("%d Offers of 1000 bytes were taken, want the window of %d", offered, window)
		}
		rs[0].sender.Send(p, []byte("is not refused"))
		c.Thaw(1)
		wait(time.Second)
		if got := rs[1].all(); len(got) != offered+2 || got[len(got)-1] != "n0: is not refused" {
			t.Errorf("%d records arrived, the last %.30q; want %d and then what was sent", len(got)-1, got[len(got)-1], offered)
		}
		c.Freeze(1)
		for range 1000 { // beyond all that may wait
			rs[0].sender.Send(p, rec)
		}
		synctest.Wait()
		if got := rs[0].all(); got[len(got)-1] != "down n1" {
			t.Errorf("after a million bytes the channel was told %q, want down", got)
		}
		c.Thaw(1)
		wait(10 * time.Second)
		if got := rs[0].all(); got[len(got)-1] != "up n1" {
			t.Errorf("ten seconds later the channel was told %q, want up at last", got)
		}
	})
}

// A record that is too long ends the session, or is refused.
func TestSender_tooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, rs := replicas(t, clustertest.Config{Seed: 1}, nil)
		p, rec := rs[0].peer("n1"), make([]byte, 2<<20)
		if rs[0].sender.Offer(p, rec) {
			t.Error("Offer of 2 MiB = true, want false")
		}
		synctest.Wait()
		rs[0].want(t, "up n1")
		rs[0].sender.Send(p, rec)
		wait(time.Minute)
		rs[0].want(t, "up n1", "down n1", "up n1")
		rs[1].want(t, "up n0", "down n0", "up n0")
	})
	synctest.Test(t, func(t *testing.T) {
		_, rs := replicas(t, clustertest.Config{Seed: 1}, func(i int, r *replica) {
			once := true
			if i == 0 {
				r.snapshot = func(*cluster.Peer) iter.Seq[[]byte] {
					if once {
						once = false
						return records("first", strings.Repeat("x", 2<<20), "never")
					}
					return nil
				}
			}
		})
		wait(time.Minute)
		rs[0].want(t, "up n1", "down n1", "up n1")
		got := rs[1].all()
		if n := len(got); n < 3 || got[n-1] != "up n0" || slices.Contains(got, "n0: never") {
			t.Errorf("the other side was told %q", got)
		}
	})
}

// A channel that only one of two nodes has is no harm to what else they say.
func TestChannel_onlyHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both, alone := [2]*replica{{}, {}}, &replica{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Start: func(i int, n *cluster.Node) {
			add := func(name string, r *replica) {
				var err error
				if r.sender, err = n.Channel(name, r); err != nil {
					t.Fatal(err)
				}
			}
			if i == 0 {
				add("alone", alone)
			}
			add("both", both[i])
		}})
		synctest.Wait()
		both[0].sender.Send(both[0].peer("n1"), []byte("hi"))
		both[1].sender.Send(both[1].peer("n0"), []byte("ho"))
		synctest.Wait()
		c.Stop(1)
		synctest.Wait()
		both[0].want(t, "up n1", "n1: ho", "down n1")
		both[1].want(t, "up n0", "n0: hi", "down n0")
		alone.want(t)
	})
}

// A panic ends the session, since what the other node has said is missing here; and it is told that this node is down.
func TestChannel_panics(t *testing.T) {
	for _, in := range []string{"Up", "the snapshot", "Receive"} {
		t.Run(in, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				boom := true
				panics := func() {
					if boom {
						boom = false
						panic("boom")
					}
				}
				c, rs := replicas(t, clustertest.Config{Seed: 1}, func(i int, r *replica) {
					if i == 1 {
						return
					}
					switch in {
					case "Up":
						r.snapshot = func(*cluster.Peer) iter.Seq[[]byte] { panics(); return nil }
					case "the snapshot":
						r.snapshot = func(*cluster.Peer) iter.Seq[[]byte] { return func(func([]byte) bool) { panics() } }
					case "Receive":
						r.receive = func(*cluster.Peer, []byte) { panics() }
					}
				})
				if in == "Receive" {
					rs[1].sender.Send(rs[1].peer("n0"), []byte("1"))
					rs[1].sender.Send(rs[1].peer("n0"), []byte("2"))
				}
				wait(time.Minute)
				rs[0].want(t, "up n1", "down n1", "up n1")
				c.Connect()
				rs[1].sender.Send(rs[1].peer("n0"), []byte("works"))
				wait(time.Second)
				rs[0].want(t, "up n1", "down n1", "up n1", "n1: works")
			})
		})
	}
}

func TestNode_Channel_mistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		n := newNode(t, "a", cluster.Config{Engine: onNet{net: net}})
		for i := range 64 {
			if _, err := n.Channel(fmt.Sprint("channel ", i), &replica{}); err != nil {
				t.Fatalf("channel %d: %v", i, err)
			}
		}
		m := newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
		if _, err := m.Channel("once", &replica{}); err != nil {
			t.Fatal(err)
		}
		stop := serve(t, m)
		synctest.Wait()
		served := func() error { _, err := m.Channel("late", &replica{}); return err }
		errs := map[string]error{"served already": served()}
		stop()
		errs["was served already"] = served()
		_, errs["there are 64"] = n.Channel("one too many", &replica{})
		o := newNode(t, "c", cluster.Config{Engine: onNet{net: net}})
		_, _ = o.Channel("once", &replica{})
		_, errs[`there is one of the name "once"`] = o.Channel("once", &replica{})
		_, errs["must have 1 to 64 bytes"] = o.Channel("", &replica{})
		_, errs["must have 1 to 64"] = o.Channel(strings.Repeat("x", 65), &replica{})
		_, errs["is nil"] = o.Channel("nil", nil)
		for want, err := range errs {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Channel = %v, want an error with %q", err, want)
			}
		}
	})
}
