// Package link makes a connection out of a postman. An engine carries datagrams between the nodes of a cluster; it may lose
// and repeat them, and normally keeps the order between two nodes. A Mesh makes of it one session with each other node:
// within a session every record arrives, once, in order; or the session ends, and both sides know it.
//
// # Membership
//
// A node says HELLO to all at its start and every 5 seconds: its name, the versions of the protocol that it speaks, its
// settings. The first ones may be lost, so they come sooner; and again when the engine is back. Of two nodes the one with the
// lower boot proposes a session (OPEN with a number), the other answers with the same number, and the first ACK or DATA of the
// first one confirms. So neither side believes in a session before it has seen that datagrams pass in both directions. A session never resumes: after its end there is a new one, with a new number and a
// new [Peer].
//
// # Stream
//
// Records are gathered into frames (DATA), frames have numbers, and the receiver says which it wants next. A frame out of
// place is dropped and sent again: go-back-N, without ranges and without early frames that are kept. What may be on its way to a node is
// what it grants; the grants of all its peers together are its Window. Beyond that [Peer.Offer] refuses.
//
// # Who owns what
//
// Each other node has a pair (pair.go), with one lock and one goroutine. The goroutine alone publishes, runs the clock
// and calls Down; Up and Record run on the goroutine of the engine that called Receive. All state of a session stands in
// its Peer, under the pair's lock. No callback runs with a lock held that a method of a Peer takes.
package link
