package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/troupe-dev/troupe/websock"
)

// opcode is the frame type of RFC 6455 section 5.2.
type opcode byte

const (
	opContinuation opcode = 0x0
	opText         opcode = 0x1
	opBinary       opcode = 0x2
	opClose        opcode = 0x8
	opPing         opcode = 0x9
	opPong         opcode = 0xA
)

func (op opcode) control() bool { return op&8 != 0 }

func (op opcode) String() string {
	switch op {
	case opContinuation:
		return "continuation"
	case opText:
		return "text"
	case opBinary:
		return "binary"
	case opClose:
		return "close"
	case opPing:
		return "ping"
	case opPong:
		return "pong"
	}
	return fmt.Sprintf("opcode %d", byte(op))
}

const (
	bitFin  = 0x80
	bitRSV1 = 0x40
	bitMask = 0x80

	maxHeader         = 14  // two bytes, eight of length, four of mask
	maxControlPayload = 125 // RFC 6455 section 5.5
)

// header is the header of one frame from a client.
type header struct {
	length int64
	mask   [4]byte
	fin    bool
	rsv1   bool
	opcode opcode
	size   uint8 // of the header itself
}

// parseHeader reads the header at the start of b and checks what the framing
// itself demands. Before the whole header is there it returns how many bytes it
// needs to go on, more than len(b); what the bytes already show to be wrong is
// refused without waiting for more. deflate: permessage-deflate was negotiated.
func parseHeader(b []byte, deflate bool) (h header, need int, err error) {
	if len(b) < 2 {
		return h, 2, nil
	}
	h.fin = b[0]&bitFin != 0
	h.rsv1 = b[0]&bitRSV1 != 0
	h.opcode = opcode(b[0] & 0xF)
	short := b[1] &^ bitMask
	if b[1]&bitMask == 0 {
		return h, 0, broken("client frame without mask (RFC 6455 section 5.1)")
	}
	if rsv := b[0] >> 4 & 3; rsv != 0 {
		return h, 0, broken("unsupported RSV flags %02b, RSV2 and RSV3 (RFC 6455 section 5.2)", rsv)
	}
	if err := checkOpcode(h, short, deflate); err != nil {
		return h, 0, err
	}

	h.size = 6
	switch short {
	case 126:
		h.size = 8
		if len(b) < 4 {
			return h, 4, nil
		}
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.length < 126 {
			return h, 0, broken("length %d not in its shortest form (RFC 6455 section 5.2)", h.length)
		}
	case 127:
		h.size = 14
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
		h.length = int64(length)
	default:
		h.length = int64(short)
	}
	if len(b) >= int(h.size) {
		copy(h.mask[:], b[h.size-4:])
	}
	return h, int(h.size), nil
}

// checkOpcode holds the first two bytes of a header to the rules of its opcode.
func checkOpcode(h header, short byte, deflate bool) error {
	switch h.opcode {
	case opText, opBinary:
		if h.rsv1 && !deflate {
			return broken("RSV1 set, but permessage-deflate was not negotiated (RFC 6455 section 5.2)")
		}
		return nil
	case opContinuation:
		if h.rsv1 {
			return broken("compressed continuation frame (RFC 7692 section 6.1)")
		}
		return nil
	case opClose, opPing, opPong:
		if h.rsv1 {
			return broken("compressed %s frame (RFC 7692 section 6.1)", h.opcode)
		}
		if !h.fin {
			return broken("fragmented %s frame (RFC 6455 section 5.5)", h.opcode)
		}
		if short > maxControlPayload {
			return broken("%s payload of more than %d bytes (RFC 6455 section 5.5)", h.opcode, maxControlPayload)
		}
		return nil
	}
	return broken("unknown opcode %d (RFC 6455 section 5.2)", byte(h.opcode))
}

// broken is a breach after which the stream cannot be parsed any more, or need
// not be.
func broken(format string, args ...any) error {
	return violation(websock.CloseProtocolError, format, args...)
}

// violation is a breach that is answered with code.
func violation(code websock.CloseCode, format string, args ...any) *websock.ProtocolError {
	return &websock.ProtocolError{Code: code, Rule: fmt.Sprintf(format, args...)}
}
