package wire

import (
	cryptorand "crypto/rand"
	"math/rand/v2"

	"github.com/troupe-dev/troupe/socket/internal/frame"
)

// maskedPiece is the most of a large payload that is masked into one buffer, which is from a pool.
const maskedPiece = 64 << 10

// addMasked adds a frame of a client, masked with a key of its own (RFC 6455 section 5.3). The payload may be shared with
// other connections, or still in use by whoever has sent it: what is masked is a copy.
func (b *batch) addMasked(op frame.Opcode, compressed bool, payload []byte) {
	key := b.key()
	if len(payload) >= largePayload {
		b.reserve(frame.MaxHeader)
		b.buf = frame.AppendMasked(b.buf, op, compressed, len(payload), key)
		b.addPieces(payload, key)
		return
	}
	b.reserve(frame.MaxHeader + len(payload))
	b.buf = frame.AppendMasked(b.buf, op, compressed, len(payload), key)
	at := len(b.buf)
	b.buf = b.buf[:at+len(payload)]
	key.Apply(b.buf[at:], payload)
}

// addPieces adds a large payload. The buffers go back to their pool when the batch was written.
func (b *batch) addPieces(payload []byte, key frame.Mask) {
	b.extra += len(payload)
	for len(payload) > 0 {
		n := min(len(payload), maskedPiece)
		piece := newBuffer(bufferFor(n))[:n]
		key = key.Apply(piece, payload[:n])
		b.large = append(b.large, insert{len(b.buf), piece})
		b.lent = append(b.lent, piece)
		payload = payload[n:]
	}
}

// key returns a masking key that nobody can predict, also not from those before it (RFC 6455 section 10.3). The source is
// the batch's, which one connection at a time uses, so that connections that are silent have none.
func (b *batch) key() frame.Mask {
	if b.keys == nil {
		var seed [32]byte
		cryptorand.Read(seed[:]) //nolint:errcheck,gosec // it never fails
		b.keys = rand.NewChaCha8(seed)
	}
	return frame.Mask(b.keys.Uint64())
}
