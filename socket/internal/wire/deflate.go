package wire

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"
)

// deflateTail is what the sender removes (RFC 7692 section 7.2.1), and an empty
// last block, which shows that a message is complete and was not cut off.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// deflater compresses one message. No state outlives it (RFC 7692 section
// 7.1.1.1), so it is pooled.
type deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

// deflaters has a pool for each level.
var deflaters [flate.BestCompression + 1]sync.Pool

// deflatedForm is a message as it is deflated at that level, for
// [websock.Message.Encoded]: the payload, or nil when it would not be smaller.
type deflatedForm int

func deflate(p []byte, level deflatedForm) []byte {
	d := newDeflater(level)
	defer d.release(level)
	out := d.deflate(p)
	if len(out) >= len(p) {
		return nil
	}
	return append([]byte(nil), out...)
}

// deflateLevel returns the nearest level there is.
func deflateLevel(level int) deflatedForm {
	return deflatedForm(min(max(level, flate.BestSpeed), flate.BestCompression))
}

func newDeflater(level deflatedForm) *deflater {
	d, ok := deflaters[level].Get().(*deflater)
	if !ok {
		d = new(deflater)
		var err error
		if d.w, err = flate.NewWriter(&d.out, int(level)); err != nil {
			panic(fmt.Sprintf("wire: deflate level %d: %v", level, err)) // level is in range
		}
	}
	return d
}

func (d *deflater) release(level deflatedForm) {
	if d.out.Cap() > maxScratch {
		d.out = bytes.Buffer{}
	}
	deflaters[level].Put(d)
}

// deflate returns p as the payload of a compressed message (RFC 7692 section
// 7.2.1). It is valid until the next call. An empty p becomes the one byte 00
// (section 7.2.3.6).
func (d *deflater) deflate(p []byte) []byte {
	d.out.Reset()
	d.w.Reset(&d.out)
	_, err := d.w.Write(p)
	if err == nil {
		err = d.w.Flush()
	}
	if err != nil {
		panic("wire: deflate into memory failed: " + err.Error()) // bytes.Buffer never fails
	}
	return bytes.TrimSuffix(d.out.Bytes(), []byte(deflateTail[:4]))
}
