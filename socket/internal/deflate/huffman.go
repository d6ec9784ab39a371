package deflate

import (
	mathbits "math/bits"
	"slices"
)

// A codeword is its bits, the first one lowest, from bit 8 on, and their number below.
type codeword uint32

func (c codeword) len() uint    { return uint(c & 0xff) }
func (c codeword) bits() uint64 { return uint64(c >> 8) }

// huffman makes Huffman codes.
type huffman struct {
	symbols [maxLit]uint16 // that occur, in their order
	leaves  [maxLit]uint32 // their frequency and themselves, the rarest first
	nodes   [maxLit]uint32 // the frequency of nodes, the rarest first, and then their depth
	parents [maxLit]uint16 // of nodes
	count   [maxCode + 1]uint16
}

const (
	symbolBits = 9
	buckets    = 64 // for frequencies
)

// build makes a code for symbols that are so frequent, of at most most bits. If a single symbol occurs, its codeword has one
// bit. It sets the lengths of all codewords, up to that of the last symbol that occurs, and the codewords of those that occur.
// It returns how many bits all of them have, and how many lengths there are.
func (h *huffman) build(freq []uint16, words []codeword, lens []uint8, most uint) (size, n int) {
	for symbol, f := range freq {
		if f > 0 {
			h.symbols[n] = uint16(symbol)
			n++
		}
	}
	symbols := h.symbols[:n]
	leaves := h.sort(freq, symbols)
	clear(h.count[:])
	switch n {
	case 0:
		return 0, 0
	case 1:
		h.count[1] = 1
	default:
		h.join(leaves)
		h.measure(n-2, most)
	}
	n = int(symbols[n-1]) + 1
	clear(lens[:n])
	next := 0
	for length := most; length > 0; length-- {
		for _, leaf := range leaves[next : next+int(h.count[length])] {
			lens[leaf&(1<<symbolBits-1)] = uint8(length)
			size += int(leaf>>symbolBits) * int(length)
		}
		next += int(h.count[length])
	}
	number(words, lens, symbols, &h.count)
	return size, n
}

// sort returns the symbols, the rarest first.
func (h *huffman) sort(freq, symbols []uint16) []uint32 {
	leaves := h.leaves[:len(symbols)]
	if len(leaves) <= buckets/4 {
		for i, symbol := range symbols {
			leaves[i] = uint32(freq[symbol])<<symbolBits | uint32(symbol)
		}
		slices.Sort(leaves)
		return leaves
	}
	var at [buckets]uint16 // how many have that frequency, and then where they go
	for _, symbol := range symbols {
		at[min(freq[symbol], buckets-1)]++
	}
	n := uint16(0)
	for i, times := range at {
		at[i] = n
		n += times
	}
	often := at[buckets-1]
	for _, symbol := range symbols {
		i := &at[min(freq[symbol], buckets-1)]
		leaves[*i] = uint32(freq[symbol])<<symbolBits | uint32(symbol)
		*i++
	}
	slices.Sort(leaves[often:])
	return leaves
}

// join makes the tree: the two rarest become one node, until there is one. Nodes come in the order of their frequency, too.
func (h *huffman) join(leaves []uint32) {
	leaf, node := 0, 0 // the next ones that have no parent
	for made := range len(leaves) - 1 {
		sum := uint32(0)
		for range 2 {
			if leaf < len(leaves) && (node == made || leaves[leaf]>>symbolBits <= h.nodes[node]) {
				sum += leaves[leaf] >> symbolBits
				leaf++
			} else {
				sum += h.nodes[node]
				h.parents[node] = uint16(made)
				node++
			}
		}
		h.nodes[made] = sum
	}
}

// measure counts the codewords of each length. Where the tree is deeper than most, a leaf less deep takes another one beside
// it; so the code is almost the best one. (The way of libdeflate.)
func (h *huffman) measure(root int, most uint) {
	h.count[1] = 2
	h.nodes[root] = 0
	for i := root - 1; i >= 0; i-- {
		depth := h.nodes[h.parents[i]] + 1
		h.nodes[i] = depth
		n := min(uint(depth), most-1)
		for h.count[n] == 0 {
			n--
		}
		h.count[n]--
		h.count[n+1] += 2
	}
}

// number makes the codewords of symbols from their lengths (RFC 1951 section 3.2.2).
func number(words []codeword, lens []uint8, symbols []uint16, count *[maxCode + 1]uint16) {
	var next [maxCode + 1]uint16
	for n := 1; n < maxCode; n++ {
		next[n+1] = (next[n] + count[n]) << 1
	}
	for _, symbol := range symbols {
		n := lens[symbol] & maxCode
		words[symbol] = codeword(mathbits.Reverse16(next[n])>>(16-n))<<8 | codeword(n)
		next[n]++
	}
}
