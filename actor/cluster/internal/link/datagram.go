package link

import "encoding/binary"

// The kinds of datagrams. The first byte is the version in the upper four bits, the kind in the lower.
const (
	kindHello = 1 + iota // to all, or to one: who I am
	kindOpen             // a proposal of a session, and its answer
	kindData             // a frame: a piece of the stream of records
	kindAck              // what is wanted next; also the heartbeat
	kindReset            // I know nothing of that session
	kindBye              // seq not 0: the last frame of a session; 0: its acknowledgement
)

// versionMin and versionMax are the versions of the protocol that this code speaks. HELLO itself has version 0: its layout
// never changes, so that nodes of all versions understand whom they cannot talk to.
const (
	versionMin   = 1
	versionMax   = 1
	versionHello = 0
)

// headLen is the length of what every datagram begins with: version and kind 1, from 8, session 8, seq 8, ack 8, grant 4, little endian.
const headLen = 1 + 4*8 + 4

// head is the beginning of a datagram.
type head struct {
	version, kind uint8
	from          uint64 // boot of the sender
	session       uint64
	seq           uint64 // DATA, BYE: number of the frame, from 1. RESET: the highest session number known
	ack           uint64 // the number of the frame that the sender wants next
	grant         uint32 // bytes that may be on their way to the sender
}

// put writes h to the first headLen bytes of b.
func (h head) put(b []byte) {
	b[0] = h.version<<4 | h.kind
	binary.LittleEndian.PutUint64(b[1:], h.from)
	binary.LittleEndian.PutUint64(b[9:], h.session)
	binary.LittleEndian.PutUint64(b[17:], h.seq)
	binary.LittleEndian.PutUint64(b[25:], h.ack)
	binary.LittleEndian.PutUint32(b[33:], h.grant)
}

// parseHead reads the head of a datagram; false: it is too short.
func parseHead(b []byte) (h head, body []byte, ok bool) {
	if len(b) < headLen {
		return head{}, nil, false
	}
	return head{
		version: b[0] >> 4,
		kind:    b[0] & 15,
		from:    binary.LittleEndian.Uint64(b[1:]),
		session: binary.LittleEndian.Uint64(b[9:]),
		seq:     binary.LittleEndian.Uint64(b[17:]),
		ack:     binary.LittleEndian.Uint64(b[25:]),
		grant:   binary.LittleEndian.Uint32(b[33:]),
	}, b[headLen:], true
}

// Flags of an ACK.
const (
	flagGap  = 1 << iota // a frame came out of place: send again from ack on
	flagAsk              // answer with an ACK at once
	flagEcho             // echo and held are set
)

// ackLen is the length of the body of an ACK. A longer body is read as far as it is known.
const ackLen = 1 + 4 + 4 + 4

// ack is the body of an ACK: flags, and what the round trip is measured with.
type ack struct {
	flags uint8
	sent  uint32 // the sender's clock, microseconds
	echo  uint32 // sent of the last ACK that it received
	held  uint32 // microseconds between its arrival and this one
}

func (a ack) put(b []byte) {
	b[0] = a.flags
	binary.LittleEndian.PutUint32(b[1:], a.sent)
	binary.LittleEndian.PutUint32(b[5:], a.echo)
	binary.LittleEndian.PutUint32(b[9:], a.held)
}

func parseAck(b []byte) (a ack, ok bool) {
	if len(b) < ackLen {
		return ack{}, false
	}
	return ack{
		flags: b[0],
		sent:  binary.LittleEndian.Uint32(b[1:]),
		echo:  binary.LittleEndian.Uint32(b[5:]),
		held:  binary.LittleEndian.Uint32(b[9:]),
	}, true
}
