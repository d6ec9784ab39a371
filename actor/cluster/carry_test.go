package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/actor/host"
)

type traceKey struct{}

// textual is a carried value that has a text for other nodes.
type textual string

func (t textual) MarshalText() ([]byte, error) { return []byte("text of " + t), nil }

// span is a carried value of which somebody may have a nil pointer: its MarshalText panics then.
type span struct{ id string }

func (s *span) MarshalText() ([]byte, error) { return []byte(s.id), nil }

// carrying is a Config that carries whatever stands under traceKey.
func carrying() actor.Config {
	return actor.Config{
		Carry: func(ctx context.Context) any { return ctx.Value(traceKey{}) },
		Fetch: func(ctx context.Context, carried any) context.Context {
			return context.WithValue(ctx, traceKey{}, carried)
		},
	}
}

// What a sender carries goes to other nodes as text, in Send and in Call, if the other node can do something with it.
func TestCarry_overNodes(t *testing.T) {
	long := strings.Repeat("x", 1025)
	for name, tt := range map[string]struct {
		carried any
		here    bool // only the sender's node carries
		want    string
	}{
		"a string":               {carried: "trace", want: "string trace"},
		"the longest string":     {carried: long[1:], want: "string " + long[1:]},
		"a string that is long":  {carried: long, want: "<nil> <nil>"},
		"a TextMarshaler":        {carried: textual("a"), want: "string text of a"},
		"a pointer":              {carried: &span{"a"}, want: "string a"},
		"a nil that is typed":    {carried: (*span)(nil), want: "<nil> <nil>"},
		"something without text": {carried: 17, want: "<nil> <nil>"},
		"nothing":                {carried: nil, want: "<nil> <nil>"},
		"to a node without":      {carried: "trace", here: true, want: "<nil> <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, System: func(i int) actor.Config {
					if tt.here && i == 1 {
						return actor.Config{}
					}
					return carrying()
				}})
				var got journal[string]
				pid := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
					v := ctx.Value(traceKey{})
					got.add(fmt.Sprintf("%v: %T %v", msg, v, v))
					actor.Reply(ctx, "answer")
					return nil
				}}, actor.SpawnOptions{})
				ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), traceKey{}, tt.carried), time.Minute)
				defer cancel()
				to := c.At(0, pid)
				if !actor.Send(ctx, to, "sent") {
					t.Error("Send = false")
				}
				if v, err := actor.Call[string](ctx, to, "called"); v != "answer" || err != nil {
					t.Errorf("Call = %q, %v; want the answer", v, err)
				}
				if err := actor.SendWait(ctx, to, "waited for"); err != nil {
					t.Errorf("SendWait: %v", err)
				}
				to.Send("plain")
				wait(time.Second)
				want := []string{"sent: " + tt.want, "called: " + tt.want, "waited for: " + tt.want, "plain: <nil> <nil>"}
				if !slices.Equal(got.all(), want) {
					t.Errorf("got %q\nwant %q", got.all(), want)
				}
			})
		})
	}
}

// What a callback does with the ctx that it got goes on with what came along: from node to node, and back with a Call that the
// last one makes.
func TestCarry_chain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const nodes = 3
		c := clustertest.New(t, clustertest.Config{Nodes: nodes, Seed: 1, System: func(i int) actor.Config {
			cfg := carrying()
			cfg.Fetch = func(ctx context.Context, carried any) context.Context {
				return context.WithValue(ctx, traceKey{}, fmt.Sprintf("%v>%d", carried, i))
			}
			return cfg
		}})
		var got journal[string]
		var pids [nodes]actor.PID
		for i := range pids {
			pids[i] = spawn(t, c.System(i), &behaviour{receive: func(ctx context.Context, msg any) error {
				got.add(fmt.Sprintf("%d %v: %v", i, msg, ctx.Value(traceKey{})))
				if msg == "called" {
					actor.Reply(ctx, true)
				} else if i+1 < nodes {
					actor.Send(ctx, c.At(i, pids[i+1]), "sent")
				} else if _, err := actor.Call[bool](ctx, c.At(i, pids[0]), "called"); err != nil {
					t.Errorf("Call: %v", err)
				}
				return nil
			}}, actor.SpawnOptions{})
		}
		actor.Send(context.WithValue(t.Context(), traceKey{}, "a"), pids[0], "sent")
		wait(time.Second)
		want := []string{"0 sent: a>0", "1 sent: a>0>1", "2 sent: a>0>1>2", "0 called: a>0>1>2>0"}
		if !slices.Equal(got.all(), want) {
			t.Errorf("got %q\nwant %q", got.all(), want)
		}
	})
}

// The header as it is on the wire, byte for byte, and headers of which it is one. What is too long is skipped, as a header that
// is not known is; headers that are cut off end the session.
func TestCarry_records(t *testing.T) {
	for name, tt := range map[string]struct {
		headers []byte
		want    string
		broken  bool
	}{
		"alone":                  {headers: []byte{1, 2, 'a', 'b'}, want: "string ab"},
		"after one of others":    {headers: []byte{9, 1, 'x', 1, 1, 'a'}, want: "string a"},
		"before one of others":   {headers: []byte{1, 1, 'a', 9, 0}, want: "string a"},
		"empty":                  {headers: []byte{1, 0}, want: "<nil> <nil>"},
		"too long":               {headers: with([]byte{1, 0x81, 8}, make([]byte, 1025)...), want: "<nil> <nil>"},
		"cut off":                {headers: []byte{1, 5, 'a'}, broken: true},
		"a tag without its data": {headers: []byte{1}, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCarrier(t)
				headers := with(rec(0, uint64(len(tt.headers)))[1:], tt.headers...)
				c.s.peer.Load().Control(rec(hello, 0))
				c.s.peer.Load().Control(with([]byte{send | 0x80}, with(headers, with(rec(0, number(c.pid))[1:], value("m")...)...)...))
				synctest.Wait()
				want := []string{tt.want}
				if tt.broken {
					want = nil
				}
				if got := c.got.all(); !slices.Equal(got, want) || tt.broken != (len(c.s.ends.all()) > 0) {
					t.Errorf("got %q, the session has ended with %v; want %q, ended %t", got, c.s.ends.all(), want, tt.broken)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCarrier(t)
		c.s.peer.Load().Control(rec(hello, 0))
		synctest.Wait()
		before := len(c.s.got.all())
		to := host.PIDOf(c.node.System(), "stranger", strangerBoot, 7)
		ctx := context.WithValue(t.Context(), traceKey{}, "ab")
		if !actor.Send(ctx, to, "m") {
			t.Fatal("Send to the stranger = false")
		}
		wait(time.Second)
		got := c.s.got.all()[before:]
		want := string(with([]byte{send | 0x80, 4, 1, 2, 'a', 'b', 7}, value("m")...))
		if !slices.Contains(got, want) {
			t.Errorf("got records %q, want %q among them", got, want)
		}
	})
}

// carrier is a node that carries, and a stranger that is connected with it.
type carrier struct {
	node *cluster.Node
	pid  actor.PID // of a process that notes what it has in its ctx
	got  journal[string]
	s    *stranger
}

func newCarrier(t *testing.T) *carrier {
	t.Helper()
	cfg := carrying()
	cfg.Node, cfg.Logger = "n", discard
	sys, err := actor.NewSystem(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	net := network(t, seednet.Config{})
	c := &carrier{}
	if c.node, err = cluster.New(sys, cluster.Config{Engine: onNet{net: net}, Logger: discard}); err != nil {
		t.Fatal(err)
	}
	serve(t, c.node)
	c.pid = spawn(t, sys, &behaviour{receive: func(ctx context.Context, _ any) error {
		v := ctx.Value(traceKey{})
		c.got.add(fmt.Sprintf("%T %v", v, v))
		return nil
	}}, actor.SpawnOptions{})
	c.s = newStranger(t, net, nil)
	return c
}
