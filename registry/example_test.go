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
	case registry.Members:
		fmt.Printf("%s: %v in %s\n", p.name, metasOf(msg.Entries), msg.Group)
	case registry.Joined:
		fmt.Printf("%s: %v joined %s\n", p.name, metasOf(msg.Entries), msg.Group)
	case registry.Left:
		fmt.Printf("%s: %v left %s\n", p.name, metasOf(msg.Entries), msg.Group)
	case registry.PresenceDiff: // of those who watch a group
	case registry.NameTaken:
		fmt.Printf("%s: %s is taken\n", p.name, msg.Name)
	case registry.NameFree:
		fmt.Printf("%s: %s is free\n", p.name, msg.Name)
	default:
		fmt.Printf("%s: %v\n", p.name, msg)
	}
	return nil
}

func metasOf(entries []registry.Entry) (metas []any) {
	for _, e := range entries {
		metas = append(metas, e.Meta)
	}
	return metas
}

// start makes a System, a Registry and a process for each name. stop ends them.
func start(names ...string) (reg *registry.Registry, sys *actor.System, pids []actor.PID, stop func()) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		pid, err := sys.Spawn(context.Background(), printer{name}, actor.SpawnOptions{})
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
	old, err := reg.Replace("user:42", pids[1], nil)
	fmt.Println(old == pids[0], err)
	old.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"})
	// Output: true <nil>
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
		return sys.Spawn(context.Background(), lobby{reg}, actor.SpawnOptions{})
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

// echo answers with what it is asked; it registers itself.
type echo struct {
	lobby
	name string
}

func (e echo) Init(ctx context.Context) error {
	return e.reg.Register(e.name, actor.Self(ctx), nil)
}

func (e echo) Receive(ctx context.Context, msg any) error {
	actor.Reply(ctx, msg)
	return nil
}

func ExampleAsk() {
	reg, sys, _, stop := start()
	defer stop()
	startEcho := func(context.Context) (actor.PID, error) {
		return sys.Spawn(context.Background(), echo{lobby{reg}, "echo"}, actor.SpawnOptions{})
	}
	answer, err := registry.Ask[string](context.Background(), reg, "echo", startEcho, "hello")
	fmt.Println(answer, err)
	// Output: hello <nil>
}

// A standby is told that the name is free, and takes it.
func ExampleRegistry_WatchName() {
	reg, _, pids, stop := start("standby", "master")
	defer stop()
	reg.Register("master", pids[1], nil)
	reg.WatchName("master", pids[0])
	wait(pids[0])
	pids[1].Exit(actor.ErrNormal)
	actor.Wait(context.Background(), pids[1])
	wait(pids[0])
	// Output:
	// standby: master is taken
	// standby: master is free
}

func ExampleRegistry_UnwatchName() {
	reg, _, pids, stop := start("standby", "master")
	defer stop()
	reg.WatchName("master", pids[0])
	wait(pids[0])
	reg.UnwatchName("master", pids[0])
	reg.Register("master", pids[1], nil)
	wait(pids[0])
	// Output: standby: master is free
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
	wait(pids[0])
	reg.Join("room:1", pids[2], "bob")
	wait(pids[0])
	reg.Leave("room:1", pids[1])
	wait(pids[0])
	reg.Unwatch("room:1", pids[0])
	// Output:
	// moderator: [alice] in room:1
	// moderator: [bob] joined room:1
	// moderator: [alice] left room:1
}

func ExampleRegistry_Unwatch() {
	reg, _, pids, stop := start("moderator", "alice")
	defer stop()
	reg.Watch("room:1", pids[0])
	wait(pids[0])
	reg.Unwatch("room:1", pids[0])
	reg.Join("room:1", pids[1], "alice")
	wait(pids[0])
	// Output:
	// moderator: [] in room:1
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
		fmt.Println(key, len(metas), metas[0].Meta)
	}
	// Output: alice 1 laptop
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

// online is a process that keeps who is present in a room, and prints who is there and which sockets come and go.
type online struct{ present map[string][]registry.Meta }

func (o online) Receive(ctx context.Context, msg any) error {
	diff, ok := msg.(registry.PresenceDiff)
	if !ok {
		actor.Reply(ctx, true)
		return nil
	}
	for key, metas := range diff.Came {
		fmt.Println("came:", key, metas[0].Meta)
	}
	for key, metas := range diff.Went {
		fmt.Println("went:", key, metas[0].Meta)
	}
	diff.Apply(o.present)
	fmt.Println("online:", strings.Join(slices.Sorted(maps.Keys(o.present)), ", "))
	return nil
}

func ExamplePresenceDiff() {
	reg, sys, pids, stop := start("alice's phone", "alice's laptop", "bob's phone")
	defer stop()
	watcher, err := sys.Spawn(context.Background(), online{map[string][]registry.Meta{}}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	reg.Track("room:1", pids[0], "alice", "phone")
	reg.Watch("room:1", watcher)
	wait(watcher)
	reg.Track("room:1", pids[2], "bob", "phone")
	wait(watcher)
	reg.Track("room:1", pids[1], "alice", "laptop") // the same person
	wait(watcher)
	reg.Untrack("room:1", pids[0], "alice") // she is still there
	wait(watcher)
	reg.Untrack("room:1", pids[2], "bob")
	wait(watcher)
	reg.Unwatch("room:1", watcher)
	// Output:
	// came: alice phone
	// online: alice
	// came: bob phone
	// online: alice, bob
	// came: alice laptop
	// online: alice, bob
	// went: alice phone
	// online: alice, bob
	// went: bob phone
	// online: alice
}

func ExampleTopicOf() {
	reg, _, pids, stop := start("alice")
	defer stop()
	type tick struct{ Price int }
	ticks, err := registry.TopicOf[tick](reg, "ticks")
	if err != nil {
		panic(err) // the name is in use for another type
	}
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
	news, _ := registry.TopicOf[string](reg, "news")
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
	news, _ := registry.TopicOf[string](reg, "news")
	fmt.Println(news.Subscribe(pids[0]))
	fmt.Println(errors.Is(news.Subscribe(actor.PID{}), registry.ErrNoProcess))
	// Output:
	// <nil>
	// true
}

func ExampleTopic_Unsubscribe() {
	reg, _, pids, stop := start("alice")
	defer stop()
	news, _ := registry.TopicOf[string](reg, "news")
	news.Subscribe(pids[0])
	news.Unsubscribe(pids[0])
	fmt.Println(news.Publish("it rains"))
	// Output: 0
}

func ExampleRegistry_Names() {
	reg, _, pids, stop := start("alice")
	defer stop()
	reg.Register("user:42", pids[0], nil)
	for name, pid := range reg.Names() {
		fmt.Println(name, pid == pids[0])
	}
	// Output: user:42 true
}

func ExampleRegistry_Groups() {
	reg, _, pids, stop := start("alice", "bob")
	defer stop()
	reg.Join("room:1", pids[0], nil)
	reg.Join("room:1", pids[1], nil)
	for group, n := range reg.Groups() {
		fmt.Println(group, n)
	}
	// Output: room:1 2
}

func ExampleRegistry_Topics() {
	reg, _, pids, stop := start("alice's phone", "alice's laptop")
	defer stop()
	reg.Track("room:1", pids[0], "alice", nil)
	reg.Track("room:1", pids[1], "alice", nil)
	for topic, n := range reg.Topics() {
		fmt.Println(topic, n)
	}
	// Output: room:1 1
}

func ExampleRegistry_Of() {
	reg, _, pids, stop := start("alice")
	defer stop()
	reg.Register("user:42", pids[0], nil)
	reg.Join("room:1", pids[0], "admin")
	reg.Track("room:1", pids[0], "alice", "phone")
	var all []string
	for e := range reg.Of(pids[0]) {
		all = append(all, fmt.Sprint(e.Kind, " ", e.Name, " ", e.Key, " ", e.Meta))
	}
	slices.Sort(all) // they come in no order
	fmt.Println(strings.Join(all, "\n"))
	// Output:
	// member room:1  admin
	// name user:42  <nil>
	// presence room:1 alice phone
}

func ExampleRegistry_PresentOf() {
	reg, _, pids, stop := start("alice's phone")
	defer stop()
	reg.Track("room:1", pids[0], "alice", "phone")
	fmt.Println(len(reg.PresentOf("room:1", "alice")), len(reg.PresentOf("room:1", "bob")))
	// Output: 1 0
}

func ExampleRegistry_Stats() {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	reg := registry.New(sys)
	for _, name := range []string{"ada", "grace"} {
		pid, err := sys.Spawn(context.Background(), printer{name}, actor.SpawnOptions{})
		if err != nil {
			panic(err)
		}
		if err := reg.Register(name, pid, nil); err != nil {
			panic(err)
		}
		reg.Join("lobby", pid, nil)
	}
	st := reg.Stats()
	fmt.Println(st.Names, "names,", st.Members, "members of", st.Groups, "group")
	// Output: 2 names, 2 members of 1 group
}

// How long broadcasts take and how many they reach, by kind of group.
func ExampleRegistry_MeasureBroadcasts() {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		panic(err)
	}
	defer sys.Shutdown(context.Background())
	reg := registry.New(sys)
	reg.MeasureBroadcasts(func(group string) string {
		kind, _, _ := strings.Cut(group, ":") // "room" of "room:42": there are few kinds, and many rooms
		return kind
	})
	reg.Broadcast("room:42", "hello")
	reg.Broadcast("room:43", "hello")
	for kind, st := range reg.BroadcastStats() {
		fmt.Println(kind, st.Durations.Count(), "broadcasts, to", st.Recipients.Sum, "members in all")
	}
	// Output: room 2 broadcasts, to 0 members in all
}
