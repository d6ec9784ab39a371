package wire

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/klauspost/compress/flate"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

const (
	deflateInput  = 4 << 10 // compressed bytes that are read at once
	deflateOutput = 4 << 10 // the first buffer for inflated bytes
	longInflate   = 1 << 10 // compressed bytes that may take a millisecond to inflate: they can become a megabyte
	freeInflation = 1 << 20 // size up to which Options.MaxRatio does not hold
)

// inflater is all that inflating one message needs. No state outlives the
// message, so it is pooled (RFC 7692 section 7.1.1).
type inflater struct {
	in  deflated
	buf *bufio.Reader // of in; a type that flate reads fast
	r   io.ReadCloser // of buf
	out []byte        // where messages up to maxScratch are inflated
}

var inflaters = sync.Pool{New: func() any {
	f := new(inflater)
	f.buf = bufio.NewReaderSize(&f.in, deflateInput)
	f.r = flate.NewReader(f.buf)
	return f
}}

func newInflater(r *reader) *inflater {
	f := inflaters.Get().(*inflater)
	f.in = deflated{r: r}
	f.buf.Reset(&f.in)
	if err := f.r.(flate.Resetter).Reset(f.buf, nil); err != nil {
		panic("wire: flate reader did not take a reset: " + err.Error()) // its Reset returns nil always
	}
	return f
}

func (f *inflater) release() {
	f.in = deflated{}
	inflaters.Put(f)
}

// deflated reads the payload of the open message, then deflateTail.
type deflated struct {
	r     *reader
	bytes int64  // that were read of it
	ended bool   // the payload was read to its end
	tail  string // what is left of deflateTail
	err   error  // why reading failed
}

func (d *deflated) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if !d.ended {
		n, err := d.r.available()
		if err == nil {
			n = min(n, len(p))
			d.r.take(p[:n])
			d.bytes += int64(n)
			return n, nil
		}
		if err != errMessageEnd { //nolint:errorlint // never wrapped
			d.err = err
			return 0, err
		}
		d.ended, d.tail = true, deflateTail
	}
	if d.tail == "" {
		return 0, io.EOF
	}
	n := copy(p, d.tail)
	d.tail = d.tail[n:]
	return n, nil
}

// inflate reads the open message, which is compressed (RFC 7692 section 7.2.2),
// and stops as soon as it is larger than MaxMessageSize or not UTF-8.
//
// A message without any payload is taken as an empty one. A compressor that
// follows RFC 7692 section 7.2.3.6 sends the byte 00, but zlib's flush of
// nothing yields no bytes, so there are clients that send this, and every
// server built on zlib reads it so.
func (r *reader) inflate() ([]byte, error) {
	switch _, err := r.available(); {
	case err == errMessageEnd: //nolint:errorlint // never wrapped
		return []byte{}, nil
	case err != nil:
		return nil, err
	}
	if data, ok, err := r.inflateSmall(); ok {
		return data, err
	}
	if r.total >= longInflate || !r.frame.Fin {
		r.beforeWait() // else what it flushes would wait for a millisecond or more
	}
	f := newInflater(r)
	defer f.release()

	opts := r.source.t.opts
	most := opts.MaxMessageSize
	text := r.opcode == frame.Text && !opts.SkipUTF8Check
	data := f.out[:0]
	checked := 0
	for {
		if f.bomb(len(data), opts.MaxRatio) {
			return nil, frame.Violation(websock.CloseMessageTooBig,
				"message inflates to more than Config.Compression.MaxRatio %d times what it is on the wire", opts.MaxRatio)
		}
		data = growInflated(data, most)
		n, err := f.r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if most >= 0 && int64(len(data)) > most {
			return nil, frame.Violation(websock.CloseMessageTooBig,
				"message inflates to more than Config.MaxMessageSize %d", most)
		}
		if text {
			n, ok := frame.TextPrefix(data[checked:])
			if !ok {
				return nil, errNotUTF8()
			}
			checked += n
		}
		if errors.Is(err, io.EOF) && f.in.err == nil {
			break
		}
		if err != nil {
			return nil, f.failure(err)
		}
	}
	if text && !utf8.Valid(data[checked:]) {
		return nil, errNotUTF8()
	}
	if err := f.atEnd(); err != nil {
		return nil, err
	}
	if cap(data) > maxScratch {
		return data, nil
	}
	f.out = data
	return r.source.t.own(data), nil
}

// own returns a copy of data for the caller to keep: in a pooled buffer when those are lent.
func (t *transport) own(data []byte) []byte {
	if t.lends && len(data) >= reusable {
		return append(newBuffer(bufferFor(len(data))), data...)
	}
	return append([]byte{}, data...)
}

// smallInflaters are for messages of at most [deflate.MaxInput] compressed bytes that have come. They cost half the CPU of
// the others, and so little stack that that of a reader need not grow.
var smallInflaters = sync.Pool{New: func() any { return new(deflate.Inflater) }}

// inflateSmall is inflate for a message in one frame that is small and has come, as most have. Not ok: it is not so, or the
// message cannot be accepted, or inflates to more than maxScratch. Then nothing was read: inflate begins again, and finds out
// what is wrong.
func (r *reader) inflateSmall() (data []byte, ok bool, err error) {
	opts := r.source.t.opts
	n := r.remaining
	if !r.frame.Fin || n != r.total || n > int64(min(len(r.source.data), deflate.MaxInput)) {
		return nil, false, nil
	}
	most := int64(maxScratch)
	if opts.MaxMessageSize >= 0 {
		most = min(most, opts.MaxMessageSize)
	}
	f := smallInflaters.Get().(*deflate.Inflater)
	defer smallInflaters.Put(f)
	r.frame.Mask.Apply(f.Input(int(n)), r.source.data[:n])
	if data, ok = f.Inflate(int(most)); !ok {
		return nil, false, nil
	}
	r.source.data = r.source.data[n:]
	r.consumed(int(n))
	r.open = false
	r.opened(0)
	if r.opcode == frame.Text && !opts.SkipUTF8Check && !utf8.Valid(data) {
		return nil, true, errNotUTF8()
	}
	return r.source.t.own(data), true, nil
}

// bomb reports whether the message has inflated to more than ratio times the bytes that were used for it. It counts the
// bytes that have come, not those that a header declares.
func (f *inflater) bomb(inflated, ratio int) bool {
	used := f.in.bytes - int64(f.buf.Buffered())
	return ratio > 0 && inflated > freeInflation && int64(inflated)/int64(ratio) > max(used, 0)
}

// atEnd checks what stands after a block with BFINAL: nothing, or the byte 00
// (RFC 7692 section 7.2.3.4). More would be data that is silently lost. At the
// end of a message without such a block nothing is left.
func (f *inflater) atEnd() error {
	ahead, err := f.buf.Peek(len(deflateTail) + 2)
	if f.in.err != nil {
		return f.in.err
	}
	if n := len(ahead) - len(deflateTail); err == nil || n == 1 && ahead[0] != 0 {
		return frame.Violation(websock.CloseInvalidPayload,
			"compressed message goes on after its last block (RFC 7692 section 7.2.3.4)")
	}
	return nil
}

// failure is the error of reading, if that has failed; else it says that the data
// cannot be inflated.
func (f *inflater) failure(err error) error {
	if f.in.err != nil {
		return f.in.err
	}
	e := frame.Violation(websock.CloseInvalidPayload, "message does not inflate (RFC 7692 section 7.2.2)")
	e.Err = err
	return e
}

// growInflated makes room for more after data, up to one byte more than most, the
// largest size that a message may have.
func growInflated(data []byte, most int64) []byte {
	if len(data) < cap(data) {
		return data
	}
	size := int64(max(2*cap(data), deflateOutput))
	if most >= 0 && most < size {
		size = max(most+1, int64(len(data))+1)
	}
	grown := make([]byte, len(data), size)
	copy(grown, data)
	return grown
}
