// Package rooms runs the code of docs/how-to/make-rooms.md.
package rooms

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// TestMain fails the run when goroutines are left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type line struct {
	Life string `json:"life"` // numbers of different lives have nothing to do with each other
	ID   int    `json:"id"`
	Text string `json:"text"`
}

type (
	say   struct{ Text string }
	since struct{ ID int } // a Call, answered with a past
	past  struct {
		Life  string `json:"life"`
		Lines []line `json:"lines"`
	}
	idle struct{}
)

func roomName(name string) string { return "room:" + name } // of the actor, and of the group

type room struct {
	reg   *registry.Registry
	name  string
	life  string
	last  int
	lines []line // the last 200
}

func (r *room) Init(ctx context.Context) error {
	r.life = actor.Self(ctx).String() // never used twice
	actor.SendEvery(ctx, 10*time.Minute, idle{})
	return r.reg.Register(roomName(r.name), actor.Self(ctx), nil)
}

func (r *room) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case say:
		r.last++
		said := line{r.life, r.last, m.Text}
		r.lines = append(r.lines, said)
		if len(r.lines) > 200 {
			r.lines = slices.Delete(r.lines, 0, 1)
		}
		r.reg.Broadcast(roomName(r.name), websock.JSON(said))
	case since:
		first, _ := slices.BinarySearchFunc(r.lines, m.ID+1, func(l line, id int) int { return l.ID - id })
		actor.Reply(ctx, past{r.life, append([]line{}, r.lines[first:]...)})
	case idle:
		if r.reg.Count(roomName(r.name)) == 0 {
			return actor.ErrNormal
		}
	}
	return nil
}

type rooms struct {
	sys *actor.System
	reg *registry.Registry
	all *supervisor.Dynamic // a child of your tree, after the system
}

// past asks the room what was said after id, and starts it when there is none.
func (r *rooms) past(ctx context.Context, name string, id int) (past, error) {
	start := func(ctx context.Context) (actor.PID, error) {
		newRoom := func() actor.Actor { return &room{reg: r.reg, name: name} }
		return r.all.Spawn(ctx, "", r.sys, newRoom, actor.SpawnOptions{Label: roomName(name)})
	}
	return registry.Ask[past](ctx, r.reg, roomName(name), start, since{id})
}

type member struct {
	rooms *rooms
	room  string
	life  string
	id    int // the last line that the client has, from its request
}

func (m *member) Init(ctx context.Context) websock.Result {
	me := actor.Self(ctx)
	if err := m.rooms.reg.Join(roomName(m.room), me, nil); err != nil { // from here on nothing is missed
		return websock.Stop(err)
	}
	if err := m.rooms.reg.WatchName(roomName(m.room), me); err != nil {
		return websock.Stop(err)
	}
	return m.catchUp(ctx, m.id)
}

// catchUp asks for what was said before. What is broadcast meanwhile comes after it, perhaps a second time.
func (m *member) catchUp(ctx context.Context, id int) websock.Result {
	p, err := m.rooms.past(ctx, m.room, id)
	if err != nil {
		return websock.Stop(err)
	}
	m.life = p.Life
	return websock.Push(websock.JSON(p))
}

func (m *member) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	pid, _, ok := m.rooms.reg.Whereis(roomName(m.room))
	if !ok || !pid.Send(say{string(msg.Data)}) {
		return websock.Push(websock.JSON(map[string]string{"error": "not said, try again"}))
	}
	return websock.OK()
}

func (m *member) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch n := msg.(type) {
	case registry.NameFree: // it has crashed: whoever asks first starts it anew
		return m.catchUp(ctx, 0)
	case registry.NameTaken:
		if n.PID.String() != m.life { // somebody else was first
			return m.catchUp(ctx, 0)
		}
	}
	return websock.OK()
}

// read is the next message of c, as a T.
func read[T any](t *testing.T, c *sockettest.Conn) (v T) {
	t.Helper()
	m := c.Next()
	if err := json.Unmarshal(m.Data, &v); err != nil {
		t.Fatalf("got %v: %v", m, err)
	}
	return v
}

func wantPast(t *testing.T, c *sockettest.Conn, texts ...string) past {
	t.Helper()
	p := read[past](t, c)
	var got []string
	for _, l := range p.Lines {
		got = append(got, l.Text)
	}
	if !slices.Equal(got, texts) || p.Life == "" {
		t.Fatalf("got the past %+v, want %q", p, texts)
	}
	return p
}

func wantLine(t *testing.T, c *sockettest.Conn, want line) {
	t.Helper()
	if got := read[line](t, c); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestRooms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		all, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
		if err != nil {
			t.Fatal(err)
		}
		sockettest.Run(t, all)
		rs := &rooms{sys, registry.New(sys), all}
		enter := func(room string, id int) *sockettest.Conn {
			return sockettest.Serve(t, socket.Config{System: sys}, &member{rooms: rs, room: room, id: id})
		}

		ann := enter("attic", 0)
		life := wantPast(t, ann).Life
		ann.Send(websock.Text("one"))
		wantLine(t, ann, line{life, 1, "one"})
		bob := enter("attic", 0)
		if p := wantPast(t, bob, "one"); p.Life != life {
			t.Errorf("Bob is in life %s, Ann in %s; want one room", p.Life, life)
		}
		bob.Send(websock.Text("two"))
		wantLine(t, ann, line{life, 2, "two"})
		wantLine(t, bob, line{life, 2, "two"})
		carl, elsewhere := enter("attic", 1), enter("cellar", 0)
		wantPast(t, carl, "two")
		wantPast(t, elsewhere)

		// A crash: one new room, of which all members hear, and nobody else.
		synctest.Wait()
		pid, _, _ := rs.reg.Whereis(roomName("attic"))
		pid.Exit(actor.ErrKilled)
		next := wantPast(t, ann).Life
		for _, c := range []*sockettest.Conn{bob, carl} {
			if p := wantPast(t, c); p.Life != next || next == life {
				t.Errorf("after the crash of %s: got the lives %s and %s, want one that is new", life, next, p.Life)
			}
		}
		carl.Send(websock.Text("three"))
		for _, c := range []*sockettest.Conn{ann, bob, carl} {
			wantLine(t, c, line{next, 1, "three"})
			c.WantNothing(time.Second)
		}
		elsewhere.WantNothing(time.Second)
		if n := all.Count(); n != 2 {
			t.Errorf("got %d rooms, want 2", n)
		}

		// Empty rooms end.
		for _, c := range []*sockettest.Conn{ann, bob, carl, elsewhere} {
			c.Close(websock.CloseNormal, "")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := all.Count(); n != 0 {
			t.Errorf("an hour after the last member has left: got %d rooms, want none", n)
		}
	})
}

func roomTypes(types *cluster.Types) {
	cluster.Register[say](types, "room.say")
	cluster.Register[since](types, "room.since")
	cluster.Register[past](types, "room.past")
}

// On two nodes there is one room, which both talk to, and another one when its node is lost.
func TestRooms_twoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		regs := make([]*registry.Registry, 2)
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond,
			Node: func(int, *actor.System) cluster.Config {
				types := &cluster.Types{}
				roomTypes(types)
				return cluster.Config{Types: types}
			},
			Start: func(i int, n *cluster.Node) {
				var err error
				if regs[i], err = registry.NewCluster(n, registry.Config{}); err != nil {
					t.Fatal(err)
				}
			},
		})
		enter := func(i int) *sockettest.Conn {
			all, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms"})
			if err != nil {
				t.Fatal(err)
			}
			sockettest.Run(t, all)
			rs := &rooms{c.System(i), regs[i], all}
			return sockettest.Serve(t, socket.Config{System: c.System(i)}, &member{rooms: rs, room: "attic"})
		}
		ann := enter(0)
		life := wantPast(t, ann).Life
		time.Sleep(time.Second)
		bob := enter(1)
		if p := wantPast(t, bob); p.Life != life {
			t.Errorf("Bob is in life %s, Ann in %s; want one room", p.Life, life)
		}
		bob.Send(websock.Text("one"))
		wantLine(t, ann, line{life, 1, "one"})
		wantLine(t, bob, line{life, 1, "one"})
		c.Kill(0)
		next := wantPast(t, bob).Life
		if next == life {
			t.Errorf("after the room's node was lost: Bob is in its life %s", next)
		}
		bob.Send(websock.Text("two"))
		wantLine(t, bob, line{next, 1, "two"})
	})
}

// TestHowTo holds the page to this file, which runs.
func TestHowTo(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/make-rooms.md")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("rooms_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) == 0 {
		t.Error("the page has no Go block")
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		if !strings.Contains(string(code), b) {
			t.Errorf("this block of the page is not in rooms_test.go:\n%s", b)
		}
	}
}
