package wire

import (
	"crypto/subtle"
	"encoding/binary"
)

// maskBlock is how much of a long payload is unmasked at once.
const maskBlock = 512

// unmask puts src, a payload from its start, into dst without its mask (RFC 6455
// section 5.3). Both have the same length, and overlap in nothing or are the same.
func unmask(dst, src []byte, mask [4]byte) {
	if len(src) >= 2*maskBlock {
		n := unmaskBlocks(dst, src, mask)
		dst, src = dst[n:], src[n:]
	}
	dst = dst[:len(src)]
	key := uint64(binary.LittleEndian.Uint32(mask[:]))
	key |= key << 32
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^key)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key >>= 8
	}
}

// unmaskBlocks unmasks whole blocks and returns how many bytes they have.
func unmaskBlocks(dst, src []byte, mask [4]byte) (n int) {
	var key [maskBlock]byte
	copy(key[:], mask[:])
	for done := len(mask); done < len(key); done *= 2 {
		copy(key[done:], key[:done])
	}
	for ; len(src)-n >= maskBlock; n += maskBlock {
		subtle.XORBytes(dst[n:], src[n:n+maskBlock], key[:])
	}
	return n
}
