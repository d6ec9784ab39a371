package wire

import (
	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// control waits for the payload of the control frame whose header h begins the
// buffer, and handles the frame. A Close frame ends reading: its meaning is the
// error.
func (c *Conn) control(h frame.Header) error {
	p, err := c.controlPayload(h)
	if err != nil {
		return err
	}
	c.countIn(h.Opcode, h.Length)
	if h.Opcode == frame.Close {
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
	if !c.hooks.OnControl(websock.Message{Opcode: websock.Opcode(h.Opcode), Data: p}) {
		return ErrStopped
	}
	if at != 0 {
		c.clock.opened(at + c.now() - then)
	}
	return nil
}

// controlPayload takes a control frame off the buffer once it is whole, and
// returns its payload, unmasked.
func (c *Conn) controlPayload(h frame.Header) ([]byte, error) {
	size := int(h.Size) + int(h.Length)
	for len(c.source.data) < size {
		if err := c.more(); err != nil {
			return nil, err
		}
	}
	p := make([]byte, h.Length)
	h.Mask.Apply(p, c.source.data[h.Size:size])
	c.source.data = c.source.data[size:]
	return p, nil
}

// peerClosed takes the payload of the peer's Close frame. What stands after it
// is ignored (RFC 6455 section 5.5.1).
func (c *Conn) peerClosed(p []byte) error {
	c.finished = len(c.source.data) == 0
	c.drop()
	c.closed = true
	detail, err := frame.ParseClose(p)
	if err != nil {
		return err
	}
	c.received.Store(&detail)
	return &websock.RemoteCloseError{Code: detail.Code, Reason: detail.Reason}
}
