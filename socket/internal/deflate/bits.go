package deflate

import "encoding/binary"

// bits reads bits, the lowest of a byte first (RFC 1951 section 3.1.1). What it reads ends with padding.
type bits struct {
	in   []byte
	next int    // the first byte that is not counted in n
	word uint64 // the next bits
	n    uint   // how many of them count; beyond them stand bits that will be loaded again
}

// fill makes at least 56 bits available. False: there are not so many, even with padding.
func (b *bits) fill() bool {
	if b.next+8 > len(b.in) {
		return false
	}
	b.word |= binary.LittleEndian.Uint64(b.in[b.next:]) << (b.n & 63)
	b.next += int(63-b.n) >> 3
	b.n |= 56
	return true
}

// take returns the next n bits, which must be available.
func (b *bits) take(n uint) uint64 {
	v := b.word & (1<<n - 1)
	b.word >>= n
	b.n -= n
	return v
}

// at is the first byte of which no bit was taken.
func (b *bits) at() int { return b.next - int(b.n>>3) }
