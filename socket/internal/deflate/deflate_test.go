package deflate_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
)

// TestDeflater_roundTrip uses one Deflater for all, so that what a message leaves behind would show in the next one.
func TestDeflater_roundTrip(t *testing.T) {
	var d deflate.Deflater
	var f deflate.Inflater
	for _, s := range shapes() {
		p := d.Deflate(s.data)
		if p == nil {
			if smaller := len(deflated(t, s.data, 1)); smaller < len(s.data)*98/100 {
				t.Errorf("%s: it is not deflated, but another deflater makes %d bytes of %d", s.name, smaller, len(s.data))
			}
			continue
		}
		if len(p) >= len(s.data) {
			t.Errorf("%s: %d bytes became %d, want less", s.name, len(s.data), len(p))
		}
		if got, ok := reference(p); !ok || !bytes.Equal(got, s.data) {
			t.Errorf("%s: klauspost/compress inflates it to %d bytes, ok %t, want the %d of before", s.name, len(got), ok, len(s.data))
		}
		if len(p) > deflate.MaxInput {
			continue
		}
		if got, ok := inflate(&f, p, 1<<20); !ok || !bytes.Equal(got, s.data) {
			t.Errorf("%s: Inflate: %d bytes, ok %t, want the %d of before", s.name, len(got), ok, len(s.data))
		}
	}
}

// TestDeflater_ratio: these texts become no larger than by level 1 of klauspost/compress, which is used for large messages.
func TestDeflater_ratio(t *testing.T) {
	var d deflate.Deflater
	got, want := 0, 0
	for _, s := range texts() {
		one, other := len(d.Deflate(s.data)), len(deflated(t, s.data, 1))
		if one > other*101/100 {
			t.Errorf("%s: %d bytes, want at most 1 %% more than %d", s.name, one, other)
		}
		got, want = got+one, want+other
	}
	t.Logf("%d bytes, of klauspost/compress %d", got, want)
	if got > want {
		t.Errorf("all texts: %d bytes, want at most %d", got, want)
	}
}

// TestDeflater_textAfterNoise: what begins with bytes that have no match is searched all the same.
func TestDeflater_textAfterNoise(t *testing.T) {
	var d deflate.Deflater
	for _, size := range []int{500, 2000, 6000} {
		rng := rand.New(rand.NewPCG(1, 0))
		text := make([]byte, size, size+8<<10)
		for i := range text {
			text[i] = 'a' + byte(rng.IntN(26))
		}
		text = append(text, words(1, 8<<10)...)
		if one, other := len(d.Deflate(text)), len(deflated(t, text, 1)); one > other*110/100 {
			t.Errorf("%d random letters before a text: %d bytes, want at most 10 %% more than %d", size, one, other)
		}
	}
}

// TestDeflater_manyMessages: positions of messages long ago are never taken for those of now.
func TestDeflater_manyMessages(t *testing.T) {
	var d deflate.Deflater
	big := bytes.Repeat([]byte("0123456789abcdef"), deflate.MaxMessage/16)
	for range 1<<22/deflate.MaxMessage + 2 { // as many as make the counter of positions begin again
		d.Deflate(big)
	}
	for _, s := range texts() {
		if got, ok := reference(d.Deflate(s.data)); !ok || !bytes.Equal(got, s.data) {
			t.Errorf("%s: %d bytes, ok %t, want the %d of before", s.name, len(got), ok, len(s.data))
		}
	}
}

func TestDeflater_allocatesOnlyAtFirst(t *testing.T) {
	var d deflate.Deflater
	var f deflate.Inflater
	text := document(1, 8<<10)
	if got := testing.AllocsPerRun(100, func() {
		if _, ok := inflate(&f, d.Deflate(text), 1<<20); !ok {
			t.Fatal("it does not inflate")
		}
	}); got > 0 {
		t.Errorf("%v allocations for a message, want none", got)
	}
}

func FuzzDeflate(f *testing.F) {
	for _, s := range shapes() {
		if len(s.data) < 700 {
			f.Add(s.data)
		}
	}
	var d deflate.Deflater
	var back deflate.Inflater
	other := flate.NewReader(nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		data = data[:min(len(data), deflate.MaxMessage)]
		p := d.Deflate(data)
		if p == nil {
			return
		}
		got, ok := inflateWith(other, p)
		if !ok || !bytes.Equal(got, data) || len(p) >= len(data) {
			t.Errorf("%d bytes %.100x:\nbecame %x\nand then %d bytes, ok %t", len(data), data, p, len(got), ok)
		}
		if len(p) > deflate.MaxInput {
			return
		}
		if got, ok := inflate(&back, p, len(data)); !ok || !bytes.Equal(got, data) {
			t.Errorf("%d bytes %.100x:\nbecame %x\nand Inflate made %d bytes of it, ok %t", len(data), data, p, len(got), ok)
		}
	})
}

func BenchmarkDeflate(b *testing.B) {
	var d deflate.Deflater
	text := document(1, 2<<10)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		d.Deflate(text)
	}
}
