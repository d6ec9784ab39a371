package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// twoNodes runs the nodes a and b in this process, until stop. cfg is that of both.
func twoNodes(cfg cluster.Config) (a, b *cluster.Node, stop func()) {
	cfg.Engine = &memory{} // in a program this is one of package natsengine
	cfg.Logger = slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	start := func(name string) *cluster.Node {
		sys, err := actor.NewSystem(actor.Config{Node: name, Logger: cfg.Logger})
		if err != nil {
			panic(err)
		}
		n, err := cluster.New(sys, cfg)
		if err != nil {
			panic(err)
		}
		all.Go(func() { _ = n.Serve(ctx) })
		return n
	}
	a, b = start("a"), start("b")
	for !peered(a) || !peered(b) {
		time.Sleep(time.Millisecond)
	}
	return a, b, func() {
		_ = a.System().Shutdown(context.Background())
		_ = b.System().Shutdown(context.Background())
		cancel()
		all.Wait()
	}
}

func peered(n *cluster.Node) bool {
	for range n.Peers() {
		return true
	}
	return false
}

// greeter answers whoever calls it.
type greeter struct{}

func (greeter) Receive(ctx context.Context, msg any) error {
	actor.Reply(ctx, fmt.Sprint("hello ", msg))
	return nil
}

// A process of another node is reached by its PID, which may come out of a database as text.
func Example() {
	a, b, stop := twoNodes(cluster.Config{})
	defer stop()
	pid, err := b.System().Spawn(context.Background(), greeter{}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	text := pid.String()

	away, err := a.System().ParsePID(text)
	if err != nil {
		panic(err)
	}
	answer, err := actor.Call[string](context.Background(), away, "from a")
	fmt.Println(answer, err)
	// Output: hello from a <nil>
}

// The node stands before what its processes do in the supervision tree: so it ends after them, and the other nodes are told of
// their ends.
func ExampleNode_Serve() {
	sys, err := actor.NewSystem(actor.Config{Node: "web-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	node, err := cluster.New(sys, cluster.Config{Engine: &memory{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	sockets := supervisor.ServiceFunc(func(ctx context.Context) error {
		<-ctx.Done() // here run the sockets, and drain
		return nil
	})
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond) // in a program: until a signal comes
	defer stop()
	err = supervisor.Run(ctx, supervisor.Config{Name: "web", Logger: slog.New(slog.DiscardHandler)},
		supervisor.ChildSpec{ID: "cluster", Service: node},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	fmt.Println(err)
}

type watching struct{ news chan any }

func (w watching) Receive(_ context.Context, msg any) error { w.news <- msg; return nil }

// A process is told of the nodes that are up, and of those that come and go.
func ExampleNode_Watch() {
	a, b, stop := twoNodes(cluster.Config{})
	defer stop()
	w := watching{make(chan any, 10)}
	pid, err := a.System().Spawn(context.Background(), w, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	a.Watch(pid)
	up := (<-w.news).(cluster.NodeUp)
	fmt.Println("up:", up.Node, up.Boot == pidBoot(b))
	// Output: up: b true
}

// pidBoot is the boot that stands in the PIDs of a node.
func pidBoot(n *cluster.Node) string {
	pid, err := n.System().Spawn(context.Background(), greeter{}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	_, boot, _ := strings.Cut(pid.String(), ".")
	boot, _, _ = strings.Cut(boot, "@")
	return boot
}

// What is known of the link to each other node, for a page or for metrics.
func ExampleNode_Peers() {
	a, _, stop := twoNodes(cluster.Config{Window: 8 << 20})
	defer stop()
	for p := range a.Peers() {
		fmt.Printf("%s: at most %d bytes on their way, %d refused\n", p.Node, p.Window, p.Refused)
	}
	// Output: b: at most 8388608 bytes on their way, 0 refused
}

// The numbers of all links together, for an alarm: what was lost with a node that has gone is still in them.
func ExampleNode_Stats() {
	a, _, stop := twoNodes(cluster.Config{})
	defer stop()
	st := a.Stats()
	fmt.Println(st.Name, "is ready:", st.Ready)
	fmt.Println(st.Up, "up,", st.Left, "left,", st.Lost, "lost")
	// Output:
	// a is ready: true
	// 1 up, 0 left, 0 lost
}

// Ready is for the readiness probe: no traffic for a node whose engine is lost.
func ExampleNode_Ready() {
	sys, err := actor.NewSystem(actor.Config{Node: "web-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	node, err := cluster.New(sys, cluster.Config{Engine: &memory{}})
	if err != nil {
		panic(err)
	}
	fmt.Println(node.Ready())
	// Output: cluster: the node is not served
}

type (
	order struct {
		Item  string    `json:"item"`
		Reply actor.PID `json:"reply"` // bound to the receiver's System
	}
	celsius float64
)

var errSoldOut = errors.New("sold out")

// The types that may cross are registered once, before New, at all nodes under the same names.
func ExampleRegister() {
	types := &cluster.Types{}
	cluster.Register[order](types, "shop.order") // as JSON
	cluster.RegisterError(types, "shop.sold_out", errSoldOut)
	cluster.RegisterFunc(types, "celsius", func(b []byte, c celsius) ([]byte, error) { return fmt.Append(b, float64(c)), nil },
		func(b []byte) (c celsius, err error) {
			_, err = fmt.Sscan(string(b), (*float64)(&c))
			return c, err
		})
	a, b, stop := twoNodes(cluster.Config{Types: types})
	defer stop()
	shop, err := b.System().Spawn(context.Background(), clerk{}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	away, err := a.System().ParsePID(shop.String())
	if err != nil {
		panic(err)
	}
	_, err = actor.Call[any](context.Background(), away, order{Item: "tea"})
	fmt.Println(errors.Is(err, errSoldOut))
	warm, err := actor.Call[celsius](context.Background(), away, celsius(20))
	fmt.Println(warm, err)
	// Output:
	// true
	// 21 <nil>
}

// RegisterFunc is for types that neither JSON nor methods of their own encode, such as those of protobuf.
func ExampleRegisterFunc() {
	types := &cluster.Types{}
	cluster.RegisterFunc(types, "celsius",
		func(b []byte, c celsius) ([]byte, error) { return fmt.Append(b, float64(c)), nil },
		func(b []byte) (c celsius, err error) {
			_, err = fmt.Sscan(string(b), (*float64)(&c))
			return c, err
		})
}

// A sentinel that is registered is found by errors.Is at the other node.
func ExampleRegisterError() {
	types := &cluster.Types{}
	cluster.RegisterError(types, "shop.sold_out", errSoldOut)
}

type clerk struct{}

func (clerk) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case order:
		actor.Reply(ctx, fmt.Errorf("no %s: %w", m.Item, errSoldOut))
	case celsius:
		actor.Reply(ctx, m+1)
	}
	return nil
}

// A socket of another node is closed with a close code of one's own.
func Example_kick() {
	a, b, stop := twoNodes(cluster.Config{})
	defer stop()
	socket, err := b.System().Spawn(context.Background(), greeter{}, actor.SpawnOptions{}) // stands for a socket
	if err != nil {
		panic(err)
	}
	away, err := a.System().ParsePID(socket.String())
	if err != nil {
		panic(err)
	}
	fmt.Println(away.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"}))
	// Output: true
}

// An error whose type cannot cross keeps its text, what it wraps, and where it was made.
func ExampleRemoteError() {
	a, b, stop := twoNodes(cluster.Config{})
	defer stop()
	pid, err := b.System().Spawn(context.Background(), failing{}, actor.SpawnOptions{})
	if err != nil {
		panic(err)
	}
	away, err := a.System().ParsePID(pid.String())
	if err != nil {
		panic(err)
	}
	_, err = actor.Call[any](context.Background(), away, "anything")
	var remote *cluster.RemoteError
	fmt.Println(errors.As(err, &remote), remote.Node, errors.Is(err, context.Canceled))
	fmt.Println(remote.Text)
	// Output:
	// true b true
	// reading the ledger: context canceled
}

type failing struct{}

func (failing) Receive(ctx context.Context, _ any) error {
	actor.Reply(ctx, fmt.Errorf("reading the ledger: %w", context.Canceled))
	return nil
}

// OnEvent counts what the operator of a cluster wants to know.
func ExampleEvent() {
	events := make(chan cluster.Event, 100)
	_, _, stop := twoNodes(cluster.Config{OnEvent: func(e cluster.Event) { events <- e }})
	defer stop()
	e := <-events
	fmt.Println(e.Kind)
	// Output: node up
}

// loads is a Channel on which each node tells the others how many sockets it has.
type loads struct {
	sockets int // of this node

	mu     sync.Mutex
	others map[string]string // by node
	told   chan struct{}
}

func (l *loads) Up(*cluster.Peer) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield(fmt.Append(nil, l.sockets)) }
}

func (l *loads) Receive(p *cluster.Peer, rec []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.others[p.Node()] = string(rec)
	l.told <- struct{}{}
}

func (l *loads) Down(p *cluster.Peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.others, p.Node())
}

// A Channel replicates what a package knows: each node tells its own part to each other one, which forgets it when that node is
// down.
func ExampleNode_Channel() {
	engine := &memory{}
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	start := func(name string, l *loads) {
		sys, err := actor.NewSystem(actor.Config{Node: name, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			panic(err)
		}
		n, err := cluster.New(sys, cluster.Config{Engine: engine, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			panic(err)
		}
		if _, err := n.Channel("loads", l); err != nil { // the Sender is for what changes later
			panic(err)
		}
		all.Go(func() { _ = n.Serve(ctx) })
	}
	a := &loads{sockets: 7, others: make(map[string]string), told: make(chan struct{}, 10)}
	b := &loads{sockets: 12, others: make(map[string]string), told: make(chan struct{}, 10)}
	start("a", a)
	start("b", b)
	<-a.told
	a.mu.Lock()
	fmt.Println("node a knows", a.others)
	a.mu.Unlock()
	// Output: node a knows map[b:12]
}
