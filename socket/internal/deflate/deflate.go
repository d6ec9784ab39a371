package deflate

import (
	"encoding/binary"
	mathbits "math/bits"
)

const (
	// MaxMessage is the largest message that a Deflater takes.
	MaxMessage = 16 << 10

	hashBits = 13
	maxBase  = 1 << 22 // when it is reached, table is cleared, after a thousand messages or so
	margin   = 11      // bytes before the end of a message at which no match begins

	mostSkipped = 7   // bytes that are not looked at after one for which there is no match
	minMatch    = 4   // what the hash finds
	maxMatch    = 258 // RFC 1951 section 3.2.5
	sequences   = MaxMessage/minMatch + 1
)

// Deflater deflates messages that are whole in memory, fast: it takes the first match that it finds, as zlib does at level 1.
// The zero value is ready. One goroutine at a time may use it.
type Deflater struct {
	// table has where bytes of each hash began last: base plus their position. What is below base is of messages before.
	table [1 << hashBits]uint32
	base  uint32

	found [sequences]sequence
	n     int // of found

	// The block that is being made: the symbols and their codewords.
	litFreq   [maxLit]uint16
	litWords  [maxLit]codeword
	distFreq  [maxDist]uint16
	distWords [maxDist]codeword
	preFreq   [len(order)]uint16 // of the code for code lengths
	preWords  [len(order)]codeword
	runs      []run
	extra     int // bits beside codewords
	symbols   int // how many there are

	lits, dists, pres int // how many lengths the header has of each code
	fixed             bool
	fixedLit          [maxLit]codeword
	fixedDist         [maxDist]codeword

	lens    [maxLit + maxDist]uint8 // of lit's and then dist's codewords
	preLens [len(order)]uint8       // of the code for code lengths, in its order
	huffman huffman
	out     []byte
}

// A sequence is so many literals, and then a match. The last one of a message has no match.
type sequence struct {
	literals, length, distance uint16
	lengthSymbol, distSymbol   uint8 // less endSymbol
}

// Deflate returns p, at most MaxMessage bytes, as the payload of a compressed message (RFC 7692 section 7.2.1), or nil when
// that would not be smaller. It is valid until the next call.
func (d *Deflater) Deflate(p []byte) []byte {
	if len(p) == 0 {
		return nil
	}
	d.find(p)
	size := d.plan()
	if size >= len(p) {
		return nil
	}
	if cap(d.out) < size+8 {
		d.out = make([]byte, 2*size+8)
	}
	return d.out[:d.write(d.out[:cap(d.out)], p)]
}

// find fills found, and counts symbols.
func (d *Deflater) find(p []byte) {
	clear(d.litFreq[:])
	clear(d.distFreq[:])
	d.n, d.extra, d.symbols = 0, 0, 0
	if d.base >= maxBase {
		d.base = 0
	}
	if d.base == 0 {
		clear(d.table[:])
		d.base = 1
	}
	base := d.base
	d.base += uint32(len(p))

	literals := 0 // where they begin
	limit := len(p) - margin
	s := 0
	for s < limit {
		// Look for a match. The longer there was none, the more is left out; but never so much that a text in which nothing was found
		// for a while is no longer searched.
		word := binary.LittleEndian.Uint64(p[s:])
		t := d.last(word, base, s)
		if t < 0 || binary.LittleEndian.Uint32(p[t:]) != uint32(word) {
			s += 1 + min((s-literals)>>5, mostSkipped)
			continue
		}
		length := minMatch + same(p[s+minMatch:], p[t+minMatch:])
		for t > 0 && s > literals && p[t-1] == p[s-1] {
			s, t, length = s-1, t-1, length+1
		}
		d.add(p[literals:s], length, s-t)
		s += length
		literals = s
		if s < limit {
			d.last(binary.LittleEndian.Uint64(p[s-2:]), base, s-2)
		}
	}
	d.add(p[literals:], 0, 0)
	d.litFreq[endSymbol] = 1
}

// last returns where the bytes that word begins with may have been before, negative: nowhere, and notes that they are at s.
func (d *Deflater) last(word uint64, base uint32, s int) int {
	const prime5 = 889523592379 // of five bytes
	hash := word << 24 * prime5 >> (64 - hashBits)
	t := int(d.table[hash]) - int(base)
	d.table[hash] = base + uint32(s)
	return t
}

// same is how many bytes a and b, which is longer, begin with both.
func same(a, b []byte) int {
	n := 0
	for len(a)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + mathbits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

// add adds what was found: literals, and then a match, which may be longer than maxMatch, or none.
func (d *Deflater) add(literals []byte, length, distance int) {
	for _, b := range literals {
		d.litFreq[b]++
	}
	d.symbols += len(literals)
	n := len(literals)
	if length == 0 {
		d.found[d.n] = sequence{literals: uint16(n)}
		d.n++
		return
	}
	distSymbol, distExtra := distSymbol(distance)
	for {
		part := min(length, maxMatch)
		if rest := length - part; 0 < rest && rest < minMatch {
			part -= minMatch // or what is left would be no match
		}
		lengthSymbol, lengthExtra := lengthSymbol(part)
		d.litFreq[lengthSymbol]++
		d.distFreq[distSymbol]++
		d.extra += int(lengthExtra + distExtra)
		d.symbols += 2
		d.found[d.n] = sequence{uint16(n), uint16(part), uint16(distance), uint8(lengthSymbol - endSymbol), uint8(distSymbol)}
		d.n++
		if length -= part; length == 0 {
			return
		}
		n = 0
	}
}

// lengthSymbol is the symbol of a length, and how many extra bits it has (RFC 1951 section 3.2.5).
func lengthSymbol(length int) (symbol, extra uint) {
	switch x := uint(length - 3); {
	case x < 8:
		return 257 + x, 0
	case x == maxMatch-3:
		return 285, 0
	default:
		extra = uint(mathbits.Len(x)) - 3
		return 257 + 4*extra + x>>extra, extra
	}
}

// distSymbol is the symbol of a distance, and how many extra bits it has (RFC 1951 section 3.2.5).
func distSymbol(distance int) (symbol, extra uint) {
	x := uint(distance - 1)
	if x < 4 {
		return x, 0
	}
	extra = uint(mathbits.Len(x)) - 2
	return 2*extra + x>>extra, extra
}
