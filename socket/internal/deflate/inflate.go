package deflate

import (
	"encoding/binary"
	"sync"
)

const (
	// MaxInput is the largest compressed payload that an Inflater takes.
	MaxInput = 8 << 10

	// end is what the sender has removed (RFC 7692 section 7.2.1), and an empty last block.
	end = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

	padding     = 16       // bytes after end that a decoder may load, and that belong to nothing
	firstOutput = 4 << 10  // size of the first buffer
	keptOutput  = 64 << 10 // size of the largest buffer
	slack       = 258 + 8  // what is written beyond a position that was found to be in the buffer
)

// Inflater inflates messages that are whole in memory. The zero value is ready. One goroutine at a time may use it.
type Inflater struct {
	in     [MaxInput + len(end) + padding]byte
	length int    // of the payload in it
	out    []byte // longer by slack than what it may hold

	bits   bits
	lit    table[[litTable]uint32]
	dist   table[[distTable]uint32]
	pre    table[[1 << preBits]uint32]
	words  [fixedLit + fixedDist]word
	sorted [fixedLit]uint16
}

// Input is where a payload of n bytes is to be put, at most MaxInput, for the next Inflate.
func (f *Inflater) Input(n int) []byte {
	f.length = n
	return f.in[:n]
}

// Inflate inflates the payload that was put into Input (RFC 7692 section 7.2.2), if it becomes at most most bytes, and at most
// 64 KiB. What it returns is valid until the next call. False says that this is not what happened: the message is larger, or
// broken, or has a last block of its own (section 7.2.3.4). It does not say which. So what decides whether a message is
// refused is another decoder, and this one need only be right where it says true.
func (f *Inflater) Inflate(most int) (data []byte, ok bool) {
	most = min(most, keptOutput)
	n := f.length
	in := f.in[:n+len(end)+padding]
	copy(in[n:], end)
	clear(in[n+len(end):])
	f.bits = bits{in: in}
	at := 0
	for {
		if !f.bits.fill() {
			return nil, false
		}
		last := f.bits.take(1) == 1
		switch f.bits.take(2) {
		case 0:
			at, ok = f.stored(at, most)
		case 1:
			c := fixedCodes()
			at, ok = f.block(&c.lit, &c.dist, at, most)
		case 2:
			if ok = f.dynamicCodes(); ok {
				at, ok = f.block(&f.lit, &f.dist, at, most)
			}
		default:
			ok = false
		}
		if !ok || at > most {
			return nil, false
		}
		if last {
			return f.out[:at], f.bits.at() == n+len(end)
		}
	}
}

// room makes the buffer large enough for n bytes after at, as far as that is not beyond most, and slack. False: at is beyond most.
func (f *Inflater) room(at, n, most int) bool {
	if at > most {
		return false
	}
	size := max(len(f.out)-slack, firstOutput)
	for size < at+n && size < most {
		size = min(2*size, keptOutput)
	}
	if size+slack > len(f.out) {
		grown := make([]byte, size+slack)
		copy(grown, f.out[:at])
		f.out = grown
	}
	return true
}

// stored copies a block that is not compressed (RFC 1951 section 3.2.4).
func (f *Inflater) stored(at, most int) (int, bool) {
	b := &f.bits
	from := b.at() + 4
	if from > len(b.in) {
		return at, false
	}
	n := int(binary.LittleEndian.Uint16(b.in[from-4:]))
	if n != int(^binary.LittleEndian.Uint16(b.in[from-2:])) || from+n > len(b.in) || at+n > most || !f.room(at, n, most) {
		return at, false
	}
	copy(f.out[at:at+n], b.in[from:from+n])
	*b = bits{in: b.in, next: from + n}
	return at + n, true
}

// block decodes the symbols of a block (RFC 1951 section 3.2.3).
func (f *Inflater) block(lits *table[[litTable]uint32], dists *table[[distTable]uint32], at, most int) (int, bool) {
	if !f.room(at, 1, most) {
		return at, false
	}
	out := f.out
	in, next, word, n := f.bits.in, f.bits.next, f.bits.word, f.bits.n
	lit, dist := &lits.entries, &dists.entries
	litRoot, distRoot := lits.root, dists.root
	litMask, distMask := uint64(1)<<(litRoot&63)-1, uint64(1)<<(distRoot&63)-1
	for {
		// A length and a distance have 48 bits at most.
		if n < 48 {
			if next+8 > len(in) {
				return at, false
			}
			word |= binary.LittleEndian.Uint64(in[next:]) << (n & 63)
			next += int(63-n) >> 3
			n |= 56
		}
		if at+slack > len(out) {
			if !f.room(at, 1, most) {
				return at, false
			}
			out = f.out
		}
		e := lit[word&litMask%litTable]
		if e&subtable != 0 {
			word, n = word>>(litRoot&63), n-litRoot
			e = lit[(e>>16+uint32(word)&(1<<(e>>8&15)-1))%litTable]
		}
		used := uint(e & 15)
		word, n = word>>used, n-used
		if e&literal != 0 {
			out[at] = byte(e >> 16)
			at++
			continue
		}
		if e&special != 0 { // the end of the block, or no symbol
			f.bits.next, f.bits.word, f.bits.n = next, word, n
			return at, e&endOfBlock != 0
		}
		extra := uint(e >> 8 & 15)
		length := int(e>>16) + int(word&(1<<extra-1))
		word, n = word>>extra, n-extra

		e = dist[word&distMask%distTable]
		if e&subtable != 0 {
			word, n = word>>(distRoot&63), n-distRoot
			e = dist[(e>>16+uint32(word)&(1<<(e>>8&15)-1))%distTable]
		}
		used = uint(e & 15)
		word, n = word>>used, n-used
		extra = uint(e >> 8 & 15)
		from := at - int(e>>16) - int(word&(1<<extra-1))
		word, n = word>>extra, n-extra
		if from < 0 || e&special != 0 {
			return at, false
		}
		to := at + length
		if at-from < 8 {
			for at < to {
				at += copy(out[at:to], out[from:at])
			}
			continue
		}
		for at < to {
			binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
			at, from = at+8, from+8
		}
		at = to
	}
}

// order is the one in which the lengths of the code for code lengths stand (RFC 1951 section 3.2.7).
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamicCodes reads the codes of a block (RFC 1951 section 3.2.7).
func (f *Inflater) dynamicCodes() bool {
	b := &f.bits
	lits, dists, pres := uint16(b.take(5))+257, uint16(b.take(5))+1, int(b.take(4))+4
	if lits > maxLit || dists > maxDist || !f.preCode(pres) {
		return false
	}
	n := 0                // of words
	previous := uint8(16) // the length before; 16: there is none
	for i := uint16(0); i < lits+dists; {
		if b.n < preBits+7 && !b.fill() {
			return false
		}
		e := f.pre.entries[b.word&(1<<f.pre.root-1)%(1<<preBits)]
		if e&special != 0 {
			return false
		}
		b.take(uint(e & 15))
		length, times := uint8(e>>16), uint16(1)
		switch length {
		case 16:
			length, times = previous, uint16(b.take(2))+3
		case 17:
			length, times = 0, uint16(b.take(3))+3
		case 18:
			length, times = 0, uint16(b.take(7))+11
		}
		if length > maxCode || i+times > lits+dists {
			return false
		}
		previous = length
		if length == 0 {
			i += times
			continue
		}
		for range times {
			f.words[n] = word{i, length}
			n++
			i++
		}
	}
	litWords := 0
	for litWords < n && f.words[litWords].symbol < lits {
		litWords++
	}
	return build(f.lit.entries[:], &f.lit.root, litBits, f.words[:litWords], 0, f.sorted[:], litEntry) &&
		build(f.dist.entries[:], &f.dist.root, distBits, f.words[litWords:n], lits, f.sorted[:], distEntry)
}

// preCode reads the code for code lengths, of which n are there.
func (f *Inflater) preCode(n int) bool {
	var lens [len(order)]uint8
	for _, i := range order[:n] {
		if f.bits.n < 3 && !f.bits.fill() {
			return false
		}
		lens[i] = uint8(f.bits.take(3))
	}
	words := f.words[:0]
	for i, length := range lens {
		if length > 0 {
			words = append(words, word{uint16(i), length})
		}
	}
	return build(f.pre.entries[:], &f.pre.root, preBits, words, 0, f.sorted[:], plain)
}

// codes are those of a block.
type codes struct {
	lit  table[[litTable]uint32]
	dist table[[distTable]uint32]
}

// fixedCodes are the fixed codes (RFC 1951 section 3.2.6).
var fixedCodes = sync.OnceValue(func() *codes {
	c := new(codes)
	var words []word
	for i := range fixedLit {
		words = append(words, word{uint16(i), fixedLength(i)})
	}
	for i := range fixedDist {
		words = append(words, word{uint16(i), 5})
	}
	var sorted [fixedLit]uint16
	build(c.lit.entries[:], &c.lit.root, litBits, words[:fixedLit], 0, sorted[:], litEntry)
	build(c.dist.entries[:], &c.dist.root, distBits, words[fixedLit:], 0, sorted[:], distEntry)
	return c
})
