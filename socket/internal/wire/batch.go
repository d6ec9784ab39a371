package wire

import (
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/socket/internal/rawio"
	"github.com/troupe-dev/troupe/websock"
)

const (
	// flushSize is how much may wait before Append flushes by itself.
	flushSize = 64 << 10

	// largePayload is the least payload that is written from where it is,
	// without being copied.
	largePayload = 16 << 10

	firstBatch = 1 << 10
)

// batch is whole frames that wait to be written together: headers and small
// payloads in buf, and between them large payloads that are not copied.
type batch struct {
	buf    []byte
	large  []insert
	extra  int                  // bytes in large
	last   *websock.CloseDetail // the Close frame at the end; nil: none
	parts  [][]byte             // buf and large in order, for writing
	lent   [][]byte             // buffers from Recycle, to be reused once this is written
	keys   *rand.ChaCha8        // for masking; nil: this batch was never a client's
	memory rawio.Writer
}

// insert is a payload that stands after buf[:at].
type insert struct {
	at      int
	payload []byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// release gives the batch back to the pool, and, if it was written, the buffers in lent. A large buffer is not kept.
func (b *batch) release(written bool) {
	if written {
		for _, p := range b.lent {
			giveBack(p)
		}
	}
	clear(b.large)
	clear(b.parts)
	clear(b.lent)
	b.buf, b.large, b.parts, b.lent = b.buf[:0], b.large[:0], b.parts[:0], b.lent[:0]
	b.extra, b.last = 0, nil
	if cap(b.buf) > maxScratch {
		b.buf = nil
	}
	batches.Put(b)
}

// full reports whether the batch is to be written now: 64 KiB wait, or one more
// payload could make buf larger than the pool keeps.
func (b *batch) full() bool {
	return b.size() >= flushSize || len(b.buf) > maxScratch-largePayload-frame.MaxHeader
}

// size is how many bytes wait.
func (b *batch) size() int { return len(b.buf) + b.extra }

// reserve makes room for n bytes in buf. It doubles the size, so that a batch
// which is written when it is full stays within maxScratch.
func (b *batch) reserve(n int) {
	if cap(b.buf)-len(b.buf) >= n {
		return
	}
	size := max(2*cap(b.buf), firstBatch)
	for size < len(b.buf)+n {
		size *= 2
	}
	grown := make([]byte, len(b.buf), size)
	copy(grown, b.buf)
	b.buf = grown
}

// add adds a frame; masked: that of a client.
func (b *batch) add(op frame.Opcode, compressed bool, payload []byte, masked bool) {
	if masked {
		b.addMasked(op, compressed, payload)
		return
	}
	if len(payload) >= largePayload {
		b.reserve(frame.MaxHeader)
		b.buf = frame.AppendHeader(b.buf, op, compressed, len(payload))
		b.large = append(b.large, insert{len(b.buf), payload})
		b.extra += len(payload)
		return
	}
	b.reserve(frame.MaxHeader + len(payload))
	b.buf = append(frame.AppendHeader(b.buf, op, compressed, len(payload)), payload...)
}

// close adds a Close frame.
func (b *batch) close(d websock.CloseDetail, masked bool) {
	b.add(frame.Close, false, frame.AppendClose(nil, d), masked)
	if d.Code == 0 {
		d.Code = websock.CloseNoStatus // CloseFrames returns it so
	}
	b.last = &d
}

// segments returns what is to be written, in order, if it is more than buf. It is
// valid until release, and may be used up.
func (b *batch) segments() [][]byte {
	if len(b.large) == 0 {
		return nil
	}
	b.parts = slices.Grow(b.parts[:0], 2*len(b.large)+1)
	from := 0
	for _, in := range b.large {
		if from < in.at { // else in is the next piece of the same payload
			b.parts = append(b.parts, b.buf[from:in.at])
			from = in.at
		}
		b.parts = append(b.parts, in.payload)
	}
	if from < len(b.buf) {
		b.parts = append(b.parts, b.buf[from:])
	}
	return b.parts
}
