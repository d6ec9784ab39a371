package registry_test

import (
	"context"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// said crosses nodes.
type said struct{ Who, Text string }

// The registry of a node of a cluster is made before the node is served; everything else stays as it is.
func ExampleNewCluster() {
	serve := func(ctx context.Context, engine cluster.Engine) error {
		types := &cluster.Types{}
		cluster.Register[said](types, "said") // what is broadcast
		sys, err := actor.NewSystem(actor.Config{Node: "web-1"})
		if err != nil {
			return err
		}
		node, err := cluster.New(sys, cluster.Config{Engine: engine, Types: types})
		if err != nil {
			return err
		}
		reg, err := registry.NewCluster(node, registry.Config{})
		if err != nil {
			return err
		}
		reg.Broadcast("room:lobby", said{"ann", "hello"}) // reaches the members on all nodes
		return supervisor.Run(ctx, supervisor.Config{}, supervisor.ChildSpec{ID: "cluster", Service: node})
	}
	_ = serve
}

// Close signs a user out, wherever he is connected.
func ExampleRegistry_Close() {
	reg, _, pids, stop := start("a socket of user 42", "another one")
	defer stop()
	for _, pid := range pids {
		reg.Join("user:42", pid, nil) // each socket of the user does so in its Init
	}
	n := reg.Close("user:42", &websock.CloseError{Code: 4001, Reason: "sign in again"})
	fmt.Println(n, "sockets close with 4001")
	// Output: 2 sockets close with 4001
}
