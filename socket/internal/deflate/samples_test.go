package deflate_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
)

// tail is what a sender removes (RFC 7692 section 7.2.1), and an empty last block.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// deflated is p as klauspost/compress deflates it.
func deflated(t testing.TB, p []byte, level int) []byte { return newOther(t, level).deflate(p) }

// other deflates as others do.
type other struct {
	w   *flate.Writer
	out bytes.Buffer
}

func newOther(t testing.TB, level int) *other {
	t.Helper()
	w, err := flate.NewWriter(nil, level)
	if err != nil {
		t.Fatal(err)
	}
	return &other{w: w}
}

func (o *other) deflate(p []byte) []byte {
	o.out.Reset()
	o.w.Reset(&o.out)
	o.w.Write(p) // a Buffer takes all
	o.w.Flush()
	return bytes.TrimSuffix(bytes.Clone(o.out.Bytes()), []byte(tail[:4]))
}

// reference inflates a payload with klauspost/compress. Not ok: it is broken, or something stands after its last block.
func reference(p []byte) (data []byte, ok bool) { return inflateWith(flate.NewReader(nil), p) }

func inflateWith(r io.Reader, p []byte) (data []byte, ok bool) {
	in := bytes.NewReader(append(bytes.Clone(p), tail...)) // as an io.ByteReader it is not read beyond what is needed
	if err := r.(flate.Resetter).Reset(in, nil); err != nil {
		return nil, false
	}
	data, err := io.ReadAll(r)
	return data, err == nil && in.Len() == 0
}

func inflate(f *deflate.Inflater, p []byte, most int) ([]byte, bool) {
	copy(f.Input(len(p)), p)
	return f.Inflate(most)
}

type sample struct {
	name string
	data []byte
}

// texts are messages as they are compressed in earnest.
func texts() (all []sample) {
	for _, size := range []int{512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, deflate.MaxMessage} {
		for number := range 4 {
			all = append(all, sample{fmt.Sprintf("JSON, %d bytes, %d", size, number), document(number*1000, size)})
			all = append(all, sample{fmt.Sprintf("words, %d bytes, %d", size, number), words(uint64(number), size)})
		}
	}
	return all
}

// document is JSON.
func document(number, size int) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"number":%d,"room":"lobby","items":[`, 1_000_000_000+number)
	for i := number; b.Len() < size; i++ {
		fmt.Fprintf(&b, `{"id":%d,"user":"user-%d","text":"hello"},`, 1000+i%9000, i*i%1000)
	}
	return []byte(b.String()[:size])
}

// words are those of a text, in no order.
func words(seed uint64, size int) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	all := strings.Fields(`the of a connection message that is and to in which socket has no for each it callback with mailbox
		process not be its what by are one as or an at when turn this first after before Close frame reader writer while
		monitor supervisor exit reason shutdown registry group broadcast presence compression`)
	var b []byte
	for len(b) < size {
		// Small numbers are more frequent, as the first words are in a language.
		b = append(b, all[rng.IntN(1+rng.IntN(len(all)))]...)
		b = append(b, ' ')
	}
	return b[:size]
}

// shapes are messages that meet what is special in the format.
func shapes() (all []sample) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(n, alphabet int) []byte {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.IntN(alphabet))
		}
		return p
	}
	for n := range 40 {
		all = append(all, sample{fmt.Sprintf("%d bytes of one kind", n), bytes.Repeat([]byte("a"), n)})
		all = append(all, sample{fmt.Sprintf("%d bytes of noise", n), noise(n, 256)})
	}
	for n := 250; n < 1050; n += 13 { // several matches of the longest kind, and what remains
		all = append(all, sample{fmt.Sprintf("%d bytes of one kind", n), bytes.Repeat([]byte("a"), n)})
		all = append(all, sample{fmt.Sprintf("%d bytes of three kinds", n), bytes.Repeat([]byte("abc"), n/3+1)[:n]})
	}
	for alphabet := 1; alphabet <= 256; alphabet += 5 {
		all = append(all, sample{fmt.Sprintf("%d letters", alphabet), noise(3000, alphabet)})
	}
	// The frequencies of Fibonacci make the deepest tree: a code without a limit would have words of more than 15 bits.
	var fibonacci []byte
	for letter, f := 0, [2]int{1, 1}; len(fibonacci)+f[0] <= deflate.MaxMessage; letter, f = letter+1, [2]int{f[1], f[0] + f[1]} {
		fibonacci = append(fibonacci, bytes.Repeat([]byte{byte(letter)}, f[0])...)
	}
	rng.Shuffle(len(fibonacci), func(i, j int) { fibonacci[i], fibonacci[j] = fibonacci[j], fibonacci[i] })
	all = append(all, sample{"the deepest tree", fibonacci})
	for range 100 {
		p := noise(rng.IntN(6000), 1+rng.IntN(256))
		reach := 1 + rng.IntN(3000)
		for i := range p {
			if back := 1 + rng.IntN(reach); i >= back && rng.IntN(4) > 0 {
				p[i] = p[i-back]
			}
		}
		all = append(all, sample{fmt.Sprintf("mixed, %d bytes, up to %d back", len(p), reach), p})
	}
	return append(all, texts()...)
}
