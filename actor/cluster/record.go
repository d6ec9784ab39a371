package cluster

import (
	"encoding/binary"
	"errors"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// A record is one item of the stream between two nodes: a byte that says its kind, tagged headers if that byte has the bit
// hasHeaders, the fields of the kind, and at last a value, an error or bytes up to its end. Numbers are unsigned varints.
//
// Headers are their length in bytes all together, and then for each its tag, the length of its data, and the data. A receiver
// skips those it does not know, and records of a kind that it does not know, so that a later version can add to both.
type kind byte

const (
	recHello     kind = 1 + iota // names of channels, announcement of types. The first of each session
	recSend                      // num, value
	recExit                      // num, error
	recCall                      // id, num, time left, caller, value
	recAnswer                    // id, value
	recFail                      // id, error: why there is no answer
	recCancel                    // id of a call
	recMonitor                   // id, num
	recDemonitor                 // id of a monitor
	recDown                      // id of a monitor, error
	recChannel                   // number of a channel, bytes
	recUnhandled                 // id: the call has reached no callback
	recSurvey                    // id, time left, topic, value; answered as a call

	hasHeaders kind = 0x80
)

// The tags of headers. Those of a Delivery are of every record whose value may be a websock.Message: recSend, recCall, recAnswer,
// recSurvey and recChannel.
const (
	tagCarried  = 1 // of recSend and recCall: what Config.Carry has made of the sender's ctx, 1 to mostCarried bytes
	tagRoom     = 2 // of recCall: it is a SendWait; no bytes
	tagKey      = 3 // Delivery.Key, 1 to maxKey bytes
	tagVolatile = 4 // Delivery.Volatile; no bytes
	tagExpires  = 5 // Delivery.Expires, a number, ns
)

// mostCarried is how long that may be; package actor sends no more.
const mostCarried = 1 << 10

// Who the caller of a recCall is: the first byte of that field.
const (
	callerNobody byte = iota // a goroutine that is no process
	callerHere               // of the node that calls: num
	callerOther              // of another node: node, boot, num
)

var errBroken = errors.New("broken record")

// fields reads a record. The first thing that is missing makes it bad, and everything after that zero.
type fields struct {
	b       []byte
	headers []byte
	bad     bool
}

// parse splits the kind and the headers off a record.
func parse(rec []byte) (kind, fields) {
	if len(rec) == 0 {
		return 0, fields{bad: true}
	}
	k, f := kind(rec[0]), fields{b: rec[1:]}
	if k&hasHeaders != 0 {
		f.headers = f.bytes()
		k &^= hasHeaders
	}
	return k, f
}

// number reads an unsigned varint.
func (f *fields) number() uint64 {
	v, n := binary.Uvarint(f.b)
	if n <= 0 {
		f.b, f.bad = nil, true
		return 0
	}
	f.b = f.b[n:]
	return v
}

// bytes reads a length and so many bytes.
func (f *fields) bytes() []byte {
	n := f.number()
	if n > uint64(len(f.b)) {
		f.b, f.bad = nil, true
		return nil
	}
	b := f.b[:n]
	f.b = f.b[n:]
	return b
}

// headers are those that a record may have.
type headers struct {
	with    string            // of tagCarried; "": there is none
	room    bool              // there is tagRoom
	deliver *websock.Delivery // of tagKey, tagVolatile and tagExpires; nil: there is none
}

// tagged reads the headers. Those that make no sense make the record bad.
func (f *fields) tagged() (all headers) {
	for h := (fields{b: f.headers}); len(h.b) > 0; {
		tag, data := h.number(), h.bytes()
		if h.bad {
			f.bad = true
			return headers{}
		}
		switch {
		case tag == tagCarried && len(data) <= mostCarried:
			all.with = string(data)
		case tag == tagRoom && len(data) == 0:
			all.room = true
		case tag == tagKey && len(data) <= maxKey:
			all.delivery().Key = string(data)
		case tag == tagVolatile && len(data) == 0:
			all.delivery().Volatile = true
		case tag == tagExpires:
			all.delivery().Expires = expires(data)
		}
	}
	return all
}

// delivery makes the Delivery, if there is none.
func (h *headers) delivery() *websock.Delivery {
	if h.deliver == nil {
		h.deliver = &websock.Delivery{}
	}
	return h.deliver
}

func (f *fields) byte() byte {
	if len(f.b) == 0 {
		f.bad = true
		return 0
	}
	b := f.b[0]
	f.b = f.b[1:]
	return b
}

// end says that nothing may follow.
func (f *fields) end() {
	if len(f.b) > 0 {
		f.bad = true
	}
}

// record begins a record of numbers.
func record(b []byte, k kind, numbers ...uint64) []byte {
	b = append(b, byte(k))
	for _, v := range numbers {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// recordWith is record with headers, if there are any.
func recordWith(b []byte, k kind, h headers, numbers ...uint64) []byte {
	if h == (headers{}) {
		return record(b, k, numbers...)
	}
	var tagged []byte
	if h.with != "" {
		tagged = appendBytes(append(tagged, tagCarried), h.with)
	}
	if h.room {
		tagged = append(tagged, tagRoom, 0)
	}
	tagged = appendDelivery(tagged, h.deliver)
	b = appendBytes(append(b, byte(k|hasHeaders)), tagged)
	for _, v := range numbers {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// bare takes apart what is sent: the message, and what its record says of it.
func bare(msg any) (content any, h headers) {
	if r, ok := msg.(host.Room); ok {
		h.room, msg = true, r.Msg
	}
	if c, ok := msg.(host.Carried); ok {
		h.with, msg = c.With, c.Msg
	}
	h.deliver = deliveryOf(msg)
	return msg, h
}

func appendBytes[S ~string | ~[]byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
