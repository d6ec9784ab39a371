// Package wire is one WebSocket connection's bytes, from the end of the handshake to the
// closed TCP connection. It knows frames, messages and the two directions of a
// transport, and nothing of HTTP and of processes. [Opener.Open] makes a [Conn].
//
// # Reading
//
// One goroutine at a time calls [Conn.Next] and, at the end, [Conn.Linger].
// A message that is one frame, not compressed, and all there after the first read
// has its whole way in one function (read.go), and most are like that. For all
// others there are these layers, from below:
//
//   - park: where the reading goroutine waits, and how others wake it.
//   - source brings bytes from the transport. It holds no buffer while it waits.
//   - reader finds the frame headers, control handles the frames between.
//   - payload refuses what RFC 6455, RFC 7692 or a limit forbid before it is read,
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
// [Conn.Append] encodes after what is pending, [Conn.Flush] writes. Both are safe from any goroutine. They are the one
// gate to the network: whole frames only, in the order of the calls, one Close frame, nothing after it, and nothing
// after a write that failed. What waits to be written is a batch.
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
