package rawclient

import (
	"bufio"
	"net"
)

// DefaultMask is the masking key that a new Client uses, the one of the
// examples in RFC 6455 section 5.7.
var DefaultMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// Client is one end of a WebSocket connection after the handshake: the client's, or the server's if it is of
// [NewServer]. One goroutine may read while another writes.
type Client struct {
	// Mask is the masking key of every frame written.
	Mask [4]byte
	// Unmasked makes Write, and what is built on it, send unmasked frames. RFC 6455 section 5.1 asks a server for them,
	// and forbids them to a client.
	Unmasked bool
	// Extensions is what the server accepted.
	Extensions Extensions

	server bool // this end is the server's

	conn net.Conn
	br   *bufio.Reader
	in   reader
}

// New returns a Client on conn, whose handshake is done. deflate: permessage-deflate was negotiated, without context
// takeover in either direction.
func New(conn net.Conn, deflate bool) *Client {
	ext := Extensions{Deflate: deflate, ServerNoContextTakeover: deflate, ClientNoContextTakeover: deflate}
	return &Client{Mask: DefaultMask, Extensions: ext, conn: conn, br: bufio.NewReader(conn)}
}

// NewServer returns the server's end of conn, whose handshake is done: as New, but what it reads must be masked, and what
// it writes is not. br is what has read the request; nil: nothing was read.
func NewServer(conn net.Conn, br *bufio.Reader, deflate bool) *Client {
	c := New(conn, deflate)
	c.server, c.Unmasked = true, true
	if br != nil {
		c.br = br
	}
	return c
}

// Conn returns the connection, for deadlines and for closing it. Reading from
// it takes bytes away from the client.
func (c *Client) Conn() net.Conn { return c.conn }

// Write sends the frames in one write of the connection, masked unless
// c.Unmasked. Frame.Masked is ignored and nothing is checked; note that the
// zero Fin is a fragment that more must follow. To mix masked and unmasked
// frames use [AppendFrame] and WriteBytes.
func (c *Client) Write(frames ...Frame) error {
	var b []byte
	for _, f := range frames {
		f.Masked = !c.Unmasked
		b = AppendFrame(b, f, c.Mask)
	}
	return c.WriteBytes(b)
}

// WriteBytes sends p as it is.
func (c *Client) WriteBytes(p []byte) error {
	_, err := c.conn.Write(p)
	return err
}

// Text sends a text message in one frame, not compressed. For a compressed one
// write a Frame with RSV1 and a payload from [Deflate].
func (c *Client) Text(s string) error { return c.send(OpText, []byte(s)) }

// Binary sends a binary message in one frame, not compressed.
func (c *Client) Binary(p []byte) error { return c.send(OpBinary, p) }

// Ping sends a ping.
func (c *Client) Ping(p []byte) error { return c.send(OpPing, p) }

// Pong sends a pong.
func (c *Client) Pong(p []byte) error { return c.send(OpPong, p) }

// Close sends a Close frame and leaves the connection open.
func (c *Client) Close(code uint16, reason string) error {
	return c.send(OpClose, ClosePayload(code, reason))
}

// CloseEmpty sends a Close frame without a payload and leaves the connection
// open.
func (c *Client) CloseEmpty() error { return c.send(OpClose, nil) }

func (c *Client) send(opcode byte, payload []byte) error {
	return c.Write(Frame{Fin: true, Opcode: opcode, Payload: payload})
}
