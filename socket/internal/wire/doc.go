// Package wire reads and writes the bytes of one WebSocket connection, from the end of the
// handshake until TCP is closed. It knows frames, messages and the two directions of a
// transport, and nothing of HTTP or of processes. [Opener.Open] makes a [Conn].
//
// # Reading
//
// One goroutine at a time calls [Conn.Next] and, at the end, [Conn.Linger].
// Most messages are one frame, not compressed, and complete after the first read:
// one function reads them (Next, in read.go). For all others there are these
// layers, from below:
//
//   - park: where the reading goroutine waits, and how others wake it.
//   - source brings bytes from the transport. It holds no buffer while it waits.
//   - reader finds the frame headers, control handles control frames.
//   - payload refuses what RFC 6455, RFC 7692 or a limit forbids before it is read,
//     and takes off the mask.
//   - message joins fragments, inflate inflates. Text is checked as UTF-8 while it
//     arrives.
//
// [Conn.Suspend] makes a Next that waits between two messages return, so that
// the goroutine can be given up while nothing comes. Then a Conn is one small
// piece of memory. [Conn.Recycle] takes the memory of large messages back.
//
// # Writing
//
// [Conn.Append] encodes after what is pending, [Conn.Flush] writes. Both are safe from any goroutine. Nothing else writes
// to the network: so there are whole frames only, in the order of the calls, one Close frame, nothing after it, and
// nothing after a write that failed. What waits to be written is a batch.
//
// # Roles
//
// A Conn is the server's end, or with Options.Client the client's. All of the above is the same for both, but for this (RFC
// 6455 sections 5.1 and 7.1.1):
//
//   - A client masks each frame with a key of its own, in a copy, while it is added to the batch (masked.go). What is
//     written later, in one piece or in many, knows nothing of masks.
//   - The frames of a server must have no mask, those of a client must.
//   - The server ends TCP first: [Conn.CloseWrite] of a client sends no FIN, and its [Conn.Linger] waits for the server's.
//
// # Ending
//
// [Conn.Interrupt] ends waiting with an error, [Conn.Discard] ends delivery,
// [Conn.CloseWrite] half closes, [Conn.Linger] reads on until the peer has
// closed too, [Conn.Abort] closes TCP at once.
//
// The package starts no goroutine and has no state but buffer pools. It waits
// for nothing but the transport, as long as deadlines given by the caller
// allow.
package wire
