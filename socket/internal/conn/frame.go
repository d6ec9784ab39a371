package conn

import "github.com/troupe-dev/troupe/websock"

// frame is a message, a ping or a pong that the reader hands to the process.
type frame struct {
	msg websock.Message // Opcode stays as it is until the process is done with the frame: actor.Inspect may call name
}

// name is what actor.Inspect says of a message of the peer.
func (f *frame) name() string {
	switch f.msg.Opcode {
	case websock.OpText:
		return "websock.Message text"
	case websock.OpBinary:
		return "websock.Message binary"
	case websock.OpPing:
		return "websock.Message ping"
	default:
		return "websock.Message pong"
	}
}

// readEnd says why reading has ended. It is the last thing that the reader hands to the process.
type readEnd struct{ reason error }

// endOfReading is what actor.Inspect says of it.
const endOfReading = "end of reading"
