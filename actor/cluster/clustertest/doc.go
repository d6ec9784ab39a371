// Package clustertest runs a cluster of several nodes in one process, over a network in memory whose faults come from a seed:
// datagrams that are lost, repeated, delayed and overtaken, links that are cut, nodes that are killed, frozen and
// restarted. Everything between the network and the processes is what runs in production. Under testing/synctest
// no time passes:
//
//	synctest.Test(t, func(t *testing.T) {
//		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Loss: 0.05})
//		echo := start(c.System(1))
//		v, err := actor.Call[string](ctx, c.At(0, echo), "hello") // from node 0 to node 1
//		...
//	})
//
// A PID is bound to the System it came from, and all Systems here are in one process. So give the PID of another node's
// process through [Cluster.At], as if it had come over the network; or send it in a message, which does come over it.
package clustertest
