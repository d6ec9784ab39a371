package deflate

import mathbits "math/bits"

// Sizes of alphabets (RFC 1951 section 3.2.5 and 3.2.6).
const (
	maxLit    = 286 // literals and lengths
	maxDist   = 30
	fixedLit  = 288 // as the fixed codes have them
	fixedDist = 32

	maxCode = 15 // bits of the longest codeword
)

// A table has an entry for each value of the next root bits. Codewords that are longer have a table of their own after these,
// in the same array. The arrays are larger than what any code needs (852 and 402 entries), since an index that is taken modulo
// a power of two needs no check.
const (
	litBits, distBits, preBits = 9, 8, 7 // of the root
	litTable, distTable        = 1 << 10, 1 << 9
)

type table[A any] struct {
	entries A
	root    uint
}

// An entry says how many bits its codeword has, without those of the root (bits 0 to 3), and what it stands for: a value or
// base (from bit 16), with so many extra bits (bits 8 to 11). That of a subtable has where it begins, and the bits of its
// index.
const (
	subtable   = 1 << 4
	literal    = 1 << 5
	special    = 1 << 6 // the end of the block, or nothing that may come
	endOfBlock = 1 << 7
)

// lengths are the entries of the symbols from 256 on (RFC 1951 section 3.2.5).
var lengths = [fixedLit - 256]uint32{
	special | endOfBlock,
	3 << 16, 4 << 16, 5 << 16, 6 << 16, 7 << 16, 8 << 16, 9 << 16, 10 << 16,
	11<<16 | 1<<8, 13<<16 | 1<<8, 15<<16 | 1<<8, 17<<16 | 1<<8,
	19<<16 | 2<<8, 23<<16 | 2<<8, 27<<16 | 2<<8, 31<<16 | 2<<8,
	35<<16 | 3<<8, 43<<16 | 3<<8, 51<<16 | 3<<8, 59<<16 | 3<<8,
	67<<16 | 4<<8, 83<<16 | 4<<8, 99<<16 | 4<<8, 115<<16 | 4<<8,
	131<<16 | 5<<8, 163<<16 | 5<<8, 195<<16 | 5<<8, 227<<16 | 5<<8,
	258 << 16, special, special,
}

func litEntry(symbol uint16) uint32 {
	if symbol < 256 {
		return uint32(symbol)<<16 | literal
	}
	return lengths[symbol-256]
}

func distEntry(symbol uint16) uint32 {
	switch {
	case symbol < 4:
		return uint32(symbol+1) << 16
	case symbol < maxDist:
		extra := uint32(symbol)>>1 - 1
		return (2+uint32(symbol)&1)<<extra<<16 + 1<<16 | extra<<8
	}
	return special
}

func plain(symbol uint16) uint32 { return uint32(symbol) << 16 }

// A word is a symbol that has a codeword, and the length of that.
type word struct {
	symbol uint16
	length uint8
}

// build makes the table of the canonical code with these words, in the order of their symbols (RFC 1951 section 3.2.2), which
// begin with first. False: it is no complete code, and also not one that has a single codeword, of one bit, or none; those of
// what is missing have special entries. sorted is memory for the symbols.
//
// It goes through the codewords in order. The codewords of one length fill the table up to that size; for the next length it
// is doubled, by a copy. (The way of libdeflate.)
func build(entries []uint32, rootBits *uint, most uint, words []word, first uint16, sorted []uint16, entry func(uint16) uint32) bool {
	var count [maxCode + 1]uint16
	for _, w := range words {
		count[w.length&maxCode]++
	}
	longest := uint(maxCode)
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	var start [maxCode + 2]uint16
	space := 0
	for n := uint(1); n <= longest; n++ {
		start[n+1] = start[n] + count[n]
		space += int(count[n]) << (longest - n)
	}
	for _, w := range words {
		i := &start[w.length&maxCode]
		sorted[*i] = w.symbol - first
		*i++
	}
	if longest <= 1 && count[1] <= 1 {
		*rootBits = 1
		entries[0], entries[1] = special, special
		if count[1] == 1 {
			entries[0] = entry(sorted[0]) | 1
		}
		return true
	}
	if space != 1<<longest {
		return false
	}
	root := min(longest, most)
	*rootBits = root

	n := uint(1) // length of the codewords
	for count[n] == 0 {
		n++
	}
	size := 1 << n // of what is filled so far
	word := 0      // the codeword, its first bit lowest
	next := 0      // in sorted
	for n <= root {
		for range count[n] {
			entries[word] = entry(sorted[next]) | uint32(n)
			next++
			if word == size-1 { // the last one
				for ; n < root; n++ {
					copy(entries[size:2*size], entries[:size])
					size *= 2
				}
				return true
			}
			word = following(word, size)
		}
		for {
			n++
			if n <= root {
				copy(entries[size:2*size], entries[:size])
				size *= 2
			}
			if count[n] > 0 {
				break
			}
		}
	}
	return subtables(entries, root, n, word, count[:], sorted[next:], entry)
}

// following is the codeword after word among those of which size-1 is the last.
func following(word, size int) int {
	bit := 1 << (mathbits.Len(uint(word^(size-1))) - 1)
	return word&(bit-1) | bit
}

// subtables makes the tables of the codewords that are longer than root, from word on, which has n bits.
func subtables(entries []uint32, root, n uint, word int, count, sorted []uint16, entry func(uint16) uint32) bool {
	prefix, begin, size := -1, 0, 1<<root
	left := count[n]
	for _, symbol := range sorted {
		for left == 0 {
			n++
			left = count[n]
		}
		if p := word & (1<<root - 1); p != prefix {
			prefix, begin = p, size
			index := n - root // bits: as many as the longest codeword with this prefix has
			for space := int(left); space < 1<<index; {
				index++
				space = 2*space + int(count[root+index])
			}
			if size += 1 << index; size > len(entries) {
				return false
			}
			entries[prefix] = uint32(begin)<<16 | uint32(index)<<8 | subtable
		}
		for i := begin + word>>root; i < size; i += 1 << (n - root) {
			entries[i] = entry(symbol) | uint32(n-root)
		}
		left--
		if word == 1<<n-1 {
			return true
		}
		word = following(word, 1<<n)
	}
	return false // a complete code has a last codeword
}
