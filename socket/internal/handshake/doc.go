// Package handshake is the opening handshake (RFC 6455 section 4), on the side of the server from a request that net/http has
// read to a connection whose 101 is written, on the side of the client from a URL to a connection whose 101 has been read.
// It knows no frames.
//
// # The server
//
// [CheckRequest] and [Origins.Check] decide before anything is written, with a [*Refusal] that says what to answer.
// [Accept] negotiates the subprotocol and permessage-deflate, takes the connection over and writes the 101.
//
// coder/websocket does the handshake itself: websocket.Accept gets a ResponseWriter of ours around the server's, checks the
// request once more, computes Sec-WebSocket-Accept and makes the answer. It does not get what it does otherwise than we
// promise: it would compare subprotocols without regard to case, has one answer for several faults, and writes the 101
// through the server's ResponseWriter. The websocket.Conn that it returns is dropped; frames are the wire's.
//
// # The client
//
// [Dial] asks for the subprotocol and permessage-deflate, and looks at what was chosen. coder/websocket does the handshake
// itself here, too: websocket.Dial makes the request with its key, sends it through the http.Client, and checks the answer. It
// gets an http.RoundTripper of ours around the client's, which takes the connection over as soon as the 101 has come. It
// does not get what it does otherwise than we promise: it knows nothing of our compression, and compares subprotocols without
// regard to case. The websocket.Conn that it returns is dropped, too.
//
// The package starts no goroutine and has no state but a pool.
package handshake
