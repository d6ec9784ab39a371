package rawclient

import (
	"encoding/binary"
	"fmt"
)

// Opcodes of RFC 6455 section 5.2.
const (
	OpContinuation byte = 0x0
	OpText         byte = 0x1
	OpBinary       byte = 0x2
	OpClose        byte = 0x8
	OpPing         byte = 0x9
	OpPong         byte = 0xA
)

// Bits of Frame.RSV.
const (
	RSV1 uint8 = 4 // the message is compressed, RFC 7692 section 6
	RSV2 uint8 = 2
	RSV3 uint8 = 1
)

// Frame is one frame of RFC 6455 section 5.2.
type Frame struct {
	Fin     bool
	RSV     uint8 // RSV1, RSV2 and RSV3, or'ed
	Opcode  byte  // four bits
	Masked  bool
	Payload []byte // not masked, but still compressed when RSV1 is set

	// Raw is the whole frame as it was read, and Mask its masking key. Writing ignores them.
	Raw  []byte
	Mask [4]byte
}

// String describes f in one line, for messages of tests.
func (f Frame) String() string {
	return fmt.Sprintf("{fin=%t rsv=%03b opcode=%#x masked=%t payload=%d bytes %.40q}",
		f.Fin, f.RSV, f.Opcode, f.Masked, len(f.Payload), f.Payload)
}

// AppendFrame appends the bytes of f to dst, with the shortest length that
// fits. The payload is masked with mask when f.Masked is set. Nothing is
// checked.
func AppendFrame(dst []byte, f Frame, mask [4]byte) []byte {
	dst = AppendHeader(dst, f, uint64(len(f.Payload)), mask)
	start := len(dst)
	dst = append(dst, f.Payload...)
	if f.Masked {
		applyMask(dst[start:], mask)
	}
	return dst
}

// applyMask masks p, or takes the mask off (RFC 6455 section 5.3).
func applyMask(p []byte, mask [4]byte) {
	for i := range p {
		p[i] ^= mask[i%4]
	}
}

// AppendHeader appends what AppendFrame puts before the payload, but declares
// length bytes whatever f.Payload is.
func AppendHeader(dst []byte, f Frame, length uint64, mask [4]byte) []byte {
	b0 := f.RSV&7<<4 | f.Opcode&0xF
	if f.Fin {
		b0 |= 0x80
	}
	var b1 byte
	if f.Masked {
		b1 = 0x80
	}
	switch {
	case length <= 125:
		dst = append(dst, b0, b1|byte(length))
	case length <= 0xFFFF:
		dst = append(dst, b0, b1|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	default:
		dst = append(dst, b0, b1|127)
		dst = binary.BigEndian.AppendUint64(dst, length)
	}
	if f.Masked {
		dst = append(dst, mask[:]...)
	}
	return dst
}

// ClosePayload returns the payload of a Close frame (RFC 6455 section 5.5.1).
func ClosePayload(code uint16, reason string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, code), reason...)
}

func isControl(opcode byte) bool { return opcode&8 != 0 }
