// Package handshake is the server's side of the opening handshake (RFC 6455 section 4.2), from a request that net/http has
// read to a connection whose 101 is written. It knows no frames.
//
// [CheckRequest] and [Origins.Check] decide before anything is written, with a [*Refusal] that says what to answer.
// [Accept] negotiates the subprotocol and permessage-deflate, takes the connection over and writes the 101.
//
// coder/websocket does the handshake itself: websocket.Accept gets a ResponseWriter of ours around the server's, checks the
// request once more, computes Sec-WebSocket-Accept and makes the answer. It does not get what it does otherwise than we
// promise: it would compare subprotocols without regard to case, has one answer for several faults, and writes the 101
// through the server's ResponseWriter. The websocket.Conn that it returns is dropped; frames are the wire's.
//
// The package starts no goroutine and has no state but a pool.
package handshake
