package frame

import (
	"encoding/binary"

	"github.com/troupe-dev/troupe/websock"
)

const (
	// MaxHeader is the size of the longest header: two bytes, eight of length,
	// four of mask.
	MaxHeader = 14

	// MaxControlPayload is the most that a control frame carries (RFC 6455 section
	// 5.5).
	MaxControlPayload = 125

	bitFin  = 0x80
	bitRSV1 = 0x40
	bitMask = 0x80
)

// Header is the header of one frame from the peer.
type Header struct {
	Length int64 // of the payload
	Mask   Mask  // of the payload; 0: it has none
	Fin    bool  // the last fragment of its message, or the only one
	RSV1   bool  // of the first fragment: the message is compressed (RFC 7692 section 6)
	Opcode Opcode
	Size   uint8 // of the header itself
}

// Rules are those for a peer's frames that depend on the connection.
type Rules struct {
	Deflate  bool // permessage-deflate was negotiated
	Unmasked bool // the peer is the server: its frames must not be masked, those of a client must be (RFC 6455 section 5.1)
}

// Parse reads the header at the start of b and checks the rules that concern a
// single frame. need is how many bytes it needs to go on, more than len(b), or
// the size of the header when that is complete. What is already seen to be wrong
// is refused without waiting for more.
func Parse(b []byte, rules Rules) (h Header, need int, err error) {
	if len(b) < 2 {
		return h, 2, nil
	}
	h.Fin = b[0]&bitFin != 0
	h.RSV1 = b[0]&bitRSV1 != 0
	h.Opcode = Opcode(b[0] & 0xF)
	short := b[1] &^ bitMask
	if b[1]&bitMask == 0 != rules.Unmasked {
		return h, 0, wrongMask(rules)
	}
	if rsv := b[0] >> 4 & 3; rsv != 0 {
		return h, 0, broken("unsupported RSV flags %02b, RSV2 and RSV3 (RFC 6455 section 5.2)", rsv)
	}
	if h.RSV1 || h.Opcode != Text && h.Opcode != Binary {
		if err := h.check(short, rules.Deflate); err != nil {
			return h, 0, err
		}
	}

	key := b[1] & bitMask >> 5 // the size of the masking key: 4 or 0
	h.Size = 2 + key
	switch short {
	case 126:
		h.Size += 2
		if len(b) < 4 {
			return h, 4, nil
		}
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.Length < 126 {
			return h, 0, broken("length %d not in its shortest form (RFC 6455 section 5.2)", h.Length)
		}
	case 127:
		h.Size += 8
		if len(b) < 10 {
			return h, 10, nil
		}
		length := binary.BigEndian.Uint64(b[2:])
		if length>>63 != 0 {
			return h, 0, broken("64 bit length %#x with its highest bit set (RFC 6455 section 5.2)", length)
		}
		if length < 1<<16 {
			return h, 0, broken("length %d not in its shortest form (RFC 6455 section 5.2)", length)
		}
		h.Length = int64(length)
	default:
		h.Length = int64(short)
	}
	if key != 0 && len(b) >= int(h.Size) {
		h.Mask = Mask(binary.LittleEndian.Uint32(b[h.Size-4:]))
	}
	return h, int(h.Size), nil
}

func wrongMask(rules Rules) error {
	if rules.Unmasked {
		return broken("server frame with mask (RFC 6455 section 5.1)")
	}
	return broken("client frame without mask (RFC 6455 section 5.1)")
}

// check checks the first two bytes of a header against the rules for its opcode.
func (h *Header) check(short byte, deflate bool) error {
	switch h.Opcode {
	case Text, Binary:
		if h.RSV1 && !deflate {
			return broken("RSV1 set, but permessage-deflate was not negotiated (RFC 6455 section 5.2)")
		}
		return nil
	case Continuation:
		if h.RSV1 {
			return broken("compressed continuation frame (RFC 7692 section 6.1)")
		}
		return nil
	case Close, Ping, Pong:
		if h.RSV1 {
			return broken("compressed %s frame (RFC 7692 section 6.1)", h.Opcode)
		}
		if !h.Fin {
			return broken("fragmented %s frame (RFC 6455 section 5.5)", h.Opcode)
		}
		if short > MaxControlPayload {
			return broken("%s payload of more than %d bytes (RFC 6455 section 5.5)", h.Opcode, MaxControlPayload)
		}
		return nil
	}
	return broken("unknown opcode %d (RFC 6455 section 5.2)", byte(h.Opcode))
}

// broken is a breach that is answered with 1002.
func broken(format string, args ...any) error {
	return Violation(websock.CloseProtocolError, format, args...)
}

// AppendMasked appends the header of a client's frame to p: as AppendHeader, and with the masking key.
func AppendMasked(p []byte, op Opcode, compressed bool, length int, key Mask) []byte {
	at := len(p)
	p = AppendHeader(p, op, compressed, length)
	p[at+1] |= bitMask
	return binary.LittleEndian.AppendUint32(p, uint32(key))
}

// AppendHeader appends the header of a server's frame to p, in its shortest
// form, unmasked and never a fragment (RFC 6455 section 5.2).
func AppendHeader(p []byte, op Opcode, compressed bool, length int) []byte {
	first := bitFin | byte(op)
	if compressed {
		first |= bitRSV1
	}
	switch {
	case length <= MaxControlPayload:
		return append(p, first, byte(length))
	case length <= 0xFFFF:
		return append(p, first, 126, byte(length>>8), byte(length))
	default:
		return binary.BigEndian.AppendUint64(append(p, first, 127), uint64(length))
	}
}
