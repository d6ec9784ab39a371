package pipe

import "slices"

// ring is a queue of bytes that grows with what is put into it and drops its
// memory when it is empty.
type ring struct {
	buf   []byte
	start uint32 // index of the oldest byte
	n     uint32 // bytes held; its caller keeps it below 1<<31
}

// put appends all of p, which is not empty. Its caller bounds the size.
func (r *ring) put(p []byte) {
	if need := int(r.n) + len(p); need > len(r.buf) {
		r.grow(need)
	}
	end := (int(r.start) + int(r.n)) % len(r.buf)
	m := copy(r.buf[end:], p)
	copy(r.buf, p[m:])
	r.n += uint32(len(p))
}

// take moves the oldest bytes to p and returns how many.
func (r *ring) take(p []byte) int {
	p = p[:min(len(p), int(r.n))]
	m := copy(p, r.buf[r.start:])
	copy(p[m:], r.buf)
	r.n -= uint32(len(p))
	if r.n == 0 {
		r.drop()
	} else {
		r.start = uint32((int(r.start) + len(p)) % len(r.buf))
	}
	return len(p)
}

// drop discards everything and the memory.
func (r *ring) drop() { *r = ring{} }

// grow makes room for need bytes, at least doubling so that many small puts
// cost amortized constant time each.
func (r *ring) grow(need int) {
	buf := slices.Grow([]byte(nil), max(need, 2*len(r.buf)))
	buf = buf[:cap(buf)]
	m := copy(buf[:r.n], r.buf[r.start:])
	copy(buf[m:r.n], r.buf)
	r.buf, r.start = buf, 0
}
