package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

func TestNew_mistakes(t *testing.T) {
	engine := onNet{}
	for _, tt := range []struct {
		name, node string
		cfg        cluster.Config
		want       string // in the error
	}{
		{"no engine", "a", cluster.Config{}, "Config.Engine is nil"},
		{"the default name", "", cluster.Config{Engine: engine}, "set actor.Config.Node"},
		{"a long name", strings.Repeat("n", 201), cluster.Config{Engine: engine}, "201 bytes; in a cluster it may have 200"},
		{"name of the cluster", "a", cluster.Config{Engine: engine, Name: "a.b"}, `Config.Name "a.b"`},
		{"long name of the cluster", "a", cluster.Config{Engine: engine, Name: strings.Repeat("n", 65)}, "1 to 64"},
		{"heartbeat", "a", cluster.Config{Engine: engine, Heartbeat: 9 * time.Millisecond}, "Config.Heartbeat 9ms is below 10ms"},
		{"negative heartbeat", "a", cluster.Config{Engine: engine, Heartbeat: -1}, "Config.Heartbeat"},
		{"down after", "a", cluster.Config{Engine: engine, DownAfter: 2 * time.Second}, "Config.DownAfter 2s is less than 3 times"},
		{"negative down after", "a", cluster.Config{Engine: engine, DownAfter: -1}, "Config.DownAfter"},
		{"message", "a", cluster.Config{Engine: engine, MaxMessage: -1}, "Config.MaxMessage -1"},
		{"long message", "a", cluster.Config{Engine: engine, MaxMessage: 1 << 30, Window: 1 << 31}, "Config.MaxMessage"},
		{"window", "a", cluster.Config{Engine: engine, Window: 1000}, "Config.Window 1000 is less than one message of Config.MaxMessage 1048576"},
		{"negative window", "a", cluster.Config{Engine: engine, Window: -1}, "Config.Window -1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, err := cluster.New(newSystem(t, tt.node), tt.cfg); err == nil || n != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, %v; want an error with %q", n, err, tt.want)
			}
		})
	}
	if _, err := cluster.New(nil, cluster.Config{Engine: engine}); err == nil {
		t.Error("New without a System: no error")
	}
	sys := newSystem(t, "a")
	if _, err := cluster.New(sys, cluster.Config{Engine: engine}); err != nil {
		t.Errorf("New = %v, want nil", err)
	}
	if _, err := cluster.New(sys, cluster.Config{Engine: engine}); err == nil || !strings.Contains(err.Error(), "has a Node already") {
		t.Errorf("the second New of a System = %v, want an error that says so", err)
	}
}

// What New takes can be served: its limits are not looser than those of the link.
func TestNew_extremes(t *testing.T) {
	for _, cfg := range []cluster.Config{
		{Name: strings.Repeat("n", 64)},
		{Heartbeat: 10 * time.Millisecond, DownAfter: 30 * time.Millisecond},
		{Heartbeat: time.Hour},
		{MaxMessage: 1, Window: 1},
		{MaxMessage: 512 << 20, Window: 512 << 20},
		{Window: 1 << 40},
	} {
		t.Run(fmt.Sprintf("%+v", cfg), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				cfg.Engine = onNet{net: net}
				n := newNode(t, strings.Repeat("n", 200), cfg)
				serve(t, n)
				m := newNode(t, "m", cfg)
				serve(t, m)
				wait(time.Second)
				if err := n.Ready(); err != nil {
					t.Errorf("Ready = %v, want nil", err)
				}
				in := newInbox(t, m.System())
				to, _ := n.System().ParsePID(in.pid.String())
				if cfg.MaxMessage != 1 && !to.Send("x") {
					t.Error("Send = false, want true")
				}
			})
		})
	}
}

// troubled is an Engine's Conn whose Publish and Close can fail, and that can suspect.
type troubled struct {
	cluster.Conn
	broken   atomic.Pointer[error]
	closing  error
	suspects func(uint64)
}

func (c *troubled) Publish(to uint64, b []byte) error {
	if err := c.broken.Load(); err != nil {
		return *err
	}
	return c.Conn.Publish(to, b)
}

func (c *troubled) Close() error { return errors.Join(c.Conn.Close(), c.closing) }

func (c *troubled) Suspects(f func(uint64)) { c.suspects = f }

func TestNode_Serve_engineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		boom := errors.New("boom")
		n := newNode(t, "a", cluster.Config{Engine: onNet{net: net, open: func(c cluster.Conn) cluster.Conn {
			return &troubled{Conn: c, closing: boom}
		}}})
		net.Close()
		if err := n.Serve(context.Background()); !errors.Is(err, seednet.ErrClosed) {
			t.Errorf("Serve on a network that is closed = %v, want %v", err, seednet.ErrClosed)
		}
		if err := n.Ready(); err == nil {
			t.Error("Ready after that = nil, want an error")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		n := newNode(t, "a", cluster.Config{Engine: onNet{net: network(t, seednet.Config{}), open: func(c cluster.Conn) cluster.Conn {
			return &troubled{Conn: c, closing: boom}
		}}})
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := n.Serve(ctx); !errors.Is(err, boom) {
			t.Errorf("Serve whose engine does not close = %v, want %v", err, boom)
		}
	})
}

// held is a Conn of an engine whose network does not answer: it holds whoever calls, as nats.go does while it connects.
type held struct {
	cluster.Conn
	on                atomic.Bool
	publishes, closes time.Duration
}

func (c *held) Publish(to uint64, b []byte) error {
	if !c.on.Load() {
		return c.Conn.Publish(to, b)
	}
	time.Sleep(c.publishes)
	return errors.New("no network")
}

func (c *held) Close() error {
	if c.on.Load() {
		time.Sleep(c.closes)
	}
	return c.Conn.Close()
}

// Serve ends within its ShutdownTime, whatever the engine does: else a supervisor would abandon it, as an error.
func TestNode_Serve_endsInItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		var conn *held
		n := newNode(t, "a", cluster.Config{Engine: onNet{net: net, open: func(c cluster.Conn) cluster.Conn {
			conn = &held{Conn: c, publishes: 4 * time.Second, closes: 4 * time.Second} // natsengine's most: dial, handshake
			return conn
		}}})
		serve(t, newNode(t, "b", cluster.Config{Engine: onNet{net: net}}))
		for i := range 40 {
			conn = nil
			stop := serve(t, n)
			wait(10 * time.Second)
			if n := len(slices.Collect(n.Peers())); n != 1 {
				t.Fatalf("%d nodes are up, want 1", n)
			}
			conn.on.Store(true)
			wait(time.Duration(i) * 100 * time.Millisecond)
			start := time.Now()
			stop()
			if took := time.Since(start); took > n.ShutdownTime() {
				t.Errorf("%d: Serve has taken %v to end, ShutdownTime is %v", i, took, n.ShutdownTime())
			}
			wait(time.Minute)
		}
	})
}

// A Node can be served again, and is another session then. Two at a time it cannot.
func TestNode_Serve_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a, b := newNode(t, "a", cluster.Config{Engine: onNet{net: net}}), newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
		serve(t, a)
		in := newInbox(t, b.System())
		to, _ := a.System().ParsePID(in.pid.String())
		for i := range 3 {
			if to.Send("before") {
				t.Error("Send before Serve = true, want false")
			}
			if err := b.Ready(); err == nil {
				t.Error("Ready before Serve = nil, want an error")
			}
			stop := serve(t, b)
			wait(time.Second)
			if err := b.Serve(context.Background()); err == nil || !strings.Contains(err.Error(), "served already") {
				t.Errorf("Serve while it is served = %v, want an error that says so", err)
			}
			if err := b.Ready(); err != nil {
				t.Errorf("Ready = %v, want nil", err)
			}
			if !to.Send(i) {
				t.Errorf("Send in session %d = false", i)
			}
			synctest.Wait()
			start := time.Now()
			stop()
			if took := time.Since(start); took > 100*time.Millisecond {
				t.Errorf("the end of Serve took %v with a peer that acknowledges, want a moment", took)
			}
		}
		if got := in.all(); fmt.Sprint(got) != "[0 1 2]" {
			t.Errorf("received %v, want one message in each session", got)
		}
		if d := b.ShutdownTime(); d != 10*time.Second {
			t.Errorf("ShutdownTime = %v, want 10s", d)
		}
	})
}

// With a peer that does not acknowledge the goodbye, Serve ends in 2 s.
func TestNode_Serve_goodbyeUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a, b := newNode(t, "a", cluster.Config{Engine: onNet{net: net}}), newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
		stop := serve(t, a)
		serve(t, b)
		wait(time.Second)
		net.Cut(boot(a.System()), boot(b.System()))
		start := time.Now()
		stop()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the end of Serve took %v, want 2s", took)
		}
	})
}

// events is what OnEvent was told, as text.
type events struct{ journal[cluster.Event] }

func (e *events) kinds() (all []string) {
	for _, ev := range e.all() {
		text := ev.Kind.String()
		if ev.Node != "" {
			text += " " + ev.Node
		}
		if ev.Type != "" {
			text += " " + ev.Type
		}
		all = append(all, text)
	}
	return all
}

func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := e.kinds(); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("events: %q, want %q", got, want)
	}
}

// lines keeps what is logged.
type lines struct{ journal[string] }

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.add(text)
	return nil
}

// count is how many lines have all these parts.
func (l *lines) count(parts ...string) (n int) {
next:
	for _, line := range l.all() {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		n++
	}
	return n
}

// The engine that refuses what is published is lost, and back when it takes it again: each told once, and Ready knows.
func TestNode_engineLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conn *troubled
		ev, log := &events{}, &lines{}
		n := newNode(t, "a", cluster.Config{
			Engine: onNet{net: network(t, seednet.Config{}), open: func(c cluster.Conn) cluster.Conn {
				conn = &troubled{Conn: c}
				return conn
			}},
			OnEvent: ev.add, Logger: slog.New(log),
		})
		serve(t, n)
		wait(time.Minute)
		ev.want(t)
		boom := errors.New("boom")
		conn.broken.Store(&boom)
		wait(time.Minute)
		ev.want(t, "engine lost")
		if err := n.Ready(); !errors.Is(err, boom) {
			t.Errorf("Ready = %v, want %v", err, boom)
		}
		if e := ev.all()[0]; e.Err != boom {
			t.Errorf("the event says %v, want %v", e.Err, boom)
		}
		conn.broken.Store(nil)
		wait(time.Minute)
		ev.want(t, "engine lost", "engine back")
		if err := n.Ready(); err != nil {
			t.Errorf("Ready = %v, want nil", err)
		}
		if log.count("WARN", "engine is lost", "boom") != 1 || log.count("INFO", "engine is back") != 1 {
			t.Errorf("logged %q", log.all())
		}
	})
}

// A node that the engine suspects has a second to answer, not DownAfter.
func TestSuspecter(t *testing.T) {
	for _, dead := range []bool{true, false} {
		t.Run(fmt.Sprint("dead=", dead), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conn *troubled
				net, ev := network(t, seednet.Config{}), &events{}
				a := newNode(t, "a", cluster.Config{OnEvent: ev.add, Engine: onNet{net: net, open: func(c cluster.Conn) cluster.Conn {
					conn = &troubled{Conn: c}
					return conn
				}}})
				b := newNode(t, "b", cluster.Config{Engine: onNet{net: net}})
				serve(t, a)
				serve(t, b)
				wait(10 * time.Second)
				if dead {
					net.Kill(boot(b.System()))
				}
				conn.suspects(boot(b.System()))
				conn.suspects(12345) // nobody
				wait(1100 * time.Millisecond)
				want := []string{"node up b"}
				if dead {
					want = append(want, "node down b")
				}
				ev.want(t, want...)
			})
		})
	}
}

func TestNode_events(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev, log := &events{}, &lines{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
			if i == 0 {
				return cluster.Config{OnEvent: ev.add, Logger: slog.New(log)}
			}
			return cluster.Config{Window: 64 << 10, MaxMessage: 32 << 10}
		}})
		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		ev.want(t, "node up n1")
		for range 2 {
			for _, msg := range []any{make(chan int), func() {}, make(chan int)} {
				if away.Send(msg) {
					t.Errorf("Send(%T) = true, want false", msg)
				}
			}
		}
		ev.want(t, "node up n1", "refused chan int", "refused func()", "refused chan int",
			"refused chan int", "refused func()", "refused chan int")
		if a, b := log.count("WARN", "cannot be sent", "chan int"), log.count("WARN", "cannot be sent", "func()"); a != 1 || b != 1 {
			t.Errorf("a type that cannot be sent was logged %d and %d times, want once each: %q", a, b, log.all())
		}
		ev.forget()
		// Longer than the other node takes, though not than this one does.
		if away.Send(strings.Repeat("x", 100<<10)) {
			t.Error("Send of more than the other node's MaxMessage = true, want false")
		}
		ev.want(t, "refused string")
		if err := ev.all()[0].Err; !strings.Contains(err.Error(), "longer than node n1 takes: see Config.MaxMessage") {
			t.Errorf("the event says %v", err)
		}
		ev.forget()
		for range 2 {
			c.Freeze(1)
			for away.Send(make([]byte, 1000)) {
			}
			away.Send(make([]byte, 1000))
			c.Thaw(1)
			wait(time.Second)
		}
		ev.want(t, "slow n1", "slow n1")
		ev.forget()
		c.Stop(1)
		ev.want(t, "node down n1")
		e := ev.all()[0]
		if _, err := c.System(0).ParsePID("1." + e.Boot + "@n1"); err != nil {
			t.Errorf("Event.Boot = %q: %v", e.Boot, err)
		}
	})
}

// Two nodes of one name live, and are told of.
func TestNode_sameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, ev := network(t, seednet.Config{}), &events{}
		a := newNode(t, "twin", cluster.Config{OnEvent: ev.add, Engine: onNet{net: net}})
		b := newNode(t, "twin", cluster.Config{Engine: onNet{net: net}})
		serve(t, a)
		serve(t, b)
		wait(time.Second)
		if got := ev.kinds(); len(got) != 2 || got[0] != "trouble twin" && got[1] != "trouble twin" {
			t.Errorf("events %q, want a trouble and a node up", got)
		}
	})
}

func TestNode_Peers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Delay: 10 * time.Millisecond})
		began := time.Now()
		echo := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil }}, actor.SpawnOptions{})
		away := c.At(0, echo)
		for i := range 100 {
			if v, err := ask(away, i); v != i || err != nil {
				t.Fatalf("Call = %v, %v", v, err)
			}
		}
		wait(5 * time.Second)
		dead, _ := c.System(0).ParsePID("99." + fmt.Sprintf("%016x", boot(c.System(1))) + "@n1")
		dead.Send("to nobody")
		c.At(1, newInbox(t, c.System(0)).pid).Send("from 1 to 0")
		wait(time.Second)
		seen := map[string]cluster.PeerInfo{}
		for p := range c.Node(0).Peers() {
			seen[p.Node] = p
		}
		if len(seen) != 2 {
			t.Fatalf("Peers = %v, want n1 and n2", seen)
		}
		p := seen["n1"]
		if p.Boot != fmt.Sprintf("%016x", boot(c.System(1))) || p.Since.After(began) || p.RTT <= 0 || p.RTT > 25*time.Millisecond ||
			p.Window != 16<<20 || p.InUse != 0 || p.RecordsOut < 100 || p.RecordsOut > 110 || p.RecordsIn < 100 || p.RecordsIn > 110 ||
			p.BytesOut < 300 || p.BytesIn < 300 || p.Refused != 0 || p.Resets != 0 || p.Undecodable != 0 || p.Undelivered != 0 {
			t.Errorf("Peers of node 0 says %+v of n1", p)
		}
		for p := range c.Node(1).Peers() {
			if p.Node == "n0" && p.Undelivered != 1 {
				t.Errorf("Peers of node 1 says %+v of n0, want 1 undelivered", p)
			}
		}
		for range c.Node(0).Peers() {
			break
		}
		c.Freeze(1)
		for away.Send(make([]byte, 100_000)) {
		}
		for p := range c.Node(0).Peers() {
			if p.Node == "n1" && (p.InUse < 15<<20 || p.Refused != 1) {
				t.Errorf("with a full window Peers says %+v", p)
			}
		}
		c.Thaw(1)
		c.Cut(0, 1)
		wait(10 * time.Second)
		for p := range c.Node(0).Peers() {
			if p.Node == "n1" {
				t.Errorf("Peers has %+v, which is down", p)
			}
		}
		c.Heal(0, 1)
		c.Connect()
		for p := range c.Node(0).Peers() {
			if p.Node == "n1" && p.Resets != 1 {
				t.Errorf("after a session that ended Peers says %+v", p)
			}
		}
	})
}
