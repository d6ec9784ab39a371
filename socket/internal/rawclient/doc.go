// Package rawclient is a WebSocket client for tests, written by hand from RFC
// 6455 and RFC 7692 so that the code under test does not check itself.
//
// It is strict about what the server sends, down to the bytes, and lets the
// test send anything, legal or not:
//
//	c, resp, err := rawclient.Handshake(conn, rawclient.HandshakeOptions{})
//	// err: no answer, or a bad one. c == nil: the server refused with resp.
//	c.Text("hello")
//	c.Write(rawclient.Frame{Fin: true, RSV: rawclient.RSV2, Opcode: rawclient.OpText})
//	f, err := c.ReadFrame()
//
// [NewServer] is the same with the roles changed: a server for tests of a client.
//
// It answers nothing by itself: a ping and a Close frame are results of a read
// like any other. It starts no goroutine and sets no deadline; the test sets
// them on the connection.
package rawclient
