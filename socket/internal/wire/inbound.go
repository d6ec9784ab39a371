package wire

import (
	"math"

	"github.com/troupe-dev/troupe/websock"
)

// inbound is the state of the frames that come in: which frame is being read,
// and of which message. It belongs to the reading goroutine.
type inbound struct {
	deflate bool // permessage-deflate was negotiated
	broken  bool // the stream cannot be parsed any further

	open       bool   // a message has begun and is not complete
	opcode     opcode // of the message: text or binary
	compressed bool
	pooled     bool  // its payload is joined in a pooled buffer
	total      int64 // payload of the message's frames so far, as declared

	frame header // the data frame being read
	rest  int64  // what is still to come of its payload
}

// admit takes the header of a data frame over and holds it to the order of
// fragments (RFC 6455 section 5.4) and to most, MaxMessageSize, before any of
// its payload is read.
func (in *inbound) admit(h header, most int64) error {
	in.frame, in.rest = h, h.length
	if h.opcode == opContinuation {
		if !in.open {
			return violation(websock.CloseProtocolError, "unexpected continuation frame (RFC 6455 section 5.4)")
		}
	} else {
		if in.open {
			return violation(websock.CloseProtocolError,
				"unexpected %s frame inside a fragmented message (RFC 6455 section 5.4)", h.opcode)
		}
		in.open, in.opcode, in.compressed, in.total = true, h.opcode, h.rsv1, 0
	}
	if limit := in.allowance(most); h.length > limit-in.total {
		size := uint64(in.total) + uint64(h.length)
		if in.compressed {
			return violation(websock.CloseMessageTooBig,
				"compressed message of %d bytes exceeds %d, what Config.MaxMessageSize %d allows", size, limit, most)
		}
		return tooBig(size, most)
	}
	in.total += h.length
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
func (in *inbound) complete() bool { return in.frame.fin && in.rest == 0 }

func tooBig(size uint64, limit int64) error {
	return violation(websock.CloseMessageTooBig, "message of %d bytes exceeds Config.MaxMessageSize %d", size, limit)
}

// header waits for the next whole frame header. It stays in the buffer.
func (c *Conn) header() (header, error) {
	for {
		h, need, err := parseHeader(c.source.data, c.in.deflate)
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

// nextFrame waits for the next data frame and returns its header as it came,
// valid until the next read. Control frames before it are handled. An empty frame
// in the middle of a message is legal and says nothing, so it goes no further.
func (c *Conn) nextFrame() (raw []byte, err error) {
	for {
		h, err := c.header()
		if err != nil {
			return nil, err
		}
		if h.opcode.control() {
			if err := c.control(h); err != nil {
				return nil, err
			}
			continue
		}
		raw := c.source.data[:h.size]
		c.source.data = c.source.data[h.size:]
		if err := c.in.admit(h, c.u.opts.MaxMessageSize); err != nil {
			return nil, err
		}
		if h.length == 0 {
			c.countIn(h.opcode, 0)
			if h.opcode == opContinuation && !h.fin {
				continue
			}
		}
		return raw, nil
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
		if c.in.frame.fin {
			return 0, c.endMessage()
		}
		raw, err := c.nextFrame()
		if err != nil {
			return 0, err
		}
		c.decoder.feed.stage(raw)
	}
}

// take moves len(p) buffered payload bytes to p, unmasked.
func (c *Conn) take(p []byte) error {
	if err := c.decoder.unmask(p, c.source.data[:len(p)]); err != nil {
		return err
	}
	c.source.data = c.source.data[len(p):]
	c.consumed(len(p))
	return nil
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
	if n == 0 {
		return 0, nil
	}
	if err := c.decoder.unmask(p[:n], p[:n]); err != nil {
		return 0, err
	}
	c.consumed(n)
	return n, nil
}

func (c *Conn) consumed(n int) {
	c.in.rest -= int64(n)
	if c.in.rest == 0 {
		c.countIn(c.in.frame.opcode, c.in.frame.length)
	}
}
