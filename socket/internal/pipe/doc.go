// Package pipe connects two ends of a byte stream in memory, with the
// behaviour of a TCP connection: each direction is buffered, a peer that does
// not read makes Write block, ends can be half closed, and a Close that leaves
// bytes unread resets the connection, so that the peer loses what it had not
// read yet.
//
//	client, server := pipe.New(0)
//	defer client.Close()
//	defer server.Close()
//
// It is made for tests and for testing/synctest. A pipe starts no goroutine,
// blocked calls wait on a [sync.Cond], so a bubble sees them as durably
// blocked, and deadlines run on the clock of the bubble. Make a pipe inside
// the bubble that uses it.
//
// A silent pipe holds no buffer: memory is allocated by the first byte that
// waits in a direction and given back with the last one that is read. A timer
// runs only while a call with a deadline, or a Waker with one, waits.
// Whoever has no goroutine to spare for a Read registers a Waker with
// [Conn.Notify].
//
// Where it differs from TCP:
//   - Nothing is under way: what was written is in the peer's buffer, and a
//     Close, CloseWrite or Reset has happened for the peer when it returns. So
//     the first Write after the peer's Close fails, where TCP fails the second.
//   - The sender has no buffer of its own.
//   - A reset always discards what the other end had not read. Systems differ
//     here; a test should meet the worst of them.
package pipe
