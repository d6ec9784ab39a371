package wire

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/websock"
)

// control waits for the payload of the control frame whose header h begins the
// buffer, and handles the frame. A Close frame ends reading: its meaning is the
// error.
func (c *Conn) control(h header) error {
	p, err := c.controlPayload(h)
	if err != nil {
		return err
	}
	c.countIn(h.opcode, h.length)
	if h.opcode == opClose {
		return c.peerClosed(p)
	}
	if !c.in.open {
		c.clock.opened(0)
	}
	if c.discard.Load() {
		return ErrStopped
	}
	if c.hooks == nil {
		return nil
	}
	at, then := c.clock.openedAt.Load(), c.now()
	c.clock.opened(0) // what the hook takes is not the peer's time
	if !c.hooks.OnControl(websock.Message{Opcode: websock.Opcode(h.opcode), Data: p}) {
		return ErrStopped
	}
	if at != 0 {
		c.clock.opened(at + c.now() - then)
	}
	return nil
}

// controlPayload takes a control frame off the buffer once it is whole, and
// returns its payload, unmasked.
func (c *Conn) controlPayload(h header) ([]byte, error) {
	size := int(h.size) + int(h.length)
	for len(c.source.data) < size {
		if err := c.more(); err != nil {
			return nil, err
		}
	}
	p := make([]byte, h.length)
	for i, b := range c.source.data[h.size:size] {
		p[i] = b ^ h.mask[i%4] // RFC 6455 section 5.3
	}
	c.source.data = c.source.data[size:]
	return p, nil
}

// peerClosed takes the payload of the peer's Close frame. What stands after it
// is ignored (RFC 6455 section 5.5.1).
func (c *Conn) peerClosed(p []byte) error {
	c.finished = len(c.source.data) == 0
	c.drop()
	c.closed = true
	detail, err := parseClose(p)
	if err != nil {
		return err
	}
	c.received.Store(&detail)
	return &websock.RemoteCloseError{Code: detail.Code, Reason: detail.Reason}
}

// parseClose reads the payload of a Close frame (RFC 6455 section 5.5.1). An
// empty one has the code 1005 (section 7.1.5).
func parseClose(p []byte) (websock.CloseDetail, error) {
	switch {
	case len(p) == 0:
		return websock.CloseDetail{Code: websock.CloseNoStatus}, nil
	case len(p) == 1:
		return websock.CloseDetail{}, violation(websock.CloseProtocolError,
			"close payload of one byte (RFC 6455 section 5.5.1)")
	}
	code := websock.CloseCode(binary.BigEndian.Uint16(p))
	if !code.Sendable() {
		return websock.CloseDetail{}, violation(websock.CloseProtocolError,
			"close code %d (RFC 6455 section 7.4)", uint16(code))
	}
	if !utf8.Valid(p[2:]) {
		return websock.CloseDetail{}, violation(websock.CloseInvalidPayload,
			"close reason not UTF-8 (RFC 6455 section 5.5.1)")
	}
	return websock.CloseDetail{Code: code, Reason: string(p[2:])}, nil
}
