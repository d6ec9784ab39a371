package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// header is the bytes of a client's frame header.
func header(first, second byte, rest ...byte) []byte { return append([]byte{first, second}, rest...) }

func TestParse(t *testing.T) { // RFC 6455 section 5.2
	mask := []byte{1, 2, 3, 4}
	const key = 0x04030201
	masked := func(first, second byte, length ...byte) []byte {
		return append(header(first, second, length...), mask...)
	}
	for _, tt := range []struct {
		name    string
		input   []byte
		deflate bool
		want    frame.Header
		need    int
		broken  string // start of the rule; "": it is legal
	}{
		{"nothing", nil, false, frame.Header{}, 2, ""},
		{"one byte", []byte{0x81}, false, frame.Header{}, 2, ""},
		{"text", masked(0x81, 0x85), false, frame.Header{Length: 5, Mask: key, Fin: true, Opcode: frame.Text, Size: 6}, 6, ""},
		{"without its mask yet", header(0x81, 0x85), false, frame.Header{Length: 5, Fin: true, Opcode: frame.Text, Size: 6}, 6, ""},
		{"fragment", masked(0x02, 0x80), false, frame.Header{Mask: key, Opcode: frame.Binary, Size: 6}, 6, ""},
		{"continuation", masked(0x80, 0x81), false, frame.Header{Length: 1, Mask: key, Fin: true, Size: 6}, 6, ""},
		{"16 bit", masked(0x82, 0xfe, 0, 126), false, frame.Header{Length: 126, Mask: key, Fin: true, Opcode: frame.Binary, Size: 8}, 8, ""},
		{"16 bit, half of it", header(0x82, 0xfe, 0), false, frame.Header{Fin: true, Opcode: frame.Binary, Size: 8}, 4, ""},
		{"64 bit", masked(0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0), false, frame.Header{Length: 65536, Mask: key, Fin: true, Opcode: frame.Binary, Size: 14}, 14, ""},
		{"64 bit, half of it", header(0x82, 0xff, 0, 0, 0), false, frame.Header{Fin: true, Opcode: frame.Binary, Size: 14}, 10, ""},
		{"compressed", masked(0xc1, 0x81), true, frame.Header{Length: 1, Mask: key, Fin: true, RSV1: true, Opcode: frame.Text, Size: 6}, 6, ""},
		{"ping of 125", masked(0x89, 0xfd), false, frame.Header{Length: 125, Mask: key, Fin: true, Opcode: frame.Ping, Size: 6}, 6, ""},

		{"unmasked", header(0x81, 0x05), false, frame.Header{}, 0, "client frame without mask"},
		{"RSV1 without deflate", header(0xc1, 0x80), false, frame.Header{}, 0, "RSV1 set, but permessage-deflate was not negotiated"},
		{"RSV2", header(0xa1, 0x80), true, frame.Header{}, 0, "unsupported RSV flags 10"},
		{"RSV3", header(0x91, 0x80), true, frame.Header{}, 0, "unsupported RSV flags 01"},
		{"compressed continuation", header(0xc0, 0x80), true, frame.Header{}, 0, "compressed continuation frame"},
		{"compressed ping", header(0xc9, 0x80), true, frame.Header{}, 0, "compressed ping frame"},
		{"reserved opcode", header(0x83, 0x80), false, frame.Header{}, 0, "unknown opcode 3"},
		{"reserved control opcode", header(0x8f, 0x80), false, frame.Header{}, 0, "unknown opcode 15"},
		{"fragmented close", header(0x08, 0x80), false, frame.Header{}, 0, "fragmented close frame"},
		{"long pong", header(0x8a, 0xfe), false, frame.Header{}, 0, "pong payload of more than 125 bytes"},
		{"16 bit for 125", header(0x81, 0xfe, 0, 125), false, frame.Header{}, 0, "length 125 not in its shortest form"},
		{"64 bit for 65535", header(0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff), false, frame.Header{}, 0, "length 65535 not in its shortest form"},
		{"highest bit", header(0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0), false, frame.Header{}, 0, "64 bit length 0x8000000000000000"},
	} {
		h, need, err := frame.Parse(tt.input, frame.Rules{Deflate: tt.deflate})
		if tt.broken != "" {
			broken, ok := errors.AsType[*websock.ProtocolError](err)
			if !ok || broken.Code != websock.CloseProtocolError || !strings.HasPrefix(broken.Rule, tt.broken) {
				t.Errorf("%s: %x: %v, want 1002 %s", tt.name, tt.input, err, tt.broken)
			}
			continue
		}
		if need > len(tt.input) {
			h.Length, tt.want.Length = 0, 0 // of no meaning yet
		}
		if err != nil || need != tt.need || len(tt.input) >= 2 && h != tt.want {
			t.Errorf("%s: %x: %+v, needs %d, %v; want %+v, %d", tt.name, tt.input, h, need, err, tt.want, tt.need)
		}
	}
}

// TestParse_server: a server's header is that of a client, without mask.
func TestParse_server(t *testing.T) { // RFC 6455 sections 5.1 and 5.2
	rules := frame.Rules{Deflate: true, Unmasked: true}
	for _, tt := range []struct {
		name   string
		input  []byte
		want   frame.Header
		need   int
		broken string // start of the rule; "": it is legal
	}{
		{"one byte", []byte{0x81}, frame.Header{}, 2, ""},
		{"empty", header(0x81, 0), frame.Header{Fin: true, Opcode: frame.Text, Size: 2}, 2, ""},
		{"text, and what follows is no mask", header(0x81, 5, 'h', 'e', 'l', 'l', 'o'), frame.Header{Length: 5, Fin: true, Opcode: frame.Text, Size: 2}, 2, ""},
		{"16 bit", header(0x82, 126, 0, 126), frame.Header{Length: 126, Fin: true, Opcode: frame.Binary, Size: 4}, 4, ""},
		{"16 bit, half of it", header(0x82, 126, 0), frame.Header{Fin: true, Opcode: frame.Binary, Size: 4}, 4, ""},
		{"64 bit", header(0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0), frame.Header{Length: 65536, Fin: true, Opcode: frame.Binary, Size: 10}, 10, ""},
		{"64 bit, half of it", header(0x82, 127, 0, 0, 0), frame.Header{Fin: true, Opcode: frame.Binary, Size: 10}, 10, ""},
		{"compressed fragment", header(0x41, 1), frame.Header{Length: 1, RSV1: true, Opcode: frame.Text, Size: 2}, 2, ""},
		{"ping of 125", header(0x89, 125), frame.Header{Length: 125, Fin: true, Opcode: frame.Ping, Size: 2}, 2, ""},

		{"masked", header(0x81, 0x85), frame.Header{}, 0, "server frame with mask (RFC 6455 section 5.1)"},
		{"masked, and all else wrong, too", header(0xff, 0xff), frame.Header{}, 0, "server frame with mask"},
		{"long ping", header(0x89, 126), frame.Header{}, 0, "ping payload of more than 125 bytes"},
		{"16 bit for 125", header(0x81, 126, 0, 125), frame.Header{}, 0, "length 125 not in its shortest form"},
	} {
		h, need, err := frame.Parse(tt.input, rules)
		if tt.broken != "" {
			broken, ok := errors.AsType[*websock.ProtocolError](err)
			if !ok || broken.Code != websock.CloseProtocolError || !strings.HasPrefix(broken.Rule, tt.broken) {
				t.Errorf("%s: %x: %v, want 1002 %s", tt.name, tt.input, err, tt.broken)
			}
			continue
		}
		if err != nil || need != tt.need || h != tt.want {
			t.Errorf("%s: %x: %+v, needs %d, %v; want %+v, %d", tt.name, tt.input, h, need, err, tt.want, tt.need)
		}
	}
}

func TestAppendHeader(t *testing.T) { // RFC 6455 section 5.2
	for _, tt := range []struct {
		op         frame.Opcode
		compressed bool
		length     int
		want       string
		masked     string // the same of a client, but for the key
	}{
		{frame.Text, false, 0, "8100", "8180"},
		{frame.Binary, true, 125, "c27d", "c2fd"},
		{frame.Text, false, 126, "817e007e", "81fe007e"},
		{frame.Text, false, 65535, "817effff", "81feffff"},
		{frame.Text, true, 65536, "c17f0000000000010000", "c1ff0000000000010000"},
		{frame.Pong, false, 4, "8a04", "8a84"},
		{frame.Close, false, 2, "8802", "8882"},
	} {
		if got := fmt.Sprintf("%x", frame.AppendHeader([]byte("x"), tt.op, tt.compressed, tt.length)[1:]); got != tt.want {
			t.Errorf("%s of %d bytes, compressed %t: %s, want %s", tt.op, tt.length, tt.compressed, got, tt.want)
		}
		if got := fmt.Sprintf("%x", frame.AppendMasked([]byte("x"), tt.op, tt.compressed, tt.length, 0x04030201)[1:]); got != tt.masked+"01020304" {
			t.Errorf("%s of %d bytes, compressed %t, masked: %s, want %s and the key 01020304", tt.op, tt.length, tt.compressed, got, tt.masked)
		}
	}
}

// unmasked is what RFC 6455 section 5.3 says, byte by byte.
func unmasked(mask [4]byte, masked []byte) []byte {
	p := bytes.Clone(masked)
	for i := range p {
		p[i] ^= mask[i%4]
	}
	return p
}

func TestMask_Apply(t *testing.T) { // RFC 6455 section 5.3
	key := [4]byte{0x12, 0x34, 0x56, 0x78}
	mask := frame.Mask(binary.LittleEndian.Uint32(key[:]))
	for n := range 3*512 + 20 { // a mask of 0 changes nothing
		src := bytes.Repeat([]byte{7}, n)
		dst := make([]byte, n)
		if next := frame.Mask(0).Apply(dst, src); next != 0 || !bytes.Equal(dst, src) {
			t.Fatalf("%d bytes, mask 0: changed, or the mask after them is %x", n, next)
		}
	}
	for n := range 3*512 + 20 {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(i * 7)
		}
		want := unmasked(key, src)
		dst := make([]byte, n+1)
		next := mask.Apply(dst[:n], src)
		if !bytes.Equal(dst[:n], want) || dst[n] != 0 {
			t.Fatalf("%d bytes into other memory: wrong, or beyond the end", n)
		}
		for at := range 4 {
			if got := byte(next >> (8 * at)); got != key[(n+at)%4] {
				t.Fatalf("after %d bytes the mask is %08x, want it to go on at byte %d of %x", n, next, n%4, key)
			}
		}
		mask.Apply(src, src)
		if !bytes.Equal(src, want) {
			t.Fatalf("%d bytes in place: wrong", n)
		}
	}
}

func TestTextPrefix(t *testing.T) { // RFC 6455 section 8.1
	for _, tt := range []struct {
		text string
		n    int
		ok   bool
	}{
		{"", 0, true}, {"abc", 3, true}, {"abé", 4, true}, {"ab\xc3", 2, true}, {"\xe2\x82", 0, true}, {"a\xf0\x90\x8d", 1, true},
		{"ab\xff", 3, false}, {"\x80", 1, false}, {"\xe0\x41", 2, false}, {"\xed\xa0", 2, false}, {"\xf4\x90", 2, false}, {"\xff\xe2\x82", 1, false},
	} {
		if n, ok := frame.TextPrefix([]byte(tt.text)); ok != tt.ok || ok && n != tt.n {
			t.Errorf("%q: %d, %t; want %d, %t", tt.text, n, ok, tt.n, tt.ok)
		}
	}
}

func TestClose(t *testing.T) { // RFC 6455 sections 5.5.1 and 7.4
	for _, tt := range []struct {
		payload string
		want    string
	}{
		{"", "1005 "}, {"\x03", "refused 1002"}, {"\x03\xe8", "1000 "}, {"\x03\xe8bye", "1000 bye"},
		{"\x03\xed", "refused 1002"}, {"\x03\xf7", "refused 1002"}, {"\x0b\xb8", "3000 "}, {"\x13\x87", "4999 "}, {"\x13\x88", "refused 1002"},
		{"\x03\xe8\xe2\x82", "refused 1007"}, {"\x03\xe8\xe2\x82\xac", "1000 €"},
	} {
		d, err := frame.ParseClose([]byte(tt.payload))
		got := fmt.Sprintf("%d %s", d.Code, d.Reason)
		if refused, ok := errors.AsType[*websock.ProtocolError](err); ok {
			got = fmt.Sprintf("refused %d", refused.Code)
		}
		if got != tt.want {
			t.Errorf("payload %x: %s, want %s", tt.payload, got, tt.want)
		}
		if err != nil {
			continue
		}
		if d.Code == websock.CloseNoStatus {
			d.Code = 0 // as it is sent
		}
		if err := frame.CheckClose(d); err != nil {
			t.Errorf("payload %x: cannot be sent: %v", tt.payload, err)
		}
		if back := frame.AppendClose(nil, d); string(back) != tt.payload || len(back) != frame.CloseLength(d) {
			t.Errorf("payload %x: written as %x, of %d bytes", tt.payload, back, frame.CloseLength(d))
		}
	}
	for _, d := range []websock.CloseDetail{{Reason: "x"}, {Code: 1005}, {Code: 1000, Reason: strings.Repeat("x", 124)}, {Code: 1000, Reason: "\xff"}} {
		if err := frame.CheckClose(d); err == nil {
			t.Errorf("%d %q may be sent, want a ResultError", d.Code, d.Reason)
		}
	}
}
