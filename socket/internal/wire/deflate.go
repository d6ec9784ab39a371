package wire

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
	"github.com/troupe-dev/troupe/websock"
)

// deflateTail is what the sender removes (RFC 7692 section 7.2.1), and an empty
// last block, which shows that a message is complete and was not cut off.
const deflateTail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

// smallDeflaters are for messages of at most [deflate.MaxMessage] bytes at level 1. They cost half the CPU of the others, a
// tenth of their memory, and so little stack that that of a reader need not grow.
var smallDeflaters = sync.Pool{New: func() any { return new(deflate.Deflater) }}

// deflated returns the payload of m's frame, and whether it is deflated: not when it would not be smaller. A prepared message
// is deflated once for all connections of a level. in is nil, or payload is in its memory: then it goes back to smallDeflaters
// when the payload was copied.
func (w *writer) deflated(m *websock.Message) (payload []byte, compressed bool, in *deflate.Deflater) {
	level := deflateLevel(w.t.opts.Level)
	if level.small(m.Data) && !m.Prepared() {
		in = smallDeflaters.Get().(*deflate.Deflater)
		if p := in.Deflate(m.Data); p != nil {
			return p, true, in
		}
		smallDeflaters.Put(in)
	} else if p := m.Encoded(level, func() []byte { return level.encode(m.Data) }); p != nil {
		return p, true, nil
	}
	return m.Data, false, nil
}

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

// small reports whether p is for smallDeflaters.
func (level deflatedForm) small(p []byte) bool {
	return level == flate.BestSpeed && len(p) <= deflate.MaxMessage
}

// encode makes that form of a message. It belongs to the caller.
func (level deflatedForm) encode(p []byte) []byte {
	if level.small(p) {
		d := smallDeflaters.Get().(*deflate.Deflater)
		defer smallDeflaters.Put(d)
		return append([]byte(nil), d.Deflate(p)...)
	}
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
