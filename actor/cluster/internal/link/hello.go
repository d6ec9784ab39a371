package link

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// maxName is the longest name of a node, in bytes.
const maxName = 200

// hello is what a node says of itself, in HELLO and OPEN: fields of a tag, a length and bytes. A receiver skips tags that
// it does not know.
type hello struct {
	name       string
	min, max   uint8 // versions spoken
	heartbeat  time.Duration
	downAfter  time.Duration
	maxRecord  uint32
	heartbeats bool // heartbeat and downAfter are set
}

const (
	tagName = 1 + iota
	tagVersions
	tagTimes     // heartbeat and downAfter, milliseconds, 4 bytes each
	tagMaxRecord // 4 bytes
)

func (h hello) append(b []byte) []byte {
	b = append(b, tagName, byte(len(h.name)))
	b = append(b, h.name...)
	b = append(b, tagVersions, 2, h.min, h.max)
	b = append(b, tagTimes, 8)
	b = binary.LittleEndian.AppendUint32(b, milliseconds(h.heartbeat))
	b = binary.LittleEndian.AppendUint32(b, milliseconds(h.downAfter))
	b = append(b, tagMaxRecord, 4)
	return binary.LittleEndian.AppendUint32(b, h.maxRecord)
}

// milliseconds rounds up: what is a time for the one side is not none for the other.
func milliseconds(d time.Duration) uint32 {
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, math.MaxUint32))
}

func parseHello(b []byte) (h hello, ok bool) {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return hello{}, false
		}
		tag, v := b[0], b[2:2+int(b[1])]
		b = b[2+len(v):]
		switch {
		case tag == tagName:
			h.name = string(v)
		case tag == tagVersions && len(v) >= 2:
			h.min, h.max = v[0], v[1]
		case tag == tagTimes && len(v) >= 8:
			h.heartbeat = time.Duration(binary.LittleEndian.Uint32(v)) * time.Millisecond
			h.downAfter = time.Duration(binary.LittleEndian.Uint32(v[4:])) * time.Millisecond
			h.heartbeats = h.heartbeat > 0 && h.downAfter > 0
		case tag == tagMaxRecord && len(v) >= 4:
			h.maxRecord = binary.LittleEndian.Uint32(v)
		}
	}
	ok = h.name != "" && len(h.name) <= maxName && utf8.ValidString(h.name) &&
		h.min > 0 && h.min <= h.max && h.heartbeats && h.maxRecord > 0
	return h, ok
}

// common is the highest version that both speak.
func (h hello) common(o hello) (version uint8, ok bool) {
	version = min(h.max, o.max)
	return version, version >= max(h.min, o.min)
}

// suits reports whether o says something often enough for the patience of h.
func (h hello) suits(o hello) bool { return 2*o.heartbeat < h.downAfter }
