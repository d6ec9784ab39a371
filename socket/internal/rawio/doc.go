// Package rawio reads from and writes to the transport of a WebSocket.
//
//   - [Conn.Receive] waits for bytes without holding a buffer: it asks a [Reader]
//     for room when there may be something to read.
//   - [Writer.Write] writes as long as the peer takes something, however long that
//     takes altogether, and [Conn.LimitWrites] bounds all of it.
//   - [Conn.Rest] takes a TCP connection for which nobody waits out of Go's poller; descriptor_unix.go has how.
//   - [Conn.Unsent] says how much the peer's kernel has not got yet.
//   - [Conn.Arrived] and [Conn.Release] are for a connection over TLS that nobody is to wait for; secure.go has what is known
//     of crypto/tls.
//
// A TCP or Unix connection that nothing wraps is read and written by system calls
// on its descriptor, which Go's poller watches unless it rests. They never block and are
// cheaper than those of package net: a short one does not tell the scheduler,
// and a deadline is set only when the kernel takes no more. With the build tag
// troupe_nosyscalls, on systems without descriptors, and for connections that
// wrap another one, package net does all of this. With msan or
// asan the calls are those of package syscall; the race detector is told of ours.
//
// The package starts no goroutine and keeps nothing but pools.
package rawio
