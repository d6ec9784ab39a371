package codec

import "encoding/binary"

// reader takes fields from the front of b. What is not there is zero, and sets bad.
type reader struct {
	b   []byte
	bad bool
}

// take takes n bytes, which alias b.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// short takes what appendShort wrote, and long what appendLong wrote.
func (r *reader) short() []byte { return r.take(uint64(r.byte())) }
func (r *reader) long() []byte  { return r.take(r.uvarint()) }

// rest takes all that is left.
func (r *reader) rest() []byte { return r.take(uint64(len(r.b))) }

// done tells whether all was there and nothing is left.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }

// appendShort appends at most 255 bytes of s.
func appendShort(dst []byte, s string) []byte {
	s = cut(s, 255)
	return append(append(dst, byte(len(s))), s...)
}

func appendLong[B ~[]byte | ~string](dst []byte, s B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// cut cuts s to at most limit bytes, not within a rune.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xc0 == 0x80 {
		limit--
	}
	return s[:limit]
}
