package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// A channel of Phoenix with PubSub and Presence. docs/reference/websock-to-go.md quotes onlineMeta, channelTypes and channel.

// onlineMeta is the meta of a Track: it crosses nodes, so it is registered.
type onlineMeta struct {
	OnlineAt time.Time `json:"online_at"`
}

func channelTypes(types *cluster.Types) { cluster.Register[onlineMeta](types, "online_meta") }

type channel struct {
	reg         *registry.Registry
	topic, user string
}

func (c *channel) Init(ctx context.Context) websock.Result { // join/3
	me := actor.Self(ctx)
	if err := errors.Join(
		c.reg.Join(c.topic, me, nil),                                       // subscribe
		c.reg.Track(c.topic, me, c.user, onlineMeta{OnlineAt: time.Now()}), // Presence.track
		c.reg.Watch(c.topic, me),                                           // presence_state, then presence_diff
	); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (c *channel) HandleIn(ctx context.Context, msg websock.Message) websock.Result { // handle_in("shout", ...)
	c.reg.BroadcastFrom(c.topic, actor.Self(ctx), msg) // broadcast_from!: to the clients of all nodes
	return websock.OK()
}

func (c *channel) HandleInfo(_ context.Context, msg any) websock.Result {
	diff, ok := msg.(registry.PresenceDiff)
	switch {
	case !ok:
		return websock.OK()
	case diff.Whole:
		return websock.Push(websock.JSON(map[string]any{"event": "presence_state", "payload": diff.Now}))
	}
	return websock.Push(websock.JSON(map[string]any{
		"event": "presence_diff", "payload": map[string]any{"joins": diff.Came, "leaves": diff.Went},
	}))
}

// Two users on two nodes: each is told who is there, what the other one says, and that he has gone.
func TestChannel_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			types := newTypes()
			channelTypes(types)
			return cluster.Config{Types: types}
		}}, nil)
		connect := func(i int, user string) *sockettest.Conn {
			h := &channel{c.regs[i], "room:lobby", user}
			return sockettest.Serve(t, socket.Config{System: c.System(i), PingInterval: -1, IdleTimeout: -1}, h)
		}
		// event wants one whose users are these; part is where they stand in the payload.
		event := func(conn *sockettest.Conn, name, part string, users ...string) {
			t.Helper()
			text := conn.Next()
			var state struct {
				Event   string
				Payload map[string]json.RawMessage
			}
			err := json.Unmarshal(text.Data, &state)
			of := state.Payload
			if err == nil && part != "" {
				of = nil
				err = json.Unmarshal(state.Payload[part], &of)
			}
			if got := slices.Sorted(maps.Keys(of)); err != nil || state.Event != name || !slices.Equal(got, users) {
				t.Errorf("got %s, %v; want a %s of %q in %q", text.Data, err, name, users, part)
			}
		}
		ann := connect(0, "ann")
		settle()
		event(ann, "presence_state", "", "ann")
		bob := connect(1, "bob")
		settle()
		event(bob, "presence_state", "", "ann", "bob")
		event(ann, "presence_diff", "joins", "bob")
		bob.Send(websock.Text("hello"))
		settle()
		ann.Want(websock.Text("hello"))
		bob.WantNothing(time.Second)
		bob.Drop()
		settle()
		event(ann, "presence_diff", "leaves", "bob")
		ann.WantNothing(time.Minute)
	})
}
