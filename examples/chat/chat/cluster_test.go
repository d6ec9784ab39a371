package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// nodes are the chats of three nodes of one cluster, in the bubble of t.
type nodes struct {
	*clustertest.Cluster
	t      *testing.T
	worlds []*world // in the present boot of each node
	ends   []func() // end what supervises the users and rooms of a node
}

// downAfter is longer than it takes to know that a node was killed.
const downAfter = 7 * time.Second

func inCluster(t *testing.T, f func(c *nodes)) {
	synctest.Test(t, func(t *testing.T) {
		c := &nodes{t: t, worlds: make([]*world, 3), ends: make([]func(), 3)}
		c.Cluster = clustertest.New(t, clustertest.Config{
			Seed: 1, Delay: 5 * time.Millisecond,
			System: func(int) actor.Config { return actor.Config{CallTimeout: 2 * downAfter} },
			Node: func(int, *actor.System) cluster.Config {
				types := new(cluster.Types)
				RegisterTypes(types)
				return cluster.Config{Types: types, MaxMessage: 2 << 20}
			},
			Start: c.start,
		})
		time.Sleep(time.Second)
		f(c)
	})
}

// start starts the chat of node i. The clean-up is registered after that of the Cluster, and so runs before it.
func (c *nodes) start(i int, n *cluster.Node) {
	c.t.Helper()
	reg, err := registry.NewCluster(n, registry.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	silent := slog.New(slog.DiscardHandler)
	chat, err := New(Config{System: n.System(), Registry: reg, Node: fmt.Sprint("n", i), Logger: silent})
	if err != nil {
		c.t.Fatal(err)
	}
	tree, err := supervisor.New(supervisor.Config{Name: "chat", Logger: silent}, chat.Children()...)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = tree.Serve(ctx) // an error when its System was killed before it
	}()
	c.worlds[i] = &world{c.t, chat}
	c.ends[i] = sync.OnceFunc(func() {
		cancel()
		<-served
	})
	c.t.Cleanup(c.ends[i])
}

// kill is kill -9 of node i.
func (c *nodes) kill(i int) {
	c.Kill(i)
	c.ends[i]()
}

// wantPresent waits until all is told, and then compares who is present in the room, as these nodes see it.
func (c *nodes) wantPresent(room string, on []int, want ...string) {
	c.t.Helper()
	time.Sleep(2 * peopleEvery)
	for _, i := range on {
		got := slices.Sorted(maps.Keys(maps.Collect(c.worlds[i].reg.Present(present(room)))))
		if !slices.Equal(got, want) {
			c.t.Errorf("in %s, as node %d sees it, are %q, want %q", room, i, got, want)
		}
	}
}

// again is what the page of a person does when its connection was lost: the same key and session, and what it has seen.
func (w *world) again(name, room, life string, after int64) (*page, answer) {
	w.t.Helper()
	p := w.connect()
	p.hello(name, name, "page of "+name)
	p.want("welcome")
	p.ask(`{"type":"join","room":%q,"life":%q,"after":%d}`, room, life, after)
	return p, p.want("joined")
}

// ending watches the socket of p. What it returns waits for the end of that, which must be the one that asks the page to come back:
// close code 1012, see TestClient_roomCrash. What else the page is told meanwhile does not matter.
func (w *world) ending(p *page) (want func()) {
	w.t.Helper()
	ctx, process := sockettest.NewProcess(w.t, w.sys)
	actor.Monitor(ctx, p.PID)
	return func() {
		w.t.Helper()
		if down, ok := process.Next().(actor.Down); !ok || !errors.Is(down.Reason, websock.ErrRestart) {
			w.t.Fatalf("the socket of the page has ended with %v, want %v", down.Reason, websock.ErrRestart)
		}
	}
}

// count reads all that the server has said so far, and counts it by type.
func (p *page) count() map[string]int {
	p.t.Helper()
	p.ask(`{"type":"nonsense"}`)
	n := map[string]int{}
	for {
		var a answer
		m := p.Next()
		if err := json.Unmarshal(m.Data, &a); err != nil {
			p.t.Fatalf("the server sent %v: %v", m, err)
		}
		if a.Type == "error" {
			return n
		}
		n[a.Type]++
	}
}

func TestCluster_talk(t *testing.T) {
	inCluster(t, func(c *nodes) {
		var pages []*page
		for i, name := range []string{"Ann", "Bob", "Carl"} {
			p := c.worlds[i].connect()
			p.hello(name, name, "page of "+name)
			if got, want := p.want("welcome").Node, fmt.Sprint("n", i); got != want {
				t.Errorf("%s is welcomed on node %q, want %q", name, got, want)
			}
			p.ask(`{"type":"join","room":"lobby"}`)
			p.want("joined")
			pages = append(pages, p)
		}
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann", "Bob", "Carl")
		for i, p := range pages {
			p.ask(`{"type":"say","text":"from %d","ref":"r%d"}`, i, i)
		}
		var first []string // what Ann hears, in order
		for i, p := range pages {
			var heard []string
			for id := range pages {
				m := p.want("message")
				if m.ID != int64(id+1) {
					t.Errorf("on node %d message %d comes as number %d", i, m.ID, id+1)
				}
				heard = append(heard, m.Name+": "+m.Text)
			}
			if i == 0 {
				first = heard
			}
			if !slices.Equal(heard, first) {
				t.Errorf("on node %d is heard %q, on node 0 %q", i, heard, first)
			}
		}
		if got := slices.Sorted(slices.Values(first)); !slices.Equal(got, []string{"Ann: from 0", "Bob: from 1", "Carl: from 2"}) {
			t.Errorf("heard: %q", got)
		}
	})
}

// Each node has a directory, which tells the sockets of its node: a change is told once, however many nodes there are.
func TestCluster_roomsAreToldOnce(t *testing.T) {
	inCluster(t, func(c *nodes) {
		ann := c.worlds[0].in("Ann", "lobby")
		time.Sleep(3 * roomsEvery)
		ann.count()
		c.worlds[1].in("Bob", "attic")
		time.Sleep(3 * roomsEvery)
		if got := ann.count()["rooms"]; got != 1 {
			t.Errorf("a room on another node is told %d times, want once", got)
		}
		carl := c.worlds[2].connect()
		carl.hello("Carl", "carl", "page")
		if got, want := carl.want("welcome").Rooms, []roomInfo{{"attic", 1}, {"lobby", 1}}; !slices.Equal(got, want) {
			t.Errorf("on a third node the rooms are %v, want %v", got, want)
		}
	})
}

// A name belongs to whoever has the key, on whatever node, for as long as there is a socket of it on any.
func TestCluster_oneUserPerName(t *testing.T) {
	inCluster(t, func(c *nodes) {
		refused := func(i int, when string) {
			t.Helper()
			p := c.worlds[i].connect()
			p.hello("aNN", "not her key", "another page")
			if a := p.want("error"); a.Code != "name" || !strings.Contains(a.Text, "called Ann just now") {
				t.Errorf("%s somebody else on node %d got %+v, want an error about the name Ann", when, i, a)
			}
		}
		first := c.worlds[0].in("Ann", "lobby")
		refused(1, "Ann is on node 0;")
		second := c.worlds[1].connect()
		second.hello("Ann", "Ann", "another tab")
		second.want("welcome")
		first.Close(1000, "")
		time.Sleep(2 * nameKept)
		refused(2, "Ann is on node 1, her process on node 0;")
		second.Close(1000, "")
		time.Sleep(nameKept + 2*time.Second)
		p := c.worlds[2].connect()
		p.hello("aNN", "not her key", "another page")
		if got := p.want("welcome").Name; got != "aNN" {
			t.Errorf("when Ann is gone everywhere, somebody else is welcomed as %q, want aNN", got)
		}
	})
}

func TestCluster_pageMoves(t *testing.T) {
	inCluster(t, func(c *nodes) {
		old := c.worlds[0].in("Ann", "lobby")
		old.wantPresence("Ann", "")
		old.wantRooms(roomInfo{"lobby", 1})
		c.worlds[1].in("Ann", "lobby") // the same session
		old.WantClose(closeReplaced, "this page has connected again")
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann")
	})
}

// A room lives as long as somebody is in it, on whatever node, and then for roomKept.
func TestCluster_roomWithPeopleElsewhere(t *testing.T) {
	inCluster(t, func(c *nodes) {
		ann := c.worlds[0].in("Ann", "lobby") // so the room is there
		bob := c.worlds[1].in("Bob", "lobby")
		ann.Close(1000, "")
		time.Sleep(roomKept + time.Minute)
		bob.ask(`{"type":"say","text":"still here"}`)
		bob.wantText("still here")
		bob.Close(1000, "")
		time.Sleep(roomKept - time.Minute)
		for i, w := range c.worlds {
			if pid, _, ok := w.reg.Whereis(roomName("lobby")); !ok || pid.Node() != "n0" {
				t.Errorf("on node %d the empty room is %v, %v, before its time is over; want a process of n0", i, pid, ok)
			}
		}
		time.Sleep(2 * time.Minute)
		for i, w := range c.worlds {
			if pid, _, ok := w.reg.Whereis(roomName("lobby")); ok {
				t.Errorf("on node %d the room is still %v, %v after the last one left", i, pid, roomKept+time.Minute)
			}
		}
	})
}

// A whole history crosses, even if JSON makes six bytes of each character.
func TestCluster_longestHistory(t *testing.T) {
	inCluster(t, func(c *nodes) {
		ann := c.worlds[0].in("Ann", "lobby")
		text := strings.Repeat("<", maxText)
		for range maxHistory {
			ann.ask(`{"type":"say","text":%q}`, text)
			ann.wantText(text)
			time.Sleep(refill)
		}
		_, got := c.worlds[1].again("Bob", "lobby", "", 0)
		if len(got.Messages) != maxHistory || got.Gap {
			t.Fatalf("on another node: %d messages, gap %v; want %d without a gap", len(got.Messages), got.Gap, maxHistory)
		}
		for _, m := range got.Messages {
			if m.Text != text {
				t.Fatalf("message %d has changed on its way: %.40q", m.ID, m.Text)
			}
		}
	})
}

// A node is killed that has the process of a user and that of a room. Whoever was on it comes back on another node at once, before
// anybody knows that it is dead; whoever was in the room comes back to a new one.
func TestCluster_nodeKilled(t *testing.T) {
	inCluster(t, func(c *nodes) {
		ann := c.worlds[0].in("Ann", "lobby")
		bob, was := c.worlds[1].again("Bob", "lobby", "", 0)
		ann.ask(`{"type":"say","text":"before"}`)
		bob.wantText("before")
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann", "Bob")
		restarts := c.worlds[1].ending(bob)

		c.kill(0)
		start := time.Now()
		ann, now := c.worlds[2].again("Ann", "lobby", was.Life, 1)
		if took := time.Since(start); took > downAfter {
			t.Errorf("Ann is back after %v, want at most %v", took, downAfter)
		}
		if now.Life == was.Life || !now.Gap || len(now.Messages) != 0 {
			t.Errorf("the room of another node says %+v; want another life, a gap, and no messages", now)
		}
		restarts()
		bob, _ = c.worlds[1].again("Bob", "lobby", was.Life, 1)
		c.wantPresent("lobby", []int{1, 2}, "Ann", "Bob")
		ann.ask(`{"type":"say","text":"after"}`)
		ann.wantText("after")
		bob.wantText("after")

		c.Restart(0)
		c.Connect()
		time.Sleep(time.Second)
		carl := c.worlds[0].in("Carl", "lobby")
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann", "Bob", "Carl")
		carl.ask(`{"type":"say","text":"from the node that was killed"}`)
		for _, p := range []*page{ann, bob, carl} {
			p.wantText("from the node that was killed")
		}
	})
}

// The process of a user is on a node that is killed, and she has a page on another one. That page comes back and claims the name
// anew, so nobody else gets it while she is there.
func TestCluster_userOfAKilledNode(t *testing.T) {
	inCluster(t, func(c *nodes) {
		c.worlds[0].in("Ann", "attic")
		c.worlds[1].in("Bob", "lobby")
		tab := c.worlds[1].connect()
		tab.hello("Ann", "Ann", "another tab")
		tab.want("welcome")
		tab.ask(`{"type":"join","room":"lobby"}`)
		tab.want("joined")
		restarts := c.worlds[1].ending(tab)

		c.kill(0)
		restarts()
		c.worlds[1].again("Ann", "lobby", "", 0)
		stranger := c.worlds[2].connect()
		stranger.hello("Ann", "not her key", "another page")
		if a := stranger.want("error"); a.Code != "name" {
			t.Errorf("somebody with another key got %+v, want an error about the name", a)
		}
		c.wantPresent("lobby", []int{1, 2}, "Ann", "Bob")
		c.wantPresent("attic", []int{1, 2})
	})
}

// A node is cut off, so that there are two rooms of one name. After the heal there is one, and whoever was in the other one comes
// back to it.
func TestCluster_partition(t *testing.T) {
	inCluster(t, func(c *nodes) {
		ann := c.worlds[0].in("Ann", "lobby")
		bob := c.worlds[1].in("Bob", "lobby")
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann", "Bob")
		restarts := c.worlds[1].ending(bob)
		c.Cut(0, 1)
		c.Cut(0, 2)
		restarts()
		bob, _ = c.worlds[1].again("Bob", "lobby", "", 0)
		c.wantPresent("lobby", []int{0}, "Ann")
		c.wantPresent("lobby", []int{1, 2}, "Bob")

		annRestarts, bobRestarts := c.worlds[0].ending(ann), c.worlds[1].ending(bob)
		c.Heal(0, 1)
		c.Heal(0, 2)
		c.Connect()
		time.Sleep(2 * time.Second)
		winner, _, ok := c.worlds[2].reg.Whereis(roomName("lobby"))
		if !ok {
			t.Fatal("after the heal there is no room")
		}
		if winner.Node() == "n0" {
			bobRestarts()
			bob, _ = c.worlds[1].again("Bob", "lobby", "", 0)
		} else {
			annRestarts()
			ann, _ = c.worlds[0].again("Ann", "lobby", "", 0)
		}
		c.wantPresent("lobby", []int{0, 1, 2}, "Ann", "Bob")
		ann.ask(`{"type":"say","text":"together"}`)
		ann.wantText("together")
		bob.wantText("together")
		rooms := 0
		for _, w := range c.worlds {
			rooms += w.rooms.Count()
		}
		if rooms != 1 {
			t.Errorf("%d processes are rooms, want 1", rooms)
		}
	})
}

// Two people have taken one name while their nodes did not know of each other. After the heal one of them keeps it. The other one's
// page comes back, as it does, and is told.
func TestCluster_oneNameTwice(t *testing.T) {
	inCluster(t, func(c *nodes) {
		c.Cut(0, 1)
		c.Cut(0, 2)
		time.Sleep(downAfter)
		keys := []string{"one key", "another key"} // of those on nodes 0 and 1
		var restarts []func()
		for i, key := range keys {
			p := c.worlds[i].connect()
			p.hello("Ann", key, "page with "+key)
			p.want("welcome")
			restarts = append(restarts, c.worlds[i].ending(p))
		}
		c.Heal(0, 1)
		c.Heal(0, 2)
		c.Connect()
		time.Sleep(2 * time.Second)
		winner, _, ok := c.worlds[2].reg.Whereis(userName("Ann"))
		if !ok {
			t.Fatal("after the heal nobody has the name")
		}
		loser := 0
		if winner.Node() == "n0" {
			loser = 1
		}
		restarts[loser]()
		p := c.worlds[loser].connect()
		p.hello("Ann", keys[loser], "page with "+keys[loser])
		if a := p.want("error"); a.Code != "name" {
			t.Errorf("whoever has lost the name got %+v, want an error about it", a)
		}
		p = c.worlds[2].connect()
		p.hello("Ann", keys[1-loser], "another tab")
		p.want("welcome")
	})
}
