package frame

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// Mask is a masking key (RFC 6455 section 5.3), its first byte the lowest. 0 changes nothing: it stands for no mask, too.
type Mask uint32

// maskBlock is how much of a long payload is unmasked at once.
const maskBlock = 512

// Apply writes src to dst, masked if it was not, and unmasked if it was. It returns the mask for what follows src. dst must
// be as long as src, and be the same memory or share none with it.
func (m Mask) Apply(dst, src []byte) Mask {
	if m == 0 {
		copy(dst, src)
		return 0
	}
	next := Mask(bits.RotateLeft32(uint32(m), -8*(len(src)&3)))
	if len(src) >= 2*maskBlock {
		n := m.applyBlocks(dst, src)
		dst, src = dst[n:], src[n:]
	}
	dst = dst[:len(src)]
	key := uint64(m) | uint64(m)<<32
	for len(src) >= 8 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^key)
		dst, src = dst[8:], src[8:]
	}
	for i := range src {
		dst[i] = src[i] ^ byte(key)
		key >>= 8
	}
	return next
}

// applyBlocks is Apply for whole blocks. It returns how many bytes they have.
func (m Mask) applyBlocks(dst, src []byte) (n int) {
	var key [maskBlock]byte
	binary.LittleEndian.PutUint32(key[:], uint32(m))
	for done := 4; done < len(key); done *= 2 {
		copy(key[done:], key[:done])
	}
	for ; len(src)-n >= maskBlock; n += maskBlock {
		subtle.XORBytes(dst[n:], src[n:n+maskBlock], key[:])
	}
	return n
}
