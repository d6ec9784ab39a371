package load

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Opcodes of RFC 6455 section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// maxHeader is the longest header of a frame that a server sends, which has no masking key.
const maxHeader = 10

// maskKey masks all frames. RFC 6455 section 5.3 wants a new one each time, to protect proxies; a server cannot
// tell, and frames that are encoded beforehand keep the load generator cheap.
var maskKey = [4]byte{0x9d, 0x3c, 0x5a, 0x71}

// appendFrame appends a whole masked message.
func appendFrame(b []byte, opcode byte, payload []byte) []byte {
	b = append(b, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, maskKey[:]...)
	for i, p := range payload {
		b = append(b, p^maskKey[i&3])
	}
	return b
}

// A header is that of a frame from the server.
type header struct {
	fin      bool
	deflated bool // RSV1, RFC 7692 section 6
	opcode   byte
	size     int // of the header
	length   int // of the payload
}

var errShort = errors.New("load: the frame's header is not complete")

// parseHeader reads the header at the beginning of b. The error is errShort when more bytes are needed.
func parseHeader(b []byte) (header, error) {
	if len(b) < 2 {
		return header{}, errShort
	}
	h := header{fin: b[0]&0x80 != 0, deflated: b[0]&0x40 != 0, opcode: b[0] & 0xF, size: 2, length: int(b[1] & 0x7F)}
	if b[0]&0x30 != 0 || b[1]&0x80 != 0 {
		return h, fmt.Errorf("load: frame %#x %#x of the server is masked or has RSV2 or RSV3", b[0], b[1])
	}
	switch h.length {
	case 126:
		if h.size = 4; len(b) < h.size {
			return h, errShort
		}
		h.length = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if h.size = maxHeader; len(b) < h.size {
			return h, errShort
		}
		h.length = int(binary.BigEndian.Uint64(b[2:]))
		if h.length < 0 || h.length > 1<<30 {
			return h, fmt.Errorf("load: frame of %d bytes", h.length)
		}
	}
	return h, nil
}

// inflate returns the text of a message compressed without context takeover (RFC 7692 section 7.2.2).
func inflate(data []byte) ([]byte, error) {
	r := flate.NewReader(io.MultiReader(bytes.NewReader(data), bytes.NewReader([]byte("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
	return io.ReadAll(r)
}

// deflate compresses a message without context takeover (RFC 7692 section 7.2.1).
func deflate(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")), nil
}
