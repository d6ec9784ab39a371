package embedded_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/natsengine/embedded"
)

// shout answers each Call with what it was called with.
type shout struct{}

func (shout) Receive(ctx context.Context, msg any) error {
	actor.Reply(ctx, fmt.Sprint(msg, "!"))
	return nil
}

// startNode starts what a process of a cluster has. Here both are in one process.
func startNode(ctx context.Context, running *sync.WaitGroup, name string, routes ...string) (*actor.System, *embedded.Server) {
	quiet := slog.New(slog.DiscardHandler)
	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:0", Routes: routes, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	sys, err := actor.NewSystem(actor.Config{Node: name, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	node, err := cluster.New(sys, cluster.Config{Engine: server.Engine(), Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	running.Go(func() { // in a program a supervisor serves them, in this order, and ends them in the other one
		served, stop := context.WithCancel(context.Background())
		defer stop()
		running.Go(func() { _ = server.Serve(served) })
		_ = node.Serve(ctx)
		_ = sys.Shutdown(context.Background())
	})
	return sys, server
}

func ExampleStart() {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	one, server := startNode(ctx, &running, "one")
	two, _ := startNode(ctx, &running, "two", server.Addr())

	pid, err := one.Spawn(ctx, shout{}, actor.SpawnOptions{})
	if err != nil {
		log.Fatal(err)
	}
	away, err := two.ParsePID(pid.String()) // a PID is text wherever it is kept
	if err != nil {
		log.Fatal(err)
	}
	for !away.Alive() { // the nodes are finding each other
		time.Sleep(10 * time.Millisecond)
	}
	answer, err := actor.Call[string](ctx, away, "hello")
	fmt.Println(answer, err)

	cancel()
	running.Wait()
	// Output: hello! <nil>
}
