package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// The tags of values, the first byte of each. They are part of the protocol.
const (
	tagNil        = 1
	tagFalse      = 2
	tagTrue       = 3
	tagInt        = 4 // signed integers: zigzag varint
	tagInt8       = 5
	tagInt16      = 6
	tagInt32      = 7
	tagInt64      = 8
	tagUint       = 9 // unsigned integers: varint
	tagUint8      = 10
	tagUint16     = 11
	tagUint32     = 12
	tagUint64     = 13
	tagFloat32    = 14 // 4 bytes, little endian, as all that has a fixed length
	tagFloat64    = 15
	tagString     = 16
	tagBytes      = 17
	tagTime       = 18 // as time.Time.AppendBinary: the instant and its offset, not the name of the zone
	tagDuration   = 19 // zigzag varint, ns
	tagMessage    = 20 // opcode, data; its Delivery is not in it: see package cluster
	tagNobody     = 21 // the zero PID
	tagOwnPID     = 22 // of the sender's System: number
	tagPID        = 23 // name of the node, boot, number
	tagError      = 24 // see error.go
	tagRegistered = 25 // number of the type, its bytes
)

// AppendValue appends v to dst. The value has no length of its own, so it must be the last field of its record. On an
// [*EncodeError] it returns dst as it was. Code of a registered type runs on the caller's goroutine; a panic in it becomes the
// error.
//
// An error of a type that is not registered is never too long: it is cut at [MaxError], as an exit reason is, since it may be one.
func (c *Codec) AppendValue(dst []byte, v any) ([]byte, error) {
	b, err := c.append(dst, v)
	if err == nil && b[len(dst)] != tagError {
		err = c.fits(len(b) - len(dst))
	}
	if err != nil {
		return dst, &EncodeError{fmt.Sprintf("%T", v), err}
	}
	return b, nil
}

func (c *Codec) append(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case websock.Message:
		if err := c.fits(2 + len(v.Data)); err != nil { // before it is copied
			return nil, err
		}
		return append(append(dst, tagMessage, byte(v.Opcode)), v.Data...), nil
	case []byte:
		if err := c.fits(1 + len(v)); err != nil {
			return nil, err
		}
		return append(append(dst, tagBytes), v...), nil
	case string:
		if err := c.fits(1 + len(v)); err != nil {
			return nil, err
		}
		return append(append(dst, tagString), v...), nil
	case actor.PID:
		return c.appendPID(dst, v), nil
	case time.Time:
		return v.AppendBinary(append(dst, tagTime))
	}
	if b, ok := appendScalar(dst, v); ok {
		return b, nil
	}
	if e := c.cfg.Types.byType[reflect.TypeOf(v)]; e != nil {
		dst = binary.AppendUvarint(append(dst, tagRegistered), e.number)
		return e.appendTo(dst, v)
	}
	if err, ok := v.(error); ok {
		return c.AppendError(append(dst, tagError), err), nil
	}
	return nil, errNotRegistered
}

func (c *Codec) fits(size int) error {
	if size > c.cfg.MaxMessage {
		return tooLong(size, c.cfg.MaxMessage)
	}
	return nil
}

// appendScalar appends what has at most 64 bits.
func appendScalar(dst []byte, v any) (b []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(dst, tagNil), true
	case bool:
		if v {
			return append(dst, tagTrue), true
		}
		return append(dst, tagFalse), true
	case int:
		return appendInt(dst, tagInt, v), true
	case int8:
		return appendInt(dst, tagInt8, v), true
	case int16:
		return appendInt(dst, tagInt16, v), true
	case int32:
		return appendInt(dst, tagInt32, v), true
	case int64:
		return appendInt(dst, tagInt64, v), true
	case time.Duration:
		return appendInt(dst, tagDuration, v), true
	case uint:
		return appendUint(dst, tagUint, v), true
	case uint8:
		return appendUint(dst, tagUint8, v), true
	case uint16:
		return appendUint(dst, tagUint16, v), true
	case uint32:
		return appendUint(dst, tagUint32, v), true
	case uint64:
		return appendUint(dst, tagUint64, v), true
	case float32:
		return binary.LittleEndian.AppendUint32(append(dst, tagFloat32), math.Float32bits(v)), true
	case float64:
		return binary.LittleEndian.AppendUint64(append(dst, tagFloat64), math.Float64bits(v)), true
	}
	return nil, false
}

func appendInt[T int | int8 | int16 | int32 | int64 | time.Duration](dst []byte, tag byte, v T) []byte {
	return binary.AppendVarint(append(dst, tag), int64(v))
}

func appendUint[T uint | uint8 | uint16 | uint32 | uint64](dst []byte, tag byte, v T) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(v))
}

func (c *Codec) appendPID(dst []byte, p actor.PID) []byte {
	if p == (actor.PID{}) {
		return append(dst, tagNobody)
	}
	node, boot, num := host.Parts(p)
	if c.cfg.System.Owns(p) {
		return binary.AppendUvarint(append(dst, tagOwnPID), num)
	}
	dst = appendShort(append(dst, tagPID), node)
	dst = binary.LittleEndian.AppendUint64(dst, boot)
	return binary.AppendUvarint(dst, num)
}

// appendTo appends the bytes of v to dst. The code of the type gets the room after dst, not dst: it may return other bytes,
// and cannot spoil what is there.
func (e *entry) appendTo(dst []byte, v any) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, fmt.Errorf("its encoder panics: %v", r)
		}
	}()
	room := dst[len(dst):]
	own, err := e.append(room, v)
	if err != nil {
		return nil, err
	}
	if len(own) > 0 && cap(room) > 0 && &own[0] == &room[:1][0] {
		return dst[:len(dst)+len(own)], nil
	}
	return append(dst, own...), nil
}

// Value decodes what [Codec.AppendValue] has written at the peer. b is only read, and only during the call. The error is a
// [*DecodeError]. Code of a registered type runs on the caller's goroutine; a panic in it becomes the error.
//
// The length of b is not compared with MaxMessage: the peer knows how long a record may be, and not that, so it would not know
// of what is refused here.
func (p *Peer) Value(b []byte) (any, error) {
	r := reader{b: b}
	switch tag := r.byte(); tag {
	case tagMessage:
		m := websock.Message{Opcode: websock.Opcode(r.byte()), Data: bytes.Clone(r.rest())}
		if r.bad {
			return nil, &DecodeError{"a websock.Message", errBroken}
		}
		return m, nil
	case tagBytes:
		return append([]byte{}, r.rest()...), nil
	case tagString:
		return string(r.rest()), nil
	case tagRegistered:
		return p.registered(&r)
	case tagError:
		err, broken := p.Error(r.b)
		if broken != nil {
			return nil, broken
		}
		return err, nil
	default:
		v, ok := p.small(tag, &r)
		if !ok || !r.done() {
			return nil, &DecodeError{"a value with tag " + strconv.Itoa(int(tag)), errBroken}
		}
		return v, nil
	}
}

// small decodes what is not bytes.
func (p *Peer) small(tag byte, r *reader) (v any, ok bool) {
	switch tag {
	case tagNil:
		return nil, true
	case tagFalse, tagTrue:
		return tag == tagTrue, true
	case tagInt:
		return takeInt[int](r)
	case tagInt8:
		return takeInt[int8](r)
	case tagInt16:
		return takeInt[int16](r)
	case tagInt32:
		return takeInt[int32](r)
	case tagInt64:
		return takeInt[int64](r)
	case tagDuration:
		return takeInt[time.Duration](r)
	case tagUint:
		return takeUint[uint](r)
	case tagUint8:
		return takeUint[uint8](r)
	case tagUint16:
		return takeUint[uint16](r)
	case tagUint32:
		return takeUint[uint32](r)
	case tagUint64:
		return takeUint[uint64](r)
	case tagFloat32:
		if b := r.take(4); b != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(b)), true
		}
	case tagFloat64:
		return math.Float64frombits(r.uint64()), true
	case tagTime:
		var t time.Time
		err := t.UnmarshalBinary(r.rest())
		return t, err == nil
	case tagNobody, tagOwnPID, tagPID:
		return p.pid(tag, r)
	}
	return nil, false
}

// takeInt takes an integer, if a T can hold it: an int of another node may be longer than one here.
func takeInt[T int | int8 | int16 | int32 | int64 | time.Duration](r *reader) (any, bool) {
	v := r.varint()
	return T(v), int64(T(v)) == v
}

func takeUint[T uint | uint8 | uint16 | uint32 | uint64](r *reader) (any, bool) {
	v := r.uvarint()
	return T(v), uint64(T(v)) == v
}

func (p *Peer) pid(tag byte, r *reader) (v any, ok bool) {
	if tag == tagNobody {
		return actor.PID{}, true
	}
	node, boot := p.node, p.boot
	if tag == tagPID {
		node, boot = string(r.short()), r.uint64()
	}
	num := r.uvarint()
	if r.bad || num == 0 || !host.ValidNode(node) {
		return nil, false
	}
	return host.PIDOf(p.codec.cfg.System, node, boot, num), true
}

// registered decodes a value of a registered type.
func (p *Peer) registered(r *reader) (any, error) {
	n := r.uvarint()
	if r.bad || n >= uint64(len(p.types)) {
		return nil, &DecodeError{"a registered type", errBroken}
	}
	t := p.types[n]
	if t.entry == nil {
		return nil, &DecodeError{strconv.Quote(t.name), ErrUnknownType}
	}
	v, err := t.entry.decodeFrom(p, r.rest())
	if err != nil {
		return nil, &DecodeError{strconv.Quote(t.name), err}
	}
	return v, nil
}

func (e *entry) decodeFrom(p *Peer, b []byte) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("its decoder panics: %v", r)
		}
	}()
	if b == nil {
		b = []byte{}
	}
	return e.decode(p, b)
}
