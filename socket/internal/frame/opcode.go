package frame

import "fmt"

// Opcode is the frame type of RFC 6455 section 5.2.
type Opcode byte

// The opcodes that RFC 6455 defines. All others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether frames of this type may stand between the fragments
// of a message (RFC 6455 section 5.5).
func (op Opcode) Control() bool { return op&8 != 0 }

func (op Opcode) String() string {
	switch op {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return fmt.Sprintf("opcode %d", byte(op))
}
