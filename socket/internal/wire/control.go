package wire

import (
	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// control waits for the payload of the control frame whose header h begins the
// buffer, and handles the frame. A Close frame ends reading: its meaning is the
// error.
func (r *reader) control(h frame.Header) error {
	p, err := r.controlPayload(h)
	if err != nil {
		return err
	}
	r.count(h.Opcode, h.Length)
	if h.Opcode == frame.Close {
		return r.peerClosed(p)
	}
	if !r.open {
		r.opened(0)
	}
	if r.source.discard.Load() {
		return ErrStopped
	}
	if r.hooks == nil {
		return nil
	}
	at, then := r.openedAt.Load(), r.source.t.Now()
	r.opened(0) // the time that the hook takes does not count for MessageSince
	if !r.hooks.OnControl(websock.Message{Opcode: websock.Opcode(h.Opcode), Data: p}) {
		return ErrStopped
	}
	if at != 0 {
		r.opened(at + r.source.t.Now() - then)
	}
	return nil
}

// controlPayload takes a control frame off the buffer once it is whole, and
// returns its payload, unmasked.
func (r *reader) controlPayload(h frame.Header) ([]byte, error) {
	s := &r.source
	size := int(h.Size) + int(h.Length)
	for len(s.data) < size {
		if _, err := r.more(nil); err != nil {
			return nil, err
		}
	}
	p := make([]byte, h.Length)
	h.Mask.Apply(p, s.data[h.Size:size])
	s.data = s.data[size:]
	return p, nil
}

// peerClosed takes the payload of the peer's Close frame. What stands after it
// is ignored (RFC 6455 section 5.5.1).
func (r *reader) peerClosed(p []byte) error {
	r.finished = len(r.source.data) == 0 && !r.source.t.client()
	r.source.drop()
	r.closed = true
	detail, err := frame.ParseClose(p)
	if err != nil {
		return err
	}
	r.rare.Load().received.Store(&detail) // count has made it
	return &websock.RemoteCloseError{Code: detail.Code, Reason: detail.Reason}
}

// Finished reports whether the peer's Close frame was read and nothing after it: TCP can be closed without a reset. For a
// client it is always false: the server is to close TCP first (RFC 6455 section 7.1.1). It is for the reading goroutine.
func (r *reader) Finished() bool { return r.finished }
