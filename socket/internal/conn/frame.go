package conn

import "github.com/troupe-dev/troupe/websock"

// frame is a message, a ping or a pong that the reader hands to the process.
type frame struct {
	msg websock.Message // its Opcode does not change before the process has done with it

	// other is the place for the frame after this. A Deliver returns when its frame is taken out of the mailbox, and so the
	// handling of the one before is over: two are enough.
	other *frame
}

// frame is a free place for what is to be handed over.
func (c *Conn) frame() *frame {
	f := c.place
	if f == nil {
		two := new([2]frame)
		two[0].other, two[1].other = &two[1], &two[0]
		f = &two[0]
	}
	c.place = f.other
	return f
}

// String is what actor.Inspect says of a message of the peer.
func (f *frame) String() string {
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

// readEnd is why reading has ended: the last that the reader hands to the process.
type readEnd struct{ reason error }

// String is what actor.Inspect says of it.
func (*readEnd) String() string { return "end of reading" }
