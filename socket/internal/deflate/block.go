package deflate

import "encoding/binary"

const (
	endSymbol    = 256 // of a block
	fixedSymbols = 250 // with more, dynamic codes are better, so that the fixed ones are not looked at
)

// A run is a symbol of the code for code lengths, and the value of its extra bits.
type run struct{ symbol, value uint8 }

// runExtra are the extra bits of the symbols from 16 on.
var runExtra = [3]uint{2, 3, 7}

// plan makes the codes of the block, dynamic ones or, if that is not larger, the fixed ones. It returns how many bytes it
// will have.
func (d *Deflater) plan() int {
	h := &d.huffman
	var dynamic, bits int
	dynamic, d.lits = h.build(d.litFreq[:], d.litWords[:], d.lens[:], maxCode)
	bits, d.dists = h.build(d.distFreq[:], d.distWords[:], d.lens[d.lits:], maxCode)
	dynamic += bits
	if d.dists == 0 {
		d.lens[d.lits], d.dists = 1, 1 // some decoders want one
	}
	d.encodeLengths()
	var preLens [len(order)]uint8
	bits, _ = h.build(d.preFreq[:], d.preWords[:], preLens[:], preBits)
	dynamic += bits
	d.pres = len(order)
	for d.pres > 4 && preLens[order[d.pres-1]] == 0 {
		d.pres--
	}
	for i, symbol := range order {
		d.preLens[i] = preLens[symbol]
	}
	dynamic += 5 + 5 + 4 + 3*d.pres
	for i, extra := range runExtra {
		dynamic += int(d.preFreq[16+i]) * int(extra)
	}
	size := dynamic
	if d.fixed = false; d.symbols <= fixedSymbols {
		d.makeFixed()
		size = cost(d.litFreq[:], d.fixedLit[:]) + cost(d.distFreq[:], d.fixedDist[:])
		if d.fixed = size <= dynamic; !d.fixed {
			size = dynamic
		}
	}
	return (3 + size + d.extra + 3 + 7) / 8 // with the header of the empty block that follows
}

// cost is how many bits the symbols have.
func cost(freq []uint16, words []codeword) int {
	n := 0
	for i, f := range freq {
		n += int(f) * int(words[i].len())
	}
	return n
}

// encodeLengths encodes the lengths of the codewords of lit and dist (RFC 1951 section 3.2.7).
func (d *Deflater) encodeLengths() {
	clear(d.preFreq[:])
	d.runs = d.runs[:0]
	lens := d.lens[:d.lits+d.dists]
	for i := 0; i < len(lens); {
		length := lens[i]
		same := 1
		for i+same < len(lens) && lens[i+same] == length {
			same++
		}
		i += same
		if length > 0 {
			d.run(length, 0)
			same--
		}
		for same > 0 {
			switch {
			case length > 0 && same >= 3:
				part := min(same, 6)
				d.run(16, uint8(part-3))
				same -= part
			case length == 0 && same >= 11:
				part := min(same, 138)
				d.run(18, uint8(part-11))
				same -= part
			case length == 0 && same >= 3:
				d.run(17, uint8(same-3))
				same = 0
			default:
				d.run(length, 0)
				same--
			}
		}
	}
}

func (d *Deflater) run(symbol, value uint8) {
	d.preFreq[symbol]++
	d.runs = append(d.runs, run{symbol, value})
}

// makeFixed makes the fixed codes (RFC 1951 section 3.2.6), unless they are there.
func (d *Deflater) makeFixed() {
	if d.fixedDist[0] != 0 {
		return
	}
	var lens [maxLit]uint8
	for i := range lens {
		lens[i] = fixedLength(i)
		d.huffman.symbols[i] = uint16(i)
	}
	number(d.fixedLit[:], lens[:], d.huffman.symbols[:], &[maxCode + 1]uint16{7: 24, 8: 152, 9: 112})
	for i := range maxDist {
		lens[i] = 5
	}
	number(d.fixedDist[:], lens[:], d.huffman.symbols[:maxDist], &[maxCode + 1]uint16{5: fixedDist})
}

// fixedLength is the length of the codeword of a literal or length in the fixed code.
func fixedLength(symbol int) uint8 {
	switch {
	case symbol < 144:
		return 8
	case symbol < 256:
		return 9
	case symbol < 280:
		return 7
	default:
		return 8
	}
}

// write writes the block that was planned, and the header of an empty one that is stored, whose rest the receiver knows. out
// must be longer by 8 bytes than what is written.
func (d *Deflater) write(out, p []byte) int {
	at, word, n := 0, uint64(1<<1), uint(3)
	lit, dist := &d.fixedLit, &d.fixedDist
	if !d.fixed {
		at, word, n = d.header(out)
		lit, dist = &d.litWords, &d.distWords
	}
	for i := range d.found[:d.n] {
		s := &d.found[i]
		literals := p[:s.literals]
		p = p[int(s.literals)+int(s.length):]
		for ; len(literals) >= 3; literals = literals[3:] {
			a, b, c := lit[literals[0]], lit[literals[1]], lit[literals[2]]
			word |= a.bits() << (n & 63)
			n += a.len()
			word |= b.bits() << (n & 63)
			n += b.len()
			word |= c.bits() << (n & 63)
			n += c.len()
			binary.LittleEndian.PutUint64(out[at:], word)
			at += int(n >> 3)
			word >>= n & 56
			n &= 7
		}
		if len(literals) > 0 {
			for _, b := range literals {
				c := lit[b]
				word |= c.bits() << (n & 63)
				n += c.len()
			}
			binary.LittleEndian.PutUint64(out[at:], word)
			at += int(n >> 3)
			word >>= n & 56
			n &= 7
		}
		if s.length == 0 {
			break // the last one
		}
		// At most 7 bits and 48.
		c := lit[endSymbol+int(s.lengthSymbol)]
		word |= c.bits() << (n & 63)
		n += c.len()
		extra := lengthExtra[s.lengthSymbol&31]
		word |= uint64(s.length-3) & (1<<extra - 1) << (n & 63)
		n += uint(extra)
		c = dist[s.distSymbol]
		word |= c.bits() << (n & 63)
		n += c.len()
		extra = distExtra[s.distSymbol&31]
		word |= uint64(s.distance-1) & (1<<extra - 1) << (n & 63)
		n += uint(extra)
		binary.LittleEndian.PutUint64(out[at:], word)
		at += int(n >> 3)
		word >>= n & 56
		n &= 7
	}
	c := lit[endSymbol]
	word |= c.bits() << (n & 63)
	n += c.len() + 3 + 7
	binary.LittleEndian.PutUint64(out[at:], word)
	return at + int(n>>3)
}

// Extra bits of the symbols from 256 on, and of distances (RFC 1951 section 3.2.5).
var (
	lengthExtra = [32]uint8{9: 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}
	distExtra   = [32]uint8{4: 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// header writes the codes, and returns what is written then and not in out yet.
func (d *Deflater) header(out []byte) (at int, word uint64, n uint) {
	word = 2<<1 | uint64(d.lits-257)<<3 | uint64(d.dists-1)<<8 | uint64(d.pres-4)<<13
	n = 17
	put := func(bits uint64, count uint) {
		word |= bits << (n & 63)
		n += count
		binary.LittleEndian.PutUint64(out[at:], word)
		at += int(n >> 3)
		word >>= n & 56
		n &= 7
	}
	for _, length := range d.preLens[:d.pres] {
		put(uint64(length), 3)
	}
	for _, r := range d.runs {
		c := d.preWords[r.symbol]
		if r.symbol < 16 {
			put(c.bits(), c.len())
		} else {
			put(c.bits()|uint64(r.value)<<c.len(), c.len()+runExtra[r.symbol-16])
		}
	}
	return at, word, n
}
