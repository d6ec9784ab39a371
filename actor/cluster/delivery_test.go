package cluster_test

import (
	"context"
	"fmt"
	"math"
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
	"github.com/troupe-dev/troupe/websock"
)

// What becomes of a socket's messages then is tested in package registry.

// describe is a message as tests compare it: with its Delivery.
func describe(v any) string {
	m, ok := v.(websock.Message)
	if !ok {
		return fmt.Sprintf("%T %v", v, v)
	}
	if d := m.Delivery(); d != nil {
		return fmt.Sprintf("%v, %+v", m, *d)
	}
	return m.String()
}

// A message keeps its Delivery wherever it is the value of what crosses, and what is carried beside it comes along.
func TestDelivery_everywhere(t *testing.T) {
	for _, d := range []websock.Delivery{
		{Key: "k"}, {Volatile: true}, {Expires: 1}, {Expires: math.MaxInt64},
		{Key: strings.Repeat("k", 1024), Volatile: true, Expires: 90 * time.Second}, {Key: "grüezi\x00\xff"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var onChannel journal[string]
			cfg := clustertest.Config{Seed: 1, System: func(int) actor.Config { return carrying() }}
			c, rs := replicas(t, cfg, func(_ int, r *replica) {
				r.receive = func(p *cluster.Peer, rec []byte) {
					v, err := p.Value(rec[1:])
					onChannel.add(fmt.Sprint(describe(v), err))
				}
			})
			m := websock.Text("hi").Deliver(d)
			want := describe(m)
			var got journal[string]
			pid := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
				got.add(fmt.Sprintf("%s, carried %v", describe(msg), ctx.Value(traceKey{})))
				actor.Reply(ctx, msg)
				return nil
			}}, actor.SpawnOptions{})
			to, ctx := c.At(0, pid), context.WithValue(t.Context(), traceKey{}, "trace")
			to.Send(m)
			actor.Send(ctx, to, m)
			if err := actor.SendWait(ctx, to, m); err != nil {
				t.Error(err)
			}
			if answer, err := actor.Call[websock.Message](ctx, to, m); describe(answer) != want || err != nil {
				t.Errorf("the answer to a Call is %s, %v; want %s", describe(answer), err, want)
			}
			to.Send(m.Deliver(websock.Delivery{}))
			wait(time.Second)
			wants := []string{want + ", carried <nil>", want + ", carried trace", want + ", carried trace", want + ", carried trace", `text, 2 bytes: "hi", carried <nil>`}
			if !slices.Equal(got.all(), wants) {
				t.Errorf("arrived: %q\nwant %q", got.all(), wants)
			}

			cluster.Answer(c.Node(1), "echo", func(_ context.Context, m websock.Message) (websock.Message, error) {
				if describe(m) != want {
					t.Errorf("the question of a Survey is %s, want %s", describe(m), want)
				}
				return m, nil
			})
			answers, _, err := cluster.Survey[websock.Message](t.Context(), c.Node(0), "echo", m)
			if describe(answers["n1"]) != want {
				t.Errorf("the answer to a Survey is %s, %v; want %s", describe(answers["n1"]), err, want)
			}

			rec, err := rs[0].sender.Append([]byte("c"), m)
			if err != nil {
				t.Fatal(err)
			}
			rs[0].sender.With(m).Send(rs[0].peer("n1"), rec)
			if !rs[0].sender.With(m).Offer(rs[0].peer("n1"), rec) || !rs[0].sender.Offer(rs[0].peer("n1"), rec) {
				t.Error("Offer = false")
			}
			for _, s := range []*cluster.Sender{rs[0].sender.With(m).With(m), rs[0].sender.With(m).With(7)} {
				if !s.Offer(rs[0].peer("n1"), rec) {
					t.Error("Offer of a Sender that was made of another one = false")
				}
			}
			wait(time.Second)
			const plain = `text, 2 bytes: "hi"<nil>`
			if want := []string{want + "<nil>", want + "<nil>", plain, want + "<nil>", plain}; !slices.Equal(onChannel.all(), want) {
				t.Errorf("on a channel: %q\nwant %q", onChannel.all(), want)
			}
			if s := rs[0].sender; s.With(m.Deliver(websock.Delivery{Expires: -1})) != s || s.With(7) != s {
				t.Error("With makes another Sender for nothing")
			}
		})
	}
}

// A Delivery is in headers that stand before the record as it was without one. So a node that does not know them, and skips them,
// reads a plain message. What there is no Delivery in has the same bytes as ever.
func TestDelivery_records(t *testing.T) {
	plain := websock.Text("hi")
	d := websock.Delivery{Key: "k", Volatile: true, Expires: 300}
	headers := []byte{9, 3, 1, 'k', 4, 0, 5, 2, 0xac, 2}
	body := []byte{20, 1, 'h', 'i'}
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		n := newNode(t, "n", cluster.Config{Engine: onNet{net: net}})
		ch := &replica{}
		sender, err := n.Channel("test", ch)
		if err != nil {
			t.Fatal(err)
		}
		serve(t, n)
		s := newStranger(t, net, nil)
		control := func(rec []byte) { s.peer.Load().Control(rec); wait(time.Second) }
		control(append(rec(hello, 1), "\x04test"...))
		replies := spawn(t, n.System(), &behaviour{receive: func(ctx context.Context, msg any) error { actor.Reply(ctx, msg); return nil }}, actor.SpawnOptions{})
		to := host.PIDOf(n.System(), "stranger", strangerBoot, 7)
		for name, tt := range map[string]struct {
			do   func(m websock.Message)
			kind byte
			want []byte // after the kind, and the headers
		}{
			"Send":   {func(m websock.Message) { to.Send(m) }, send, with([]byte{7}, body...)},
			"answer": {func(m websock.Message) { control(with(with(rec(call, 9, number(replies), 0), 0), body...)) }, answer, with([]byte{9}, body...)},
			"channel": {func(m websock.Message) {
				rec, _ := sender.Append([]byte("c"), m)
				sender.With(m).Offer(ch.peer("stranger"), rec)
			}, onChannel, with([]byte{0, 'c'}, body...)},
		} {
			for _, m := range []websock.Message{plain, plain.Deliver(d)} {
				want := with([]byte{tt.kind}, tt.want...)
				switch {
				case m.Delivery() == nil:
				case name == "answer": // it answers with what it is sent, which has no Delivery: asked for below
					continue
				default:
					want = with(with([]byte{tt.kind | 0x80}, headers...), tt.want...)
				}
				before := len(s.got.all())
				tt.do(m)
				wait(time.Second)
				if got := s.got.all()[before:]; !slices.Contains(got, string(want)) {
					t.Errorf("%s of %s: records %q, want %q among them", name, describe(m), got, want)
				}
			}
		}
		before := len(s.got.all())
		control(with(with([]byte{call | 0x80}, headers...), with(with(rec(0, 10, number(replies), 0)[1:], 0), body...)...))
		want := with(with([]byte{answer | 0x80}, headers...), with([]byte{10}, body...)...)
		if got := s.got.all()[before:]; !slices.Contains(got, string(want)) {
			t.Errorf("a Call that is answered with what it asks: records %q, want %q among them", got, want)
		}
	})
}

// Headers as they may come. What is not known, or makes no sense, is skipped, and the rest of the Delivery holds; headers that are cut
// off end the session.
func TestDelivery_headers(t *testing.T) {
	const plain = `text, 2 bytes: "hi"`
	for name, tt := range map[string]struct {
		headers []byte
		value   []byte // nil: the message
		want    string
		broken  bool
	}{
		"none":                     {want: plain},
		"a key":                    {headers: []byte{3, 1, 'k'}, want: plain + ", {Key:k Volatile:false Expires:0s}"},
		"a key twice":              {headers: []byte{3, 1, 'k', 3, 1, 'l'}, want: plain + ", {Key:l Volatile:false Expires:0s}"},
		"no key":                   {headers: []byte{3, 0}, want: plain},
		"the longest key":          {headers: with([]byte{3, 0x80, 8}, make([]byte, 1024)...), want: plain + ", {Key:" + strings.Repeat("\x00", 1024) + " Volatile:false Expires:0s}"},
		"a key that is too long":   {headers: with(with([]byte{3, 0x81, 8}, make([]byte, 1025)...), 4, 0), want: plain + ", {Key: Volatile:true Expires:0s}"},
		"volatile":                 {headers: []byte{4, 0}, want: plain + ", {Key: Volatile:true Expires:0s}"},
		"volatile, with data":      {headers: []byte{4, 1, 1}, want: plain},
		"expires":                  {headers: []byte{5, 2, 0xac, 2}, want: plain + ", {Key: Volatile:false Expires:300ns}"},
		"expires never":            {headers: []byte{5, 1, 0}, want: plain},
		"expires without a number": {headers: []byte{5, 0}, want: plain},
		"expires, and more":        {headers: []byte{5, 2, 1, 1}, want: plain},
		"expires, cut off":         {headers: []byte{5, 1, 0x80}, want: plain},
		"the longest expires":      {headers: []byte{5, 9, 255, 255, 255, 255, 255, 255, 255, 255, 127}, want: plain + ", {Key: Volatile:false Expires:2562047h47m16.854775807s}"},
		"expires too late":         {headers: []byte{5, 10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, want: plain},
		"of a later version":       {headers: []byte{77, 3, 1, 2, 3, 3, 1, 'k', 78, 0}, want: plain + ", {Key:k Volatile:false Expires:0s}"},
		"of no message":            {headers: []byte{3, 1, 'k'}, value: value("text"), want: "string text"},
		"cut off":                  {headers: []byte{3, 5, 'k'}, broken: true},
		"a tag without its data":   {headers: []byte{4}, broken: true},
	} {
		for _, on := range []string{"a message", "an answer", "a channel"} {
			t.Run(name+", of "+on, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var got journal[string]
					net := network(t, seednet.Config{})
					n := newNode(t, "n", cluster.Config{Engine: onNet{net: net}})
					ch := &replica{receive: func(p *cluster.Peer, rec []byte) {
						v, err := p.Value(rec)
						got.add(describe(v))
						if err != nil {
							t.Error(err)
						}
					}}
					if _, err := n.Channel("test", ch); err != nil {
						t.Fatal(err)
					}
					serve(t, n)
					s := newStranger(t, net, nil)
					s.peer.Load().Control(append(rec(hello, 1), "\x04test"...))
					wait(time.Second)
					in := spawn(t, n.System(), &behaviour{receive: func(_ context.Context, msg any) error { got.add(describe(msg)); return nil }}, actor.SpawnOptions{})
					v := tt.value
					if v == nil {
						v = []byte{20, 1, 'h', 'i'}
					}
					headed := func(kind byte, numbers ...uint64) []byte {
						b := with([]byte{kind | 0x80}, rec(0, uint64(len(tt.headers)))[1:]...)
						return with(with(b, tt.headers...), with(rec(0, numbers...)[1:], v...)...)
					}
					switch on {
					case "a message":
						s.peer.Load().Control(headed(send, number(in)))
					case "an answer":
						asked := make(chan struct{})
						go func() {
							defer close(asked)
							if v, err := ask(host.PIDOf(n.System(), "stranger", strangerBoot, 7), "what?"); err == nil {
								got.add(describe(v))
							}
						}()
						defer func() { <-asked }()
						wait(time.Second)
						s.peer.Load().Control(headed(answer, 1))
					case "a channel":
						s.peer.Load().Control(headed(onChannel, 0))
					}
					wait(time.Second)
					want := []string{tt.want}
					if tt.broken {
						want = nil
					}
					if !slices.Equal(got.all(), want) || tt.broken != (len(s.ends.all()) > 0) {
						t.Errorf("got %q, the session has ended with %v; want %q, ended %t", got.all(), s.ends.all(), want, tt.broken)
					}
				})
			})
		}
	}
}

// bulletin is a type of the user's that has a message in it.
type bulletin struct {
	Message websock.Message
}

// A message within a registered type is what JSON makes of it, which has no Delivery. The longest key and what is carried have room
// beside a message of MaxMessage.
func TestDelivery_limits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 100 << 10
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, System: func(int) actor.Config { return carrying() },
			Node: func(int, *actor.System) cluster.Config {
				types := &cluster.Types{}
				cluster.Register[bulletin](types, "bulletin")
				return cluster.Config{Types: types, MaxMessage: most}
			}})
		in := newInbox(t, c.System(1))
		to := c.At(0, in.pid)
		d := websock.Delivery{Key: strings.Repeat("k", 1024), Volatile: true, Expires: math.MaxInt64}
		to.Send(bulletin{websock.Text("within").Deliver(d)})
		large := websock.Binary(make([]byte, most-2)).Deliver(d)
		ctx := context.WithValue(newInbox(t, c.System(0)).ctx, traceKey{}, strings.Repeat("x", 1024))
		if !actor.Send(ctx, to, large) {
			t.Error("Send of what is as long as it may be = false")
		}
		if err := actor.SendWait(ctx, to, large); err != nil {
			t.Errorf("SendWait of what is as long as it may be: %v", err)
		}
		wait(time.Second)
		got := in.all()
		if len(got) != 3 {
			t.Fatalf("%d messages have arrived, want 3", len(got))
		}
		if b, ok := got[0].(bulletin); !ok || !b.Message.Equal(websock.Text("within")) || b.Message.Delivery() != nil {
			t.Errorf("within a registered type: %v, want it without its Delivery", got[0])
		}
		for _, v := range got[1:] {
			if describe(v) != describe(large) {
				t.Errorf("arrived: %.200s", describe(v))
			}
		}
	})
}
