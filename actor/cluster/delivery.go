package cluster

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/websock"
)

// The Delivery of a websock.Message crosses in headers of its record, one for each of its fields. So it costs nothing where there
// is none, a broadcast has the same bytes for every node, and a node of a version that does not know a field skips it: that one
// has no Delivery then, or one without the field.

// maxKey bounds the Key, in bytes. With the largest one, all that stands before a value still has room in a record, however long the
// value is.
const maxKey = 1 << 10

// appendValue appends the value of a record, and d is the Delivery in its headers. The error says that it cannot cross.
func (n *Node) appendValue(b []byte, v any, d *websock.Delivery) ([]byte, error) {
	if d != nil && len(d.Key) > maxKey {
		return b, keyTooLong(len(d.Key))
	}
	return n.codec.AppendValue(b, v)
}

func keyTooLong(n int) error {
	return &codec.EncodeError{Type: "websock.Message", Err: fmt.Errorf("the Key of its Delivery has %d bytes, more than %d", n, maxKey)}
}

// deliveryOf is the Delivery with which v crosses; nil: it has none.
func deliveryOf(v any) *websock.Delivery {
	if m, ok := v.(websock.Message); ok {
		return m.Delivery()
	}
	return nil
}

// delivered is v, which was decoded, with the Delivery that came along. Expires begins anew: clocks differ, and what counts is how
// long a message waits for its client.
func delivered(v any, d *websock.Delivery) any {
	if d != nil {
		if m, ok := v.(websock.Message); ok {
			return m.Deliver(*d)
		}
	}
	return v
}

// appendDelivery appends the headers of d, if there is one.
func appendDelivery(b []byte, d *websock.Delivery) []byte {
	if d == nil {
		return b
	}
	if d.Key != "" {
		b = appendBytes(append(b, tagKey), d.Key)
	}
	if d.Volatile {
		b = append(b, tagVolatile, 0)
	}
	if d.Expires > 0 {
		var v [binary.MaxVarintLen64]byte
		b = appendBytes(append(b, tagExpires), v[:binary.PutUvarint(v[:], uint64(d.Expires))])
	}
	return b
}

// expires reads the data of a tagExpires; 0: it makes no sense.
func expires(data []byte) time.Duration {
	v, n := binary.Uvarint(data)
	if n != len(data) || v > math.MaxInt64 {
		return 0
	}
	return time.Duration(v)
}
