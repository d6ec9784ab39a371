package deflate_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
)

// TestInflater_ofOthers: it takes what others compress.
func TestInflater_ofOthers(t *testing.T) {
	var f deflate.Inflater
	all := shapes()
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 1, 3, 6, 9} {
		o := newOther(t, level)
		for _, s := range all {
			p := o.deflate(s.data)
			if len(p) > deflate.MaxInput {
				continue
			}
			if got, ok := inflate(&f, p, 1<<20); !ok || !bytes.Equal(got, s.data) {
				t.Fatalf("%s, level %d: %d bytes, ok %t, want %d\npayload %x", s.name, level, len(got), ok, len(s.data), p)
			}
		}
	}
}

// TestInflater_most: a message of as many bytes as may be is taken, and one of a byte more is not, whatever buffer there is.
func TestInflater_most(t *testing.T) {
	for _, size := range []int{1, 100, 4095, 4096, 4097, 10_000, 64 << 10} {
		for name, text := range map[string][]byte{"JSON": document(0, size), "zeros": make([]byte, size), "stored": []byte(strings.Repeat("\xa5\x00\xff", size))[:size]} {
			level := 1
			if name == "stored" {
				level = flate.NoCompression
			}
			p := deflated(t, text, level)
			if len(p) > deflate.MaxInput {
				continue
			}
			for _, before := range []int{0, 64 << 10} { // bytes of a message before
				var f deflate.Inflater
				inflate(&f, deflated(t, make([]byte, before), 1), 1<<20)
				if got, ok := inflate(&f, p, size); !ok || !bytes.Equal(got, text) {
					t.Errorf("%s, %d bytes, at most as many: got %d bytes, ok %t", name, size, len(got), ok)
				}
				if got, ok := inflate(&f, p, size-1); ok {
					t.Errorf("%s, %d bytes, at most one less: got %d bytes, want that it is refused", name, size, len(got))
				}
			}
		}
	}
	var f deflate.Inflater
	if got, ok := inflate(&f, deflated(t, make([]byte, 64<<10+1), 1), 1<<20); ok {
		t.Errorf("64 KiB and a byte: got %d bytes, want that it is refused", len(got))
	}
}

func TestInflater_refuses(t *testing.T) {
	hello := string(deflated(t, []byte("hello hello hello hello"), 1))
	for name, payload := range map[string]string{
		"nothing":                           "",
		"cut off":                           hello[:len(hello)-3],
		"a block of type 3":                 "\x06",
		"a last block, RFC 7692 7.2.3.4":    "\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
		"a last block and more":             "\xf3\x48\xcd\xc9\xc9\x07\x00" + hello,
		"stored, another length complement": "\x00\x05\x00\xfa\xfehello\x00",
		"stored, longer than what is there": "\x00\xff\xff\x00\x00hello\x00",
		"a distance before the beginning":   "\x02\x04\x00",
		"dynamic, 30 lengths too many":      "\xfc\xff\xff\xff",
		"dynamic, no codes at all":          "\x04\x00\x00\x00\x00\x00\x00\x00\x00",
		"dynamic, a repetition at first":    "\x04\xc0\x81\x08\x00\x00\x00\x00\x20\x7f\xeb",
	} {
		var f deflate.Inflater
		if got, ok := inflate(&f, []byte(payload), 1<<20); ok {
			want, wantOK := reference([]byte(payload))
			t.Errorf("%s: payload %x: got %x, want that it is refused; klauspost/compress: %x, ok %t", name, payload, got, want, wantOK)
		}
	}
}

// FuzzInflate: what Inflate accepts is what klauspost/compress makes of it, to the last byte.
func FuzzInflate(f *testing.F) {
	for _, s := range shapes() {
		if len(s.data) < 700 {
			f.Add(deflated(f, s.data, 1), len(s.data))
			f.Add(deflated(f, s.data, 9), 1<<20)
		}
	}
	f.Add([]byte("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 5)
	var inflater deflate.Inflater
	other := flate.NewReader(nil)
	f.Fuzz(func(t *testing.T, payload []byte, most int) {
		payload = payload[:min(len(payload), deflate.MaxInput)]
		got, ok := inflate(&inflater, payload, most)
		if !ok {
			return
		}
		want, wantOK := inflateWith(other, payload)
		if !wantOK || !bytes.Equal(got, want) || len(got) > min(most, 64<<10) {
			t.Errorf("payload %x, at most %d:\ngot  %d bytes %.100x\nwant %d bytes %.100x, ok %t", payload, most, len(got), got, len(want), want, wantOK)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	var f deflate.Inflater
	text := document(1, 2<<10)
	p := deflated(b, text, 1)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		inflate(&f, p, 1<<20)
	}
}
