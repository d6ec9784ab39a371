package link

import (
	"encoding/binary"
	"iter"
)

// smallLen is the memory that a frame begins with: a single message needs no more.
const smallLen = 512

// frame is a DATA or BYE datagram: room for its head, then a piece of the stream. The stream is the length of a record as a
// uvarint, which no frame cuts, its bytes, which may go on in the next frames, and so on.
type frame struct{ b []byte }

// item is what waits to be sent: a frame, or a snapshot that is pulled into frames.
type item struct {
	frame    *frame
	snapshot iter.Seq[[]byte]
}

func (m *Mesh) newFrame(n int) *frame {
	pool, size := &m.small, smallLen
	if n > smallLen {
		pool, size = &m.large, m.frameMax
	}
	f, ok := pool.Get().(*frame)
	if !ok {
		f = &frame{make([]byte, headLen, size)}
	}
	f.b = f.b[:headLen]
	return f
}

// free gives the memory of a frame back. In a flood it saves one allocation of frameLen a frame.
func (m *Mesh) free(f *frame) {
	if cap(f.b) > smallLen {
		m.large.Put(f)
	} else {
		m.small.Put(f)
	}
}

// room has n bytes fit into f, or begins another frame; n is at most what a frame holds. f may be nil.
func (m *Mesh) room(f *frame, n int, begin func(*frame)) *frame {
	switch {
	case f == nil || len(f.b)+n > m.frameMax:
		f = m.newFrame(headLen + n)
		begin(f)
	case len(f.b)+n > cap(f.b):
		large := m.newFrame(m.frameMax)
		f.b, large.b = append(large.b, f.b[headLen:]...), f.b
		m.free(large)
	}
	return f
}

// write appends a record of n bytes to f, the last frame, or to frames that it begins. A record that fits into a frame is not
// cut. It returns the last frame and how many bytes of stream were written.
func (m *Mesh) write(f *frame, n int, parts [][]byte, begin func(*frame)) (*frame, int) {
	var prefix [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(prefix[:], uint64(n))
	if k+n <= m.frameMax-headLen {
		f = m.room(f, k+n, begin)
	} else {
		f = m.room(f, k+1, begin)
	}
	f.b = append(f.b, prefix[:k]...)
	for _, part := range parts {
		for len(part) > 0 {
			f = m.room(f, 1, begin)
			take := min(len(part), m.frameMax-len(f.b))
			f = m.room(f, take, begin)
			f.b = append(f.b, part[:take]...)
			part = part[take:]
		}
	}
	return f, k + n
}

// gather appends a record to what waits; pair.mu is held.
func (p *Peer) gather(n int, parts [][]byte) {
	var written int
	p.tail, written = p.pair.mesh.write(p.tail, n, parts, p.begin)
	p.waiting += written
	p.stats.RecordsOut++
	p.stats.BytesOut += uint64(written)
}

// beginFrame is where frames of gather begin.
func (p *Peer) beginFrame(f *frame) {
	p.queue.push(item{frame: f})
	p.waiting += headLen
}
