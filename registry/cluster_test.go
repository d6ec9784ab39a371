package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// registries is a cluster with a registry on each node.
type registries struct {
	*clustertest.Cluster
	regs []*registry.Registry // in the present boot of each node
}

// probe is a message that crosses nodes.
type probe struct {
	N     int
	From  actor.PID
	Group string
}

func newTypes() *cluster.Types {
	types := &cluster.Types{}
	cluster.Register[probe](types, "probe")
	return types
}

func newCluster(t testing.TB, cfg clustertest.Config, each func(i int) registry.Config) *registries {
	t.Helper()
	if cfg.Nodes == 0 {
		cfg.Nodes = 3
	}
	c := &registries{regs: make([]*registry.Registry, cfg.Nodes)}
	node := cfg.Node
	cfg.Node = func(i int, sys *actor.System) cluster.Config {
		nc := cluster.Config{}
		if node != nil {
			nc = node(i, sys)
		}
		if nc.Types == nil {
			nc.Types = newTypes()
		}
		return nc
	}
	cfg.Start = func(i int, n *cluster.Node) {
		rc := registry.Config{}
		if each != nil {
			rc = each(i)
		}
		reg, err := registry.NewCluster(n, rc)
		if err != nil {
			t.Fatalf("NewCluster on node %d: %v", i, err)
		}
		c.regs[i] = reg
	}
	c.Cluster = clustertest.New(t, cfg)
	return c
}

// spawn makes a process on node i.
func (c *registries) spawn(t testing.TB, i int) *member {
	t.Helper()
	return spawn(t, c.System(i))
}

// join makes a member on node i.
func (c *registries) join(t testing.TB, i int, group string) *member {
	t.Helper()
	m := c.spawn(t, i)
	if err := c.regs[i].Join(group, m.pid, nil); err != nil {
		t.Fatal(err)
	}
	return m
}

// settle lets everything arrive, on a network that loses nothing.
func settle() {
	time.Sleep(2 * time.Second)
	synctest.Wait()
}

// arrived waits until all that the nodes have sent each other has arrived and was handled, what was lost too: how soon it is sent
// again depends on how often it was.
func (c *registries) arrived() {
	for range 1000 {
		settle()
		waits := uint64(0)
		for i := range c.regs {
			for p := range c.Node(i).Peers() {
				waits += uint64(p.InUse)
			}
		}
		if waits == 0 {
			return
		}
	}
	panic("something is on its way for more than half an hour")
}

// seeds is how many scenarios a simulation runs: 200, as many as TROUPE_SEEDS says, or 20,000 with TROUPE_STRESS=1. The race
// detector makes each ten times as long.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("TROUPE_SEEDS"), 10, 32); err == nil {
		return n
	}
	switch {
	case os.Getenv("TROUPE_STRESS") == "1":
		return 20_000
	case raceEnabled:
		return 20
	}
	return 200
}

func TestNewCluster_mistakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 1}, nil)
		if reg, err := registry.NewCluster(nil, registry.Config{}); err == nil || reg != nil {
			t.Errorf("NewCluster(nil) = %v, %v", reg, err)
		}
		if reg, err := registry.NewCluster(c.Node(0), registry.Config{}); err == nil || reg != nil {
			t.Errorf("NewCluster of a Node that is served = %v, %v; want an error", reg, err)
		}
	})
}

func TestBroadcast_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond}, nil)
		var all []*member
		for i := range 3 {
			all = append(all, c.join(t, i, "room"), c.join(t, i, "room"))
		}
		other := c.join(t, 1, "another room")
		c.arrived()
		if n := c.regs[0].Broadcast("room", "to all"); n != 2 {
			t.Errorf("Broadcast = %d, want 2: the mailboxes of this node", n)
		}
		c.arrived()
		for _, m := range all {
			wantGot(t, m, "to all")
		}
		if n := c.regs[0].BroadcastFrom("room", all[0].pid, "from one"); n != 1 {
			t.Errorf("BroadcastFrom = %d, want 1", n)
		}
		if n := c.regs[0].BroadcastFrom("room", c.At(0, all[2].pid), "from one of node 1"); n != 2 {
			t.Errorf("BroadcastFrom a member of another node = %d, want 2", n)
		}
		if n := c.regs[0].BroadcastFrom("room", c.At(0, other.pid), probe{N: 7, From: all[0].pid}); n != 2 {
			t.Errorf("BroadcastFrom somebody who is no member = %d, want 2", n)
		}
		c.arrived()
		for i, m := range all {
			from := probe{N: 7, From: c.At(i/2, all[0].pid)}
			switch i {
			case 0:
				wantGot(t, m, "from one of node 1", from)
			case 2:
				wantGot(t, m, "from one", from)
			default:
				wantGot(t, m, "from one", "from one of node 1", from)
			}
		}
		if n := c.regs[0].BroadcastWhere("room", func(actor.PID, any) bool { return true }, "here only"); n != 2 {
			t.Errorf("BroadcastWhere = %d, want 2", n)
		}
		topicOf[string](t, c.regs[2], "room").Publish("published")
		c.arrived()
		wantGot(t, all[1], "here only", "published")
		wantGot(t, all[3], "published")
		wantGot(t, other)
		for i := range 3 {
			wantMembers(t, c.regs[i], "room", map[actor.PID]any{all[2*i].pid: nil, all[2*i+1].pid: nil})
			away := c.At(i, all[(2*i+2)%6].pid)
			if err := c.regs[i].Join("room", away, nil); err == nil {
				t.Errorf("Join of a process of another node: no error")
			}
		}
	})
}

// The members of a node share what has come: a message for sockets is encoded once there.
func TestBroadcast_cluster_preparedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2}, nil)
		a, b := c.join(t, 1, "room"), c.join(t, 1, "room")
		settle()
		c.regs[0].Broadcast("room", websock.Text("hello"))
		settle()
		encoded := 0
		for _, m := range []*member{a, b} {
			got := m.take()
			if len(got) != 1 || !got[0].(websock.Message).Equal(websock.Text("hello")) {
				t.Fatalf("got %v, want the message", got)
			}
			got[0].(websock.Message).Encoded("form", func() []byte { encoded++; return []byte("x") })
		}
		if encoded != 1 {
			t.Errorf("encoded %d times for two members, want once", encoded)
		}
	})
}

// B joins, then tells A; what A broadcasts then reaches B, even when the nodes have only just met.
func TestBroadcast_cluster_joinThenTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 30 * time.Millisecond, Loss: 0.05}, nil)
		a, err := c.System(0).Spawn(context.Background(), receive(func(_ context.Context, msg any) error {
			p := msg.(probe)
			c.regs[0].Broadcast(p.Group, p.N)
			return nil
		}), actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b := c.spawn(t, 1)
		var want []any
		for n := range 50 {
			group := fmt.Sprint("room ", n)
			if err := c.regs[1].Join(group, b.pid, nil); err != nil {
				t.Fatal(err)
			}
			if n%10 == 9 { // the session ends, and B tells A as soon as there is another
				c.arrived()
				c.Cut(0, 1)
				time.Sleep(10 * time.Second)
				c.Heal(0, 1)
			}
			for !c.At(1, a).Send(probe{N: n, Group: group}) {
				time.Sleep(time.Millisecond)
			}
			if n%10 == 9 {
				c.Connect()
				c.arrived()
			}
			want = append(want, n)
		}
		c.arrived()
		wantGot(t, b, want...)
	})
}

// Two groups of one hash are one to other nodes: when one of them has no members any more, the other still has.
func TestBroadcast_cluster_hashCollision(t *testing.T) {
	const one, two = "8yn0iYCKYHlIj4-BwPqk", "GReLUrM4wMqfg9yzV3KQ"
	if registry.HashOf(one) != registry.HashOf(two) {
		t.Fatal("these names do not collide")
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2}, nil)
		a, b := c.join(t, 1, one), c.join(t, 1, two)
		settle()
		c.regs[0].Broadcast(one, 1)
		settle()
		c.regs[1].Leave(one, a.pid)
		settle()
		c.regs[0].Broadcast(two, 2)
		c.regs[0].Broadcast(one, 3)
		settle()
		wantGot(t, a, 1)
		wantGot(t, b, 2)
		c.regs[1].Leave(two, b.pid)
		settle()
		c.wantInterest(t, 0, 0)
	})
}

// wantInterest says of how many groups, each counted for each node that has members, node i knows.
func (c *registries) wantInterest(t testing.TB, i, want int) {
	t.Helper()
	if got := c.regs[i].Interest(); got != want {
		t.Errorf("node %d knows of %d groups of others, want %d", i, got, want)
	}
}

// What a node knows of others goes with them, and with the groups.
func TestInterest_isForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 3, Seed: 1}, nil)
		var ms []*member
		const n = 3000 // more than one record of a snapshot
		c.Cut(0, 1)
		for k := range n {
			ms = append(ms, c.join(t, 1, fmt.Sprint("room ", k)))
		}
		c.join(t, 2, "room 0")
		settle()
		time.Sleep(10 * time.Second)
		c.wantInterest(t, 0, 1)
		c.wantInterest(t, 2, n)
		c.Heal(0, 1)
		c.Connect()
		settle()
		c.wantInterest(t, 0, n+1)
		for _, m := range ms[n/2:] {
			end(t, m.pid, actor.ErrNormal)
		}
		settle()
		c.wantInterest(t, 0, n/2+1)
		c.Stop(1)
		settle()
		c.wantInterest(t, 0, 1)
		c.Kill(2)
		time.Sleep(10 * time.Second)
		c.wantInterest(t, 0, 0)
		if p, n, g := c.regs[0].Records(); p+n+g != 0 {
			t.Errorf("node 0 keeps %d processes, %d names, %d groups", p, n, g)
		}
	})
}

func TestClose_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 3, Seed: 1, Loss: 0.05, Delay: 5 * time.Millisecond}, nil)
		type ended struct {
			got    []any
			reason error
		}
		var all []*ended
		for i := range 3 {
			for range 2 {
				m, e := &member{}, &ended{}
				all = append(all, e)
				spawnWith(t, c.System(i), m, actor.SpawnOptions{})
				m.pid.OnExit(func(reason error) { e.got, e.reason = m.take(), reason })
				c.regs[i].Join("user:42", m.pid, nil)
			}
		}
		stays := c.join(t, 1, "user:43")
		c.arrived()
		mustPanic(t, "Close with a nil reason", func() { c.regs[0].Close("user:42", nil) })
		kick := &websock.CloseError{Code: 4001, Reason: "signed out"}
		c.regs[0].Broadcast("user:42", "you are signed out")
		if n := c.regs[0].Close("user:42", kick); n != 2 {
			t.Errorf("Close = %d, want 2: those of this node", n)
		}
		if n := c.regs[0].Close("nobody", kick); n != 0 {
			t.Errorf("Close of a group without members = %d, want 0", n)
		}
		if n := c.regs[0].Close(strings.Repeat("x", 1<<20), kick); n != 0 {
			t.Errorf("Close of a long name = %d, want 0", n)
		}
		c.arrived()
		for i, e := range all {
			closed, ok := e.reason.(*websock.CloseError)
			if !ok || closed.Code != kick.Code || closed.Reason != kick.Reason || !slices.Equal(e.got, []any{"you are signed out"}) {
				t.Errorf("member %d got %v and ended with %v, want what was broadcast and then %v", i, e.got, e.reason, kick)
			}
		}
		if !stays.pid.Alive() {
			t.Error("a member of another group has ended")
		}
	})
}

// A node that takes nothing keeps nobody waiting: broadcasts to it are refused, and a Close reaches it once it goes on.
func TestBroadcast_cluster_frozenNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 3, Seed: 1, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{Window: 64 << 10, MaxMessage: 8 << 10}
		}}, nil)
		a, b := c.join(t, 1, "room"), c.join(t, 2, "room")
		settle()
		c.Freeze(1)
		const n = 100
		for range n {
			c.regs[0].Broadcast("room", strings.Repeat("x", 1000))
			time.Sleep(10 * time.Millisecond)
		}
		const small = 5000 // fill what the large ones have left of the window
		for range small {
			c.regs[0].Broadcast("room", "x")
		}
		c.regs[0].Close("room", &websock.CloseError{Code: 4001})
		settle()
		if got := len(b.take()); got < n || b.pid.Alive() {
			t.Errorf("the other node's member got %d messages, want %d at least, alive: %t", got, n, b.pid.Alive())
		}
		c.Thaw(1)
		settle()
		if got := len(a.take()); got == 0 || got >= n+small || a.pid.Alive() {
			t.Errorf("the member of the node that stood still got %d of %d messages, alive: %t; want those that its window took", got, n+small, a.pid.Alive())
		}
	})
}

// What cannot cross is delivered here, and told of.
func TestBroadcast_cluster_cannotBeEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused []string
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
			return cluster.Config{OnEvent: func(e cluster.Event) {
				if e.Kind == cluster.EventRefused && i == 0 {
					refused = append(refused, e.Type)
				}
			}}
		}}, nil)
		a, b := c.join(t, 0, "room"), c.join(t, 1, "room")
		settle()
		ch := make(chan int)
		c.regs[0].Broadcast("room", ch)
		c.regs[0].Broadcast("room", "next")
		settle()
		wantGot(t, a, ch, "next")
		wantGot(t, b, "next")
		if !slices.Equal(refused, []string{"chan int"}) {
			t.Errorf("told of %q, want chan int", refused)
		}
	})
}

// In a cluster names have an end.
func TestJoin_cluster_longName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 1}, nil)
		m := c.spawn(t, 0)
		long, longer := strings.Repeat("x", 4096), strings.Repeat("x", 4097)
		for what, f := range map[string]func(name string) error{
			"Join":      func(name string) error { return c.regs[0].Join(name, m.pid, nil) },
			"Subscribe": func(name string) error { return topicOf[int](t, c.regs[0], name).Subscribe(m.pid) },
		} {
			if err := f(long); err != nil {
				t.Errorf("%s with a name of 4096 bytes: %v", what, err)
			}
			if err := f(longer); err == nil || !strings.Contains(err.Error(), "4097 bytes") {
				t.Errorf("%s with a name of 4097 bytes: %v, want an error that says so", what, err)
			}
		}
		groups := maps.Collect(c.regs[0].Groups())
		if len(groups) != 1 {
			t.Errorf("there are %d groups, want 1", len(groups))
		}
	})
}

// receive is an actor that is its Receive.
type receive func(ctx context.Context, msg any) error

func (f receive) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

// A reason that kills does not make Close wait for functions of OnExit, nor the goroutine that receives a Close of another node.
func TestRegistry_Close_kill(t *testing.T) {
	for from := range 2 {
		t.Run(fmt.Sprint("from node ", from), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
				m, other := c.join(t, 1, "user:42"), c.spawn(t, 1)
				settle()
				returns, closed, entered := make(chan struct{}), make(chan struct{}), make(chan error, 1)
				m.pid.OnExit(func(reason error) { entered <- reason; <-returns })
				go func() {
					defer close(closed)
					c.regs[from].Close("user:42", &websock.CloseError{Code: 4001, Err: actor.ErrKilled})
					c.At(from, other.pid).Send("after it")
				}()
				reason := <-entered
				settle()
				select {
				case <-closed:
				default:
					t.Error("Close waits for a function of OnExit")
				}
				if got := other.take(); len(got) != 1 {
					t.Error("what was sent after the Close has not come")
				}
				close(returns)
				<-closed
				settle()
				if !errors.Is(reason, actor.ErrKilled) || m.pid.Alive() {
					t.Errorf("the member has ended with %v, alive: %t", reason, m.pid.Alive())
				}
			})
		})
	}
}
