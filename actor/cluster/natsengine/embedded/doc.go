// Package embedded runs a NATS server within the process, so that a cluster needs nothing installed. A single node needs
// no configuration at all; a few find each other by routes, of which each needs to know one other:
//
//	server, err := embedded.Start(embedded.Config{Listen: "127.0.0.1:6222", Routes: []string{"127.0.0.1:6223"}})
//	...
//	node, err := cluster.New(sys, cluster.Config{Engine: server.Engine()})
//
// Servers that have found one tell each other of the rest. Beyond some 8 to 16 nodes use servers of their own, since each
// of n servers has 2 connections to each of the others.
//
// The server has no JetStream, no monitoring port, and does not handle signals. Serve it before the node in a supervision
// tree, so that it ends after that. All goroutines of the server and of its connections have ended when Serve returns.
//
// # What it listens to
//
// Whoever reaches a server may do everything to every process. So Start refuses an address that is not loopback without
// TLS, a user and a password, and says which of them is missing. With Listen nats-server opens a port for clients on
// 127.0.0.1, too, because it has no routes without one: nobody gets in there, since its password is random and kept in the
// process.
package embedded
