package wire

import (
	"errors"
	"math"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// errMessageEnd says that the open message is complete.
var errMessageEnd = errors.New("wire: end of message")

// nextFrame waits for the header of the next data frame and takes it. Control
// frames before it are handled.
func (r *reader) nextFrame() error {
	for {
		h, err := r.header()
		if err != nil {
			return err
		}
		if h.Opcode.Control() {
			if err := r.control(h); err != nil {
				return err
			}
			continue
		}
		r.source.data = r.source.data[h.Size:]
		if err := r.admit(h, r.source.t.opts.MaxMessageSize); err != nil {
			return err
		}
		if h.Length == 0 {
			r.count(h.Opcode, 0)
		}
		return nil
	}
}

// admit takes the header of a data frame and checks, before any of its payload is
// read, the order of fragments (RFC 6455 section 5.4) and the size of the message,
// which may be at most most, MaxMessageSize.
func (r *reader) admit(h frame.Header, most int64) error {
	r.frame, r.remaining = h, h.Length
	if h.Opcode == frame.Continuation {
		if !r.open {
			return frame.Violation(websock.CloseProtocolError, "unexpected continuation frame (RFC 6455 section 5.4)")
		}
	} else {
		if r.open {
			return frame.Violation(websock.CloseProtocolError,
				"unexpected %s frame inside a fragmented message (RFC 6455 section 5.4)", h.Opcode)
		}
		r.open, r.opcode, r.compressed, r.total = true, h.Opcode, h.RSV1, 0
	}
	if limit := r.allowance(most); h.Length > limit-r.total {
		size := uint64(r.total) + uint64(h.Length)
		if r.compressed {
			return frame.Violation(websock.CloseMessageTooBig,
				"compressed message of %d bytes exceeds %d, what Config.MaxMessageSize %d allows", size, limit, most)
		}
		return frame.Violation(websock.CloseMessageTooBig, "message of %d bytes exceeds Config.MaxMessageSize %d", size, most)
	}
	r.total += h.Length
	return nil
}

// allowance is how many payload bytes the frames of the message may have. Deflate
// makes what it cannot compress larger, by five bytes for each stored block.
func (r *reader) allowance(most int64) int64 {
	switch {
	case most < 0:
		return math.MaxInt64
	case !r.compressed:
		return most
	}
	extra := most/1000 + 1024
	if most > math.MaxInt64-extra {
		return math.MaxInt64
	}
	return most + extra
}

// available waits until payload of the open message is buffered and returns how
// much, or errMessageEnd when there is no more of it.
func (r *reader) available() (int, error) {
	for {
		if r.remaining > 0 {
			if n := min(int64(len(r.source.data)), r.remaining); n > 0 {
				return int(n), nil
			}
			if _, err := r.more(nil); err != nil {
				return 0, err
			}
			continue
		}
		if r.frame.Fin {
			r.open = false
			r.opened(0)
			return 0, errMessageEnd
		}
		if err := r.nextFrame(); err != nil {
			return 0, err
		}
	}
}

// take moves len(p) buffered payload bytes to p, unmasked.
func (r *reader) take(p []byte) {
	r.frame.Mask = r.frame.Mask.Apply(p, r.source.data[:len(p)])
	r.source.data = r.source.data[len(p):]
	r.consumed(len(p))
}

// takeDirect reads payload from the transport straight into p, unmasked.
func (r *reader) takeDirect(p []byte) (n int, err error) {
	n, err = r.more(p)
	r.frame.Mask = r.frame.Mask.Apply(p[:n], p[:n])
	r.consumed(n)
	return n, err
}
