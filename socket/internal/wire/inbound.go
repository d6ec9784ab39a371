package wire

import (
	"math"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// inbound is the state of the frames that come in: which frame is being read,
// and of which message. It belongs to the reading goroutine.
type inbound struct {
	deflate bool // permessage-deflate was negotiated
	broken  bool // the stream cannot be parsed any further

	open       bool         // a message has begun and is not complete
	opcode     frame.Opcode // of the message: text or binary
	compressed bool
	pooled     bool  // its payload is joined in a pooled buffer
	total      int64 // payload of the message's frames so far, as declared

	frame frame.Header // the data frame being read; its mask is that of what is still to come
	rest  int64        // what is still to come of its payload
}

// admit takes the header of a data frame over and holds it to the order of
// fragments (RFC 6455 section 5.4) and to most, MaxMessageSize, before any of
// its payload is read.
func (in *inbound) admit(h frame.Header, most int64) error {
	in.frame, in.rest = h, h.Length
	if h.Opcode == frame.Continuation {
		if !in.open {
			return frame.Violation(websock.CloseProtocolError, "unexpected continuation frame (RFC 6455 section 5.4)")
		}
	} else {
		if in.open {
			return frame.Violation(websock.CloseProtocolError,
				"unexpected %s frame inside a fragmented message (RFC 6455 section 5.4)", h.Opcode)
		}
		in.open, in.opcode, in.compressed, in.total = true, h.Opcode, h.RSV1, 0
	}
	if limit := in.allowance(most); h.Length > limit-in.total {
		size := uint64(in.total) + uint64(h.Length)
		if in.compressed {
			return frame.Violation(websock.CloseMessageTooBig,
				"compressed message of %d bytes exceeds %d, what Config.MaxMessageSize %d allows", size, limit, most)
		}
		return tooBig(size, most)
	}
	in.total += h.Length
	return nil
}

// allowance is how many payload bytes the frames of the message may have. What
// cannot be compressed grows by five bytes per stored block.
func (in *inbound) allowance(most int64) int64 {
	switch {
	case most < 0:
		return math.MaxInt64
	case !in.compressed:
		return most
	}
	extra := most/1000 + 1024
	if most > math.MaxInt64-extra {
		return math.MaxInt64
	}
	return most + extra
}

// complete reports whether all frames of the open message were read.
func (in *inbound) complete() bool { return in.frame.Fin && in.rest == 0 }

func tooBig(size uint64, limit int64) error {
	return frame.Violation(websock.CloseMessageTooBig, "message of %d bytes exceeds Config.MaxMessageSize %d", size, limit)
}

// header waits for the next whole frame header. It stays in the buffer.
func (c *Conn) header() (frame.Header, error) {
	for {
		h, need, err := frame.Parse(c.source.data, c.in.deflate)
		if err != nil {
			c.in.broken = true
			return h, err
		}
		if need <= len(c.source.data) {
			return h, nil
		}
		if err := c.more(); err != nil {
			return h, err
		}
	}
}

// nextFrame waits for the header of the next data frame and takes it. Control
// frames before it are handled.
func (c *Conn) nextFrame() error {
	for {
		h, err := c.header()
		if err != nil {
			return err
		}
		if h.Opcode.Control() {
			if err := c.control(h); err != nil {
				return err
			}
			continue
		}
		c.source.data = c.source.data[h.Size:]
		if err := c.in.admit(h, c.u.opts.MaxMessageSize); err != nil {
			return err
		}
		if h.Length == 0 {
			c.countIn(h.Opcode, 0)
		}
		return nil
	}
}

// available waits until payload of the open message is buffered and returns how
// much, or errMessageEnd when there is no more of it.
func (c *Conn) available() (int, error) {
	for {
		if c.in.rest > 0 {
			if n := min(int64(len(c.source.data)), c.in.rest); n > 0 {
				return int(n), nil
			}
			if err := c.more(); err != nil {
				return 0, err
			}
			continue
		}
		if c.in.frame.Fin {
			c.in.open = false
			c.clock.opened(0)
			return 0, errMessageEnd
		}
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
}

// take moves len(p) buffered payload bytes to p, unmasked.
func (c *Conn) take(p []byte) {
	c.in.frame.Mask = c.in.frame.Mask.Apply(p, c.source.data[:len(p)])
	c.source.data = c.source.data[len(p):]
	c.consumed(len(p))
}

// takeDirect reads payload from the transport straight into p, unmasked.
func (c *Conn) takeDirect(p []byte) (int, error) {
	if err := c.beforeRead(); err != nil {
		return 0, err
	}
	n, err := c.receiveInto(p)
	if err != nil {
		return 0, c.afterRead(err)
	}
	c.in.frame.Mask = c.in.frame.Mask.Apply(p[:n], p[:n])
	c.consumed(n)
	return n, nil
}

func (c *Conn) consumed(n int) {
	c.in.rest -= int64(n)
	if c.in.rest == 0 {
		c.countIn(c.in.frame.Opcode, c.in.frame.Length)
	}
}
