package rawclient_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

func TestAppendFrame(t *testing.T) {
	hello := []byte("Hello")
	b256, b64k := bytes.Repeat([]byte{'x'}, 256), bytes.Repeat([]byte{'x'}, 65536)
	tests := []struct {
		name   string
		frame  rawclient.Frame
		header string // what stands before the payload
		body   string
	}{
		// RFC 6455 section 5.7.
		{"unmasked text", rawclient.Frame{Fin: true, Opcode: rawclient.OpText, Payload: hello}, "\x81\x05", "Hello"},
		{"masked text", rawclient.Frame{Fin: true, Opcode: rawclient.OpText, Masked: true, Payload: hello}, "\x81\x85\x37\xfa\x21\x3d", "\x7f\x9f\x4d\x51\x58"},
		{"first fragment", rawclient.Frame{Opcode: rawclient.OpText, Payload: []byte("Hel")}, "\x01\x03", "Hel"},
		{"last fragment", rawclient.Frame{Fin: true, Payload: []byte("lo")}, "\x80\x02", "lo"},
		{"unmasked ping", rawclient.Frame{Fin: true, Opcode: rawclient.OpPing, Payload: hello}, "\x89\x05", "Hello"},
		{"masked pong", rawclient.Frame{Fin: true, Opcode: rawclient.OpPong, Masked: true, Payload: hello}, "\x8a\x85\x37\xfa\x21\x3d", "\x7f\x9f\x4d\x51\x58"},
		{"256 bytes", rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: b256}, "\x82\x7e\x01\x00", string(b256)},
		{"64 KiB", rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: b64k}, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", string(b64k)},
		// The limits of the lengths, and what is not legal.
		{"125 bytes", rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: b256[:125]}, "\x82\x7d", string(b256[:125])},
		{"126 bytes", rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: b256[:126]}, "\x82\x7e\x00\x7e", string(b256[:126])},
		{"65535 bytes", rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: b64k[:65535]}, "\x82\x7e\xff\xff", string(b64k[:65535])},
		{"RSV1", rawclient.Frame{RSV: rawclient.RSV1, Opcode: 1}, "\x41\x00", ""},
		{"RSV2", rawclient.Frame{RSV: rawclient.RSV2, Opcode: 1}, "\x21\x00", ""},
		{"RSV3", rawclient.Frame{RSV: rawclient.RSV3, Opcode: 1}, "\x11\x00", ""},
		{"unknown opcode", rawclient.Frame{Fin: true, RSV: 7, Opcode: 0xF}, "\xff\x00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(rawclient.AppendFrame([]byte("dst"), tt.frame, rawclient.DefaultMask))
			if want := "dst" + tt.header + tt.body; got != want {
				t.Errorf("got % x, want % x", short(got), short(want))
			}
		})
	}
}

func TestAppendHeader_declaresAnyLength(t *testing.T) {
	f := rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Masked: true}
	got := rawclient.AppendHeader(nil, f, 1<<63, [4]byte{1, 2, 3, 4})
	if want := "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04"; string(got) != want {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestClosePayload(t *testing.T) {
	if got, want := string(rawclient.ClosePayload(1001, "bye")), "\x03\xe9bye"; got != want {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestFrame_String(t *testing.T) {
	f := rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: 1, Payload: []byte(strings.Repeat("x", 1000))}
	if got, want := f.String(), "{fin=true rsv=100 opcode=0x1 masked=false payload=1000 bytes \""+strings.Repeat("x", 40)+"\"}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// short is s cut for a failing message.
func short(s string) string { return s[:min(len(s), 40)] }
