package frame_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/internal/frame"
)

// FuzzParse: a header is read as it can be written, needs what it says, and is refused from its first bytes on or not at
// all.
func FuzzParse(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4}, false, false)
	f.Add([]byte{0xc2, 0xfe, 1, 0, 1, 2, 3, 4}, true, false)
	f.Add([]byte{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}, true, false)
	f.Add([]byte{0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, true, true)
	f.Add([]byte{0x02, 5, 1, 2, 3, 4, 5}, false, true)
	f.Fuzz(func(t *testing.T, p []byte, deflate, server bool) {
		rules := frame.Rules{Deflate: deflate, Unmasked: server}
		h, need, err := frame.Parse(p, rules)
		for n := range len(p) {
			_, part, early := frame.Parse(p[:n], rules)
			if early != nil && (err == nil || early.Error() != err.Error()) {
				t.Fatalf("%x: %v after %d bytes, and %v with all", p, early, n, err)
			}
			if early == nil && err == nil && part > max(need, int(h.Size)) {
				t.Fatalf("%x: needs %d after %d bytes, and %d with all", p, part, n, need)
			}
		}
		if err != nil || need > len(p) {
			return
		}
		if need != int(h.Size) || h.Length < 0 {
			t.Fatalf("%x: needs %d of a header of %d bytes, payload of %d", p, need, h.Size, h.Length)
		}
		want := bytes.Clone(p[:need])
		want[0] |= 0x80 // we send no fragments
		got := frame.AppendHeader(nil, h.Opcode, h.RSV1, int(h.Length))
		if !server {
			got = frame.AppendMasked(nil, h.Opcode, h.RSV1, int(h.Length), h.Mask)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%x: written as %x, want %x", p, got, want)
		}
	})
}

// FuzzMask_Apply: in any two pieces, in place or not, a payload is unmasked as byte by byte.
func FuzzMask_Apply(f *testing.F) {
	f.Add([]byte("hello"), uint32(0x37fa213d), uint(2), false)
	f.Add(bytes.Repeat([]byte("0123456789"), 150), uint32(1), uint(1101), true)
	f.Fuzz(func(t *testing.T, p []byte, key uint32, at uint, inPlace bool) {
		cut := int(at % uint(len(p)+1))
		want := unmasked([4]byte(binary.LittleEndian.AppendUint32(nil, key)), p)
		got := p
		if !inPlace {
			got = make([]byte, len(p))
		}
		frame.Mask(key).Apply(got[:cut], p[:cut]).Apply(got[cut:], p[cut:])
		if !bytes.Equal(got, want) {
			t.Errorf("mask %x, cut at %d of %d: wrong", key, cut, len(p))
		}
	})
}

// FuzzTextPrefix: the prefix is valid, what is left may be the beginning of a rune, and what is refused cannot become
// UTF-8.
func FuzzTextPrefix(f *testing.F) {
	f.Add([]byte("héllo\xe2\x82"))
	f.Add([]byte("\xf4\x90"))
	f.Fuzz(func(t *testing.T, p []byte) {
		n, ok := frame.TextPrefix(p)
		want := true
		for rest := p; len(rest) > 0 && utf8.FullRune(rest) && want; {
			r, size := utf8.DecodeRune(rest)
			want = r != utf8.RuneError || size > 1
			rest = rest[size:]
		}
		if ok != want {
			t.Fatalf("%x: %t, want %t", p, ok, want)
		}
		if ok && (!utf8.Valid(p[:n]) || utf8.FullRune(p[n:])) {
			t.Fatalf("%x: prefix of %d", p, n)
		}
	})
}
