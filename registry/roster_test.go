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
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// What docs/how-to/show-who-is-online.md shows of a roster, on one node and on several, is quoted from here.

type device struct {
	Kind string `json:"kind"` // "phone", "laptop"
	Busy bool   `json:"busy"`
}

type (
	roll struct{} // a Call, answered with those who were there at the last broadcast; the next one says the rest
	tell struct{}
)

// update is what clients get, as above.
type update struct {
	Whole bool                       `json:"whole"`
	Now   map[string][]registry.Meta `json:"now"`
}

type roster struct {
	reg   *registry.Registry
	told  map[string][]registry.Meta // who was there at the last broadcast
	news  map[string][]registry.Meta // what has changed since; nil: nothing
	whole websock.Message            // of told; empty: to be made
}

func (r *roster) Init(ctx context.Context) error {
	r.told = map[string][]registry.Meta{}
	me := actor.Self(ctx)
	return errors.Join(r.reg.Register("roster", me, nil), r.reg.Watch("office", me))
}

func (r *roster) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case registry.PresenceDiff:
		if r.news == nil {
			r.news = map[string][]registry.Meta{}
			actor.SendAfter(ctx, time.Second, tell{})
		}
		if m.Whole {
			for user := range r.told { // those who are not in it have gone
				r.news[user] = nil
			}
		}
		maps.Copy(r.news, m.Now)
	case tell:
		r.reg.Broadcast("office", websock.JSON(update{false, r.news}))
		for user, devices := range r.news {
			if len(devices) > 0 {
				r.told[user] = devices
			} else {
				delete(r.told, user)
			}
		}
		r.news, r.whole = nil, websock.Message{}
	case roll:
		if r.whole.Data == nil {
			r.whole = websock.Prepare(websock.JSON(update{true, r.told}))
		}
		actor.Reply(ctx, r.whole)
	}
	return nil
}

// officeTypes are what crosses nodes, besides what the rest of the program registers.
func officeTypes(types *cluster.Types) {
	cluster.Register[device](types, "office.device") // the meta of Track
	cluster.Register[roll](types, "office.roll")     // the question to a roster of another node
}

// office asks the roster of all nodes. Whoever asks first starts it.
type office struct {
	sys     *actor.System
	reg     *registry.Registry
	rosters *supervisor.Dynamic // a child of the tree, before the sockets
}

func (o *office) roll(ctx context.Context) (websock.Message, error) {
	start := func(ctx context.Context) (actor.PID, error) {
		newRoster := func() actor.Actor { return &roster{reg: o.reg} }
		return o.rosters.Spawn(ctx, "", o.sys, newRoster, actor.SpawnOptions{Label: "roster"})
	}
	return registry.Ask[websock.Message](ctx, o.reg, "roster", start, roll{})
}

// desk is what a socket of the page does, without the socket.
type desk struct{ *member }

// take applies what has come to desk since the last call, and counts the broadcasts.
func (d *desk) take(t testing.TB, users map[string]int) (broadcasts int) {
	t.Helper()
	for _, msg := range d.member.take() {
		if m, ok := msg.(websock.Message); ok {
			apply(t, users, m)
			broadcasts++
		}
	}
	return broadcasts
}

// apply is what a client does with an update: it counts the devices of each user.
func apply(t testing.TB, users map[string]int, m websock.Message) {
	t.Helper()
	var u update
	if err := json.Unmarshal(m.Data, &u); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	if u.Whole {
		clear(users)
	}
	for user, devices := range u.Now {
		if users[user] = len(devices); len(devices) == 0 {
			delete(users, user)
		}
	}
}

// On several nodes there is one roster, each client is told of everybody, once, and the end of the roster's node is survived.
func TestRoster_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			types := newTypes()
			officeTypes(types)
			return cluster.Config{Types: types}
		}}, nil)
		offices := make([]*office, 3)
		trees := serve(t, 3, func(i int) []supervisor.ChildSpec {
			rosters, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rosters"})
			if err != nil {
				t.Fatal(err)
			}
			offices[i] = &office{c.System(i), c.regs[i], rosters}
			return []supervisor.ChildSpec{{ID: "rosters", Service: rosters}}
		})
		synctest.Wait()
		desks, seen := make([]*desk, 3), make([]map[string]int, 3)
		ask := func(i int) {
			t.Helper()
			whole, err := offices[i].roll(context.Background())
			if err != nil {
				t.Fatalf("node %d asks the roster: %v", i, err)
			}
			apply(t, seen[i], whole)
		}
		users := []string{"ann", "ben", "cid"}
		for i := range 3 {
			desks[i], seen[i] = &desk{c.spawn(t, i)}, map[string]int{}
			me := desks[i].pid
			if err := errors.Join(c.regs[i].Track("office", me, users[i], device{Kind: "phone"}), c.regs[i].Join("office", me, nil)); err != nil {
				t.Fatalf("node %d: %v", i, err)
			}
			ask(i)
		}
		want := func(when string, want map[string]int, nodes ...int) {
			t.Helper()
			time.Sleep(5 * time.Second)
			synctest.Wait()
			for _, i := range nodes {
				desks[i].take(t, seen[i])
				if !maps.Equal(seen[i], want) {
					t.Errorf("%s: node %d shows %v, want %v", when, i, seen[i], want)
				}
			}
		}
		want("at first", map[string]int{"ann": 1, "ben": 1, "cid": 1}, 0, 1, 2)
		end(t, desks[2].pid, actor.ErrNormal)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for i := range 2 {
			if n := desks[i].take(t, seen[i]); n != 1 {
				t.Errorf("node %d was told %d times that one has gone, want once", i, n)
			}
		}
		pid, _, _ := c.regs[0].Whereis("roster")
		at := slices.IndexFunc([]int{0, 1, 2}, func(i int) bool { return c.System(i).Owns(c.At(i, pid)) })
		c.Kill(at)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		rest := map[string]int{"ann": 1, "ben": 1}
		if at < 2 {
			delete(rest, users[at])
		}
		for i := range 2 {
			if i != at {
				ask(i)
				want("with another roster", rest, i)
			}
		}
		trees.want(t, at)
	})
}
