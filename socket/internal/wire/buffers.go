package wire

import "sync"

// Buffers of messages come in sizes, each four times the one before, and are
// pooled by size.
const (
	smallestBuffer = 4 << 10
	largestBuffer  = 1 << 20

	maxScratch = 64 << 10 // largest buffer of another kind that stays in a pool
)

var buffers [5]sync.Pool // of pointers to arrays

// bufferFor returns the least size of at least n, or n if there is none.
func bufferFor(n int) int {
	for size := smallestBuffer; size <= largestBuffer; size *= 4 {
		if n <= size {
			return size
		}
	}
	return n
}

// newBuffer returns an empty slice with the capacity size, from the pool if it is
// one of the sizes above. The memory is not cleared.
func newBuffer(size int) []byte {
	switch size {
	case 4 << 10:
		return pooled[[4 << 10]byte](&buffers[0])[:0]
	case 16 << 10:
		return pooled[[16 << 10]byte](&buffers[1])[:0]
	case 64 << 10:
		return pooled[[64 << 10]byte](&buffers[2])[:0]
	case 256 << 10:
		return pooled[[256 << 10]byte](&buffers[3])[:0]
	case 1 << 20:
		return pooled[[1 << 20]byte](&buffers[4])[:0]
	}
	return make([]byte, 0, size)
}

// pooled takes an array from pool, or makes one.
func pooled[A any](pool *sync.Pool) *A {
	if a, ok := pool.Get().(*A); ok {
		return a
	}
	return new(A)
}

// freeBuffer gives a buffer back to its pool. A slice of another capacity is left
// to the garbage collector.
func freeBuffer(p []byte) {
	p = p[:cap(p)]
	switch len(p) {
	case 4 << 10:
		buffers[0].Put((*[4 << 10]byte)(p))
	case 16 << 10:
		buffers[1].Put((*[16 << 10]byte)(p))
	case 64 << 10:
		buffers[2].Put((*[64 << 10]byte)(p))
	case 256 << 10:
		buffers[3].Put((*[256 << 10]byte)(p))
	case 1 << 20:
		buffers[4].Put((*[1 << 20]byte)(p))
	}
}

// giveBack is freeBuffer for a message that was lent. Where misuse is to be found, it is overwritten before.
func giveBack(p []byte) {
	if spoils {
		spoil(p)
	}
	freeBuffer(p)
}

// spoil overwrites a message that was lent, so that whoever has kept it sees something else, and the race detector sees
// whoever still reads it.
func spoil(p []byte) {
	if len(p) == 0 {
		return
	}
	p[0] = 0xDB
	for done := 1; done < len(p); done *= 2 {
		copy(p[done:], p[:done])
	}
}

// reusable is the size from which on a message that is lent is in a pooled buffer. Smaller ones are cheaper to allocate.
const reusable = 1 << 10
