// Package natsengine carries the datagrams of package cluster over NATS: core NATS, without JetStream. It is a module of
// its own, so that only those who use NATS have nats.go in their build. Package embedded, beside it, also starts a server
// within the process.
//
//	engine, err := natsengine.New(natsengine.Config{URL: "tls://nats.example.com:4222", Options: []nats.Option{
//		nats.UserCredentials("/run/secrets/troupe.creds"),
//	}})
//	...
//	node, err := cluster.New(sys, cluster.Config{Engine: engine})
//
// # Subjects and permissions
//
// A node publishes and subscribes below Prefix.NAME, where NAME is the cluster.Config.Name: "troupe.troupe.>" if nothing is
// configured. It needs no other permission. Whoever may publish there may send to every process and end it, so give the
// cluster an account or a user of its own. Open fails when the user may not subscribe. When the server is not there yet, NATS tells
// of it later, to nobody but a nats.ErrorHandler of Config.Options and the server's log: a node that stays alone has often no
// permission.
//
// # Settings
//
// New sets these options of nats.go, before those of Config.Options, which may change them:
//
//   - RetryOnFailedConnect and MaxReconnects(-1): a node outlives its NATS server, and may start before it.
//   - ReconnectWait 250 ms, with up to as much jitter: a server that restarts is back within DownAfter.
//   - ReconnectBufSize(-1): what cannot be sent is lost at once. The link sends it again; a buffer would only deliver it
//     late, and beside it.
//   - IgnoreAuthErrorAbort: a node comes back when its credentials are good again.
//   - PingInterval 5 s: a connection that is dead is given up after 10 s to 15 s.
//   - FlusherTimeout 2 s: a server that takes no bytes does not hold a sender for longer.
//   - NoEcho: what a node sends to all does not come back to it.
//
// A subscription takes as many messages as fit into 64 MiB, since links bound bytes; nats.go's limit of 500,000 messages is
// off.
package natsengine
