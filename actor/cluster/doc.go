// Package cluster connects Systems of several nodes. Then everything that takes a PID takes one of another node: Send, Exit
// with a close frame, Call, Monitor, Wait, a PID from a database. What holds between two processes of one System holds
// between nodes, except what a network makes impossible.
//
//	sys, err := actor.NewSystem(actor.Config{Node: "web-1"})
//	node, err := cluster.New(sys, cluster.Config{Engine: engine, Types: types})
//	// serve node, before the sockets: it is a supervisor.Service
//	pid, err := sys.ParsePID(text) // of a process of any node
//	pid.Send(websock.Text("hello"))
//
// Package registry shares names, groups and presence with the other nodes by a [Channel]; [Survey] asks all nodes.
//
// # What runs
//
// An [Engine] carries datagrams, such as NATS. Between each two nodes this package makes a link of them: a stream in which
// everything arrives once, in order, without gaps; or the link ends, and both nodes know it. All that the processes of two
// nodes have to say to each other goes on that one stream. A link ends when the other node says goodbye, when nothing is
// heard of it for Config.DownAfter, or when it does not take what must not be refused. It never resumes: the next one begins
// from nothing.
//
// # Guarantees
//
// While a link lasts:
//   - What a process sends to another one arrives in order, once, with nothing missing in between: messages, Exits, Calls and
//     the Down, mixed.
//   - True from Send says: handed to the link of a node that is up, within its window. It does not say that the process exists,
//     or has room in its mailbox. False says: the node is not connected, the window is full, or the message cannot be encoded
//     (logged once per type). Then nothing was delivered.
//   - Exit, Down and the answers to Calls up to 4 KiB are not refused by the window. For a longer answer that it has no room
//     for, the caller gets ErrNoReply.
//   - A Call reaches the callee at most once, and ends in its time.
//   - Down comes once, after all that the process has sent to this node.
//
// When a link ends:
//   - What was on its way may be lost. Whoever monitors a process of the node gets Down with ErrNodeDown.
//   - A Call that waits gets ErrNodeDown: it is not known whether the callee has handled it.
//   - Down{ErrNodeDown} does not mean that the process is dead: it may live behind a broken network. After a heal Monitor it
//     anew; its PID is still good.
//   - [NodeDown] comes after the Downs.
//
// A node that goes in order is known to be gone in milliseconds; one that is killed, after Config.DownAfter. A PID never comes
// to mean a process of another incarnation of its node.
//
// Not given: an order between what three nodes say, an acknowledgement that a message was handled (an [actor.Call] that was
// answered is one), delivery exactly once, and a quorum.
//
// # Limits
//
// A node costs another one at most twice its share of Config.Window, 65,536 Calls that wait and 262,144 monitors. Messages
// are encoded: one with a pointer, a channel or a function works on one node only, and package clustertest shows that. What
// may cross are the types of [Types] and the built-in ones.
//
// Whoever can publish on the engine can do everything to every process. Give the cluster an account of its own.
package cluster
