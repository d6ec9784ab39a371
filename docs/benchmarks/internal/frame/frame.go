// Package frame writes the frames of a client and reads those of a server (RFC 6455 section 5, RFC 7692). It is written by
// hand, so that what is measured or tested does not check itself.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Opcodes of RFC 6455 section 5.2.
const (
	Continuation = 0x0
	Text         = 0x1
	Binary       = 0x2
	Close        = 0x8
	Ping         = 0x9
	Pong         = 0xA
)

// MaxHeader is the longest header of a frame that a server sends, which has no masking key.
const MaxHeader = 10

// MaskKey masks all frames. RFC 6455 section 5.3 wants a new one each time, to protect proxies; a server cannot
// tell, and frames that are encoded beforehand keep the load generator cheap.
var MaskKey = [4]byte{0x9d, 0x3c, 0x5a, 0x71}

// Append appends a whole masked message.
func Append(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, MaskKey[:]...)
	for i, p := range payload {
		b = append(b, p^MaskKey[i&3])
	}
	return b
}

// A Header is that of a frame from the server.
type Header struct {
	Fin      bool
	Deflated bool // RSV1, RFC 7692 section 6
	Opcode   byte
	Size     int // of the header
	Length   int // of the payload
}

var ErrShort = errors.New("frame: the frame's header is not complete")

// Parse reads the header at the beginning of b. The error is ErrShort when more bytes are needed.
func Parse(b []byte) (Header, error) {
	if len(b) < 2 {
		return Header{}, ErrShort
	}
	h := Header{Fin: b[0]&0x80 != 0, Deflated: b[0]&0x40 != 0, Opcode: b[0] & 0xF, Size: 2, Length: int(b[1] & 0x7F)}
	if b[0]&0x30 != 0 || b[1]&0x80 != 0 {
		return h, fmt.Errorf("frame: frame %#x %#x of the server is masked or has RSV2 or RSV3", b[0], b[1])
	}
	switch h.Length {
	case 126:
		if h.Size = 4; len(b) < h.Size {
			return h, ErrShort
		}
		h.Length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if h.Size = MaxHeader; len(b) < h.Size {
			return h, ErrShort
		}
		h.Length = int(binary.BigEndian.Uint64(b[2:]))
		if h.Length < 0 || h.Length > 1<<30 {
			return h, fmt.Errorf("frame: frame of %d bytes", h.Length)
		}
	}
	return h, nil
}
