package registry_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// printer prints what it receives; "sync" is answered, so that the example can wait for what was sent before.
type printer struct{ name string }

func (p printer) Receive(ctx context.Context, msg any) error {
	switch msg := msg.(type) {
	case string:
		if msg == "sync" {
			actor.Reply(ctx, true)
			return nil
		}
		fmt.Printf("%s: %s\n", p.name, msg)
	case registry.Joined:
		fmt.Printf("%s: %v joined %s\n", p.name, msg.Meta, msg.Group)
	case registry.Left:
		fmt.Printf("%s: %v left %s\n", p.name, msg.Meta, msg.Group)
	default:
		fmt.Printf("%s: %v\n", p.name, msg)
	}
	return nil
}

// start makes a System, a Registry and a process for each name. stop ends them.
func start(names ...string) (reg *registry.Registry, sys *actor.System, pids []actor.PID, stop func()) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		pid, err := sys.Spawn(printer{name}, actor.SpawnOptions{})
		if err != nil {
			panic(err)
		}
		pids = append(pids, pid)
	}
	return registry.New(sys), sys, pids, func() { sys.Shutdown(context.Background()) }
}

// wait waits until the processes have handled what was sent to them, one after the other.
func wait(pids ...actor.PID) {
	for _, pid := range pids {
		actor.Call[bool](context.Background(), pid, "sync")
	}
}

func ExampleNew() {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	reg := registry.New(sys)
	fmt.Println(reg.Count("room:lobby"))
	// Output: 0
}

func ExampleRegistry_Register() {
	reg, _, pids, stop := start("phone", "laptop")
	defer stop()
	fmt.Println(reg.Register("user:42", pids[0], "phone"))
	err := reg.Register("user:42", pids[1], "laptop")
	if taken, ok := errors.AsType[*registry.TakenError](err); ok {
		fmt.Println("taken by the", taken.Meta, taken.PID == pids[0])
	}
	// Output:
	// <nil>
	// taken by the phone true
}

// The newer socket of a user takes the place of the older one, which is closed.
func ExampleRegistry_Replace() {
	reg, _, pids, stop := start("phone", "laptop")
	defer stop()
	reg.Register("user:42", pids[0], nil)
	old, ok := reg.Replace("user:42", pids[1], nil)
	fmt.Println(old == pids[0], ok)
	old.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"})
	// Output: true true
}

// lobby is a process that registers itself, so that it can be found as soon as it runs.
type lobby struct{ reg *registry.Registry }

func (l lobby) Init(ctx context.Context) error {
	return l.reg.Register("lobby", actor.Self(ctx), nil)
}
func (lobby) Receive(context.Context, any) error { return nil }

func ExampleRegistry_Ensure() {
	reg, sys, _, stop := start()
	defer stop()
	startLobby := func(context.Context) (actor.PID, error) {
		fmt.Println("starting the lobby")
		return sys.Spawn(lobby{reg}, actor.SpawnOptions{})
	}
	first, err := reg.Ensure(context.Background(), "lobby", startLobby)
	fmt.Println(err)
	again, err := reg.Ensure(context.Background(), "lobby", startLobby)
	fmt.Println(again == first, err)
	// Output:
	// starting the lobby
	// <nil>
	// true <nil>
}

func ExampleRegistry_Whereis() {
	reg, _, pids, stop := start("phone")
	defer stop()
	reg.Register("user:42", pids[0], "phone")
	if pid, meta, ok := reg.Whereis("user:42"); ok {
		fmt.Println(pid == pids[0], meta)
	}
	_, _, ok := reg.Whereis("user:43")
	fmt.Println(ok)
	// Output:
	// true phone
	// false
}

func ExampleRegistry_Unregister() {
	reg, _, pids, stop := start("phone")
	defer stop()
	reg.Register("user:42", pids[0], nil)
	reg.Unregister("user:42", pids[0])
	_, _, ok := reg.Whereis("user:42")
	fmt.Println(ok)
	// Output: false
}

func ExampleRegistry_Join() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	reg.Join("room:1", pids[0], "admin")
	reg.Join("room:1", pids[1], "guest")
	reg.Join("room:1", pids[1], "admin") // it is a member already: new meta
	fmt.Println(reg.Count("room:1"))
	// Output: 2
}

func ExampleRegistry_Leave() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	reg.Join("room:1", pids[0], nil)
	reg.Join("room:1", pids[1], nil)
	reg.Leave("room:1", pids[0])
	n := reg.Broadcast("room:1", "hello")
	wait(pids...)
	fmt.Println(n)
	// Output:
	// bob: hello
	// 1
}

func ExampleRegistry_Count() {
	reg, _, pids, stop := start("alice")
	defer stop()
	reg.Join("room:1", pids[0], nil)
	fmt.Println(reg.Count("room:1"), reg.Count("room:2"))
	// Output: 1 0
}

func ExampleRegistry_Members() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	reg.Join("room:1", pids[0], "alice")
	reg.Join("room:1", pids[1], "bob")
	var names []string
	for _, meta := range reg.Members("room:1") {
		names = append(names, meta.(string))
	}
	slices.Sort(names) // they come in no order
	fmt.Println(names)
	// Output: [alice bob]
}

func ExampleRegistry_Broadcast() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	for _, pid := range pids {
		reg.Join("room:1", pid, nil)
	}
	fmt.Println(reg.Broadcast("room:1", websock.Text("hello"))) // to sockets: written to their clients
	fmt.Println(reg.Broadcast("room:2", websock.Text("hello")))
	wait(pids...)
	// Unordered output:
	// 2
	// 0
	// alice: text, 5 bytes: "hello"
	// bob: text, 5 bytes: "hello"
}

func ExampleRegistry_BroadcastFrom() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	for _, pid := range pids {
		reg.Join("room:1", pid, nil)
	}
	reg.BroadcastFrom("room:1", pids[0], "alice says hello")
	wait(pids...)
	// Output: bob: alice says hello
}

func ExampleRegistry_BroadcastWhere() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	reg.Join("room:1", pids[0], "admin")
	reg.Join("room:1", pids[1], "guest")
	isAdmin := func(_ actor.PID, meta any) bool { return meta == "admin" }
	reg.BroadcastWhere("room:1", isAdmin, "bob asks to speak")
	wait(pids...)
	// Output: alice: bob asks to speak
}

func ExampleRegistry_Watch() {
	reg, _, pids, stop := start("moderator", "alice", "bob")
	defer stop()
	reg.Join("room:1", pids[1], "alice")
	reg.Watch("room:1", pids[0])
	reg.Join("room:1", pids[2], "bob")
	reg.Leave("room:1", pids[1])
	wait(pids[0])
	reg.Unwatch("room:1", pids[0])
	// Output:
	// moderator: alice joined room:1
	// moderator: bob joined room:1
	// moderator: alice left room:1
}

func ExampleRegistry_Unwatch() {
	reg, _, pids, stop := start("moderator", "alice")
	defer stop()
	reg.Watch("room:1", pids[0])
	reg.Unwatch("room:1", pids[0])
	reg.Join("room:1", pids[1], "alice")
	wait(pids[0])
	// Output:
}

func ExampleRegistry_OnGroup() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	cancel := reg.OnGroup(func(group string, open bool) {
		if open {
			fmt.Println("subscribe to", group, "on the other nodes")
		} else {
			fmt.Println("unsubscribe from", group)
		}
	})
	defer cancel()
	reg.Join("room:1", pids[0], nil)
	reg.Join("room:1", pids[1], nil)
	reg.Leave("room:1", pids[0])
	reg.Leave("room:1", pids[1])
	// Output:
	// subscribe to room:1 on the other nodes
	// unsubscribe from room:1
}

func ExampleRegistry_Track() {
	reg, _, pids, stop := start("alice's phone", "alice's laptop", "bob's phone")
	defer stop()
	reg.Track("room:1", pids[0], "alice", "phone")
	reg.Track("room:1", pids[1], "alice", "laptop")
	reg.Track("room:1", pids[2], "bob", "phone")
	persons := 0
	for range reg.Present("room:1") {
		persons++
	}
	fmt.Println(persons)
	// Output: 2
}

func ExampleRegistry_Untrack() {
	reg, _, pids, stop := start("alice's phone", "alice's laptop")
	defer stop()
	reg.Track("room:1", pids[0], "alice", "phone")
	reg.Track("room:1", pids[1], "alice", "laptop")
	reg.Untrack("room:1", pids[0], "alice")
	for key, metas := range reg.Present("room:1") {
		fmt.Println(key, metas)
	}
	// Output: alice [laptop]
}

func ExampleRegistry_Present() {
	reg, _, pids, stop := start("alice's phone", "alice's laptop")
	defer stop()
	reg.Track("room:1", pids[0], "alice", "phone")
	reg.Track("room:1", pids[1], "alice", "laptop")
	for key, metas := range reg.Present("room:1") {
		fmt.Println(key, len(metas))
	}
	// Output: alice 2
}

// online is a process that keeps who is present in a room, and prints who comes and goes.
type online struct{ present map[string][]any }

func (o online) Receive(ctx context.Context, msg any) error {
	diff, ok := msg.(registry.PresenceDiff)
	if !ok {
		actor.Reply(ctx, true)
		return nil
	}
	for key := range diff.Joined {
		if _, known := o.present[key]; !known {
			fmt.Println(key, "comes")
		}
	}
	maps.Copy(o.present, diff.Joined)
	for key := range diff.Left {
		fmt.Println(key, "goes")
		delete(o.present, key)
	}
	fmt.Println("online:", strings.Join(slices.Sorted(maps.Keys(o.present)), ", "))
	return nil
}

func ExamplePresenceDiff() {
	reg, sys, pids, stop := start("alice's phone", "alice's laptop", "bob's phone")
	defer stop()
	watcher, err := sys.Spawn(online{map[string][]any{}}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	reg.Track("room:1", pids[0], "alice", "phone")
	reg.Watch("room:1", watcher)
	reg.Track("room:1", pids[2], "bob", "phone")
	reg.Track("room:1", pids[1], "alice", "laptop") // the same person
	reg.Untrack("room:1", pids[0], "alice")         // she is still there
	reg.Untrack("room:1", pids[2], "bob")
	wait(watcher)
	reg.Unwatch("room:1", watcher)
	// Output:
	// alice comes
	// online: alice
	// bob comes
	// online: alice, bob
	// online: alice, bob
	// online: alice, bob
	// bob goes
	// online: alice
}

func ExampleTopicOf() {
	reg, _, pids, stop := start("alice")
	defer stop()
	type tick struct{ Price int }
	ticks := registry.TopicOf[tick](reg, "ticks")
	ticks.Subscribe(pids[0])
	n := ticks.Publish(tick{Price: 17})
	wait(pids...)
	fmt.Println(n)
	// Output:
	// alice: {17}
	// 1
}

func ExampleTopic_Publish() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	news := registry.TopicOf[string](reg, "news")
	news.Subscribe(pids[0])
	n := news.Publish("it rains")
	wait(pids...)
	fmt.Println(n)
	// Output:
	// alice: it rains
	// 1
}

func ExampleTopic_Subscribe() {
	reg, _, pids, stop := start("alice")
	defer stop()
	news := registry.TopicOf[string](reg, "news")
	fmt.Println(news.Subscribe(pids[0]), news.Subscribe(actor.PID{}))
	reg.Leave("news", pids[0]) // ends it
	fmt.Println(news.Publish("it rains"))
	// Output:
	// true false
	// 0
}
