package websock

import "strconv"

// Opcode says what a [Message] is, by the numbers of RFC 6455 section 5.2.
// Continuation and close frames have none here: handlers see whole messages,
// and a socket is closed by a [Result]. The zero Opcode is not legal.
type Opcode uint8

// The opcodes that a handler receives and sends.
const (
	OpText   Opcode = 1 // UTF-8
	OpBinary Opcode = 2
	OpPing   Opcode = 9  // at most 125 bytes
	OpPong   Opcode = 10 // at most 125 bytes
)

// String returns "text", "binary", "ping" or "pong", and "opcode(N)" for a
// value that is none of them.
func (op Opcode) String() string {
	switch op {
	case OpText:
		return "text"
	case OpBinary:
		return "binary"
	case OpPing:
		return "ping"
	case OpPong:
		return "pong"
	}
	return "opcode(" + strconv.Itoa(int(op)) + ")"
}
