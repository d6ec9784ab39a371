package rawclient_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

func TestInflate(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		// RFC 7692 section 7.2.3.
		{"one block (7.2.3.1)", "\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello"},
		{"no compression (7.2.3.3)", "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello"},
		{"BFINAL (7.2.3.4)", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello"},
		{"two blocks (7.2.3.5)", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello"},
		{"empty (7.2.3.6)", "\x00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := rawclient.Inflate([]byte(tt.in))
			if err != nil || string(got) != tt.want {
				t.Errorf("% x: got %q, %v, want %q", tt.in, got, err, tt.want)
			}
		})
	}
}

func TestInflate_rejects(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                          "",
		"no deflate":                       "Hello",
		"cut off":                          "\xf2\x48\xcd",
		"a reference before the message":   "\xf2\x00\x11\x00\x00", // RFC 7692 section 7.2.3.2
		"BFINAL without an empty block":    "\xf3\x48\xcd\xc9\xc9\x07\x00",
		"the tail was not stripped, wrong": "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff",
	} {
		if got, err := rawclient.Inflate([]byte(in)); err == nil {
			t.Errorf("%s: got %q, want an error", name, got)
		}
	}
}

func TestDeflate(t *testing.T) {
	if got := rawclient.Deflate(nil); string(got) != "\x00" {
		t.Errorf("empty: got % x, want 00 (RFC 7692 section 7.2.3.6)", got)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 100_000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	for name, in := range map[string][]byte{
		"empty": {}, "short": []byte("Hello"), "long": bytes.Repeat([]byte("Hello "), 50_000), "noise": noise,
	} {
		p := rawclient.Deflate(in)
		if bytes.HasSuffix(p, []byte("\x00\x00\xff\xff")) {
			t.Errorf("%s: the tail 00 00 ff ff was not stripped", name)
		}
		if got, err := rawclient.Inflate(p); err != nil || !bytes.Equal(got, in) {
			t.Errorf("%s: Inflate(Deflate): got %d bytes, %v, want the %d given", name, len(got), err, len(in))
		}
	}
}
