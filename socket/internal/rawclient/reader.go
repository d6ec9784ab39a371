package rawclient

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// reader is what reading remembers between calls.
type reader struct {
	raw        []byte // the frame being read; survives a read that times out
	fragmented bool   // a data message is open
	closed     bool   // a Close frame was read
	bad        *BadPeerError

	message message
	window  []byte // context of the peer's deflate, when it keeps one
}

// message is the data message that ReadMessage joins.
type message struct {
	opcode     byte
	compressed bool
	payload    []byte
}

// ReadFrame reads the next frame and checks all that RFC 6455 and RFC 7692 ask
// of a peer for a single frame: no mask from a server, and one from a client
// (section 5.1), no reserved bits but
// RSV1 on the first frame of a message when compression was negotiated, a
// known opcode (5.2), the shortest length (5.2), whole control frames of at most
// 125 bytes (5.5), fragments in order (5.4), a Close frame with a legal code and a
// UTF-8 reason (5.5.1, 7.4), and nothing after it. A breach is a
// *[BadPeerError], now and for ever.
//
// It blocks until the frame is complete. [io.EOF] is the end of the stream
// between frames, after a Close frame or without one; [io.ErrUnexpectedEOF] is
// an end inside a frame. After an expired deadline reading can go on, nothing is
// lost. The frame belongs to the caller. Whether text is UTF-8 is checked by
// ReadMessage.
func (c *Client) ReadFrame() (Frame, error) {
	r := &c.in
	if r.bad != nil {
		return Frame{}, r.bad
	}
	f, err := c.readFrame()
	if bad, ok := errors.AsType[*BadPeerError](err); ok {
		r.bad = bad
	}
	return f, err
}

func (c *Client) readFrame() (Frame, error) {
	r := &c.in
	if err := c.need(1); err != nil {
		return Frame{}, err
	}
	if r.closed {
		return Frame{}, r.breach("a byte after the Close frame (RFC 6455 section 5.5.1)")
	}
	if err := c.need(2); err != nil {
		return Frame{}, err
	}
	f := Frame{
		Fin:    r.raw[0]&0x80 != 0,
		RSV:    r.raw[0] >> 4 & 7,
		Opcode: r.raw[0] & 0xF,
		Masked: r.raw[1]&0x80 != 0,
	}
	// What the first two bytes show is reported before the rest is awaited.
	if err := c.checkHeader(f, r.raw[1]&0x7F); err != nil {
		return Frame{}, err
	}
	header, length, err := c.readLength(r.raw[1] & 0x7F)
	if err != nil {
		return Frame{}, err
	}
	if f.Masked {
		header += len(f.Mask)
	}
	if length > uint64(maxInt-header) {
		return Frame{}, r.breach("a length of %d bytes", length)
	}
	if err := c.need(header + int(length)); err != nil {
		return Frame{}, err
	}
	f.Raw = r.raw
	f.Payload = r.raw[header:]
	if f.Masked {
		f.Mask = [4]byte(r.raw[header-4:])
		f.Payload = bytes.Clone(f.Payload)
		applyMask(f.Payload, f.Mask)
	}
	if f.Opcode == OpClose {
		if err := r.checkClose(f.Payload); err != nil {
			return Frame{}, err
		}
		r.closed = true
	}
	if !isControl(f.Opcode) {
		r.fragmented = !f.Fin
	}
	r.raw = nil
	return f, nil
}

const maxInt = int(^uint(0) >> 1)

// checkHeader checks what the first two bytes tell.
func (c *Client) checkHeader(f Frame, length byte) error {
	r := &c.in
	switch {
	case f.Masked && !c.server:
		return r.breach("a masked frame (RFC 6455 section 5.1)")
	case !f.Masked && c.server:
		return r.breach("a frame without mask (RFC 6455 section 5.1)")
	case f.RSV&(RSV2|RSV3) != 0:
		return r.breach("RSV2 or RSV3 set (RFC 6455 section 5.2)")
	case f.RSV&RSV1 != 0 && !c.Extensions.Deflate:
		return r.breach("RSV1 set without permessage-deflate (RFC 6455 section 5.2)")
	case f.RSV&RSV1 != 0 && f.Opcode != OpText && f.Opcode != OpBinary:
		return r.breach("RSV1 set on opcode %#x (RFC 7692 section 6.1)", f.Opcode)
	}
	switch f.Opcode {
	case OpContinuation:
		if !r.fragmented {
			return r.breach("a continuation of nothing (RFC 6455 section 5.4)")
		}
	case OpText, OpBinary:
		if r.fragmented {
			return r.breach("a new message inside a fragmented one (RFC 6455 section 5.4)")
		}
	case OpClose, OpPing, OpPong:
		if !f.Fin {
			return r.breach("a fragmented control frame (RFC 6455 section 5.5)")
		}
		if length > 125 {
			return r.breach("a control frame of more than 125 bytes (RFC 6455 section 5.5)")
		}
	default:
		return r.breach("unknown opcode %#x (RFC 6455 section 5.2)", f.Opcode)
	}
	return nil
}

// readLength reads the extended payload length that the 7 bits announce. It
// returns the size of the header too.
func (c *Client) readLength(bits byte) (header int, length uint64, err error) {
	r := &c.in
	switch bits {
	case 126:
		if err := c.need(4); err != nil {
			return 0, 0, err
		}
		length = uint64(binary.BigEndian.Uint16(r.raw[2:]))
		if length <= 125 {
			return 0, 0, r.breach("%d bytes declared in 16 bits (RFC 6455 section 5.2)", length)
		}
		return 4, length, nil
	case 127:
		if err := c.need(10); err != nil {
			return 0, 0, err
		}
		length = binary.BigEndian.Uint64(r.raw[2:])
		if length <= 0xFFFF {
			return 0, 0, r.breach("%d bytes declared in 64 bits (RFC 6455 section 5.2)", length)
		}
		if length>>63 != 0 {
			return 0, 0, r.breach("a length with the highest bit set (RFC 6455 section 5.2)")
		}
		return 10, length, nil
	}
	return 2, uint64(bits), nil
}

// checkClose checks the payload of a Close frame.
func (r *reader) checkClose(p []byte) error {
	switch {
	case len(p) == 0:
		return nil
	case len(p) == 1:
		return r.breach("a Close payload of one byte (RFC 6455 section 5.5.1)")
	}
	if code := binary.BigEndian.Uint16(p); !legalCloseCode(code) {
		return r.breach("close code %d (RFC 6455 section 7.4)", code)
	}
	if !utf8.Valid(p[2:]) {
		return r.breach("a close reason that is not UTF-8 (RFC 6455 section 5.5.1)")
	}
	return nil
}

// legalCloseCode says whether code may stand in a Close frame: what the IANA
// registry assigns, without the codes that never go over the wire, and the
// ranges of libraries and applications.
func legalCloseCode(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014:
		return true
	}
	return code >= 3000 && code <= 4999
}

// ReadMessage returns the next complete data message, joined, inflated and, if
// text, checked for UTF-8; or a control frame, with its opcode and payload,
// as soon as it is met, also between the fragments of a message. Errors are
// those of ReadFrame. Between the fragments of one message a caller must not
// change from one of the two methods to the other.
func (c *Client) ReadMessage() (opcode byte, payload []byte, err error) {
	r := &c.in
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return 0, nil, err
		}
		if isControl(f.Opcode) {
			return f.Opcode, f.Payload, nil
		}
		if f.Opcode != OpContinuation {
			r.message = message{opcode: f.Opcode, compressed: f.RSV&RSV1 != 0}
		}
		r.message.payload = append(r.message.payload, f.Payload...)
		if !f.Fin {
			continue
		}
		m := r.message
		r.message = message{}
		if m.compressed {
			if m.payload, err = c.inflate(m.payload); err != nil {
				return 0, nil, err
			}
		}
		if m.opcode == OpText && !utf8.Valid(m.payload) {
			return 0, nil, r.breachIn(m.payload, "a text message that is not UTF-8 (RFC 6455 section 5.6)")
		}
		return m.opcode, m.payload, nil
	}
}

// inflate decompresses a message, in the context of those before it unless the
// peer promised to keep none.
func (c *Client) inflate(p []byte) ([]byte, error) {
	r := &c.in
	out, err := inflate(p, r.window)
	if err != nil {
		return nil, r.breachIn(p, "a message that does not inflate (RFC 7692 section 7.2.2): %v", err)
	}
	none := c.Extensions.ServerNoContextTakeover
	if c.server {
		none = c.Extensions.ClientNoContextTakeover
	}
	if !none {
		r.window = tail(append(r.window, out...), maxWindow)
	}
	return out, nil
}

// need reads until the current frame has at least n bytes, taking memory only
// for what arrives.
func (c *Client) need(n int) error {
	r := &c.in
	for len(r.raw) < n {
		have := len(r.raw)
		r.raw = append(r.raw, make([]byte, min(n-have, maxWindow))...)
		m, err := c.br.Read(r.raw[have:])
		r.raw = r.raw[:have+m]
		if err == nil || m > 0 {
			continue
		}
		if errors.Is(err, io.EOF) && have > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// breach is a broken rule in the frame being read.
func (r *reader) breach(format string, args ...any) error {
	return &BadPeerError{Rule: fmt.Sprintf(format, args...), Raw: r.raw}
}

// breachIn is a breach that is seen only in the whole message raw.
func (r *reader) breachIn(raw []byte, format string, args ...any) error {
	r.bad = &BadPeerError{Rule: fmt.Sprintf(format, args...), Raw: raw}
	return r.bad
}
