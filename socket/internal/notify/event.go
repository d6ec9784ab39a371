package notify

// Event is what has happened to a connection. Each one includes those after it:
// whoever waits for Readable is told of a reset, too.
type Event uint8

const (
	// Readable: a Read would not block, for bytes wait, or one of the others has
	// happened.
	Readable Event = iota + 1

	// HalfClosed: the peer sends nothing more (FIN). What it sent before may be
	// unread, and it may still read.
	HalfClosed

	// Gone: the connection was reset (RST), or the kernel has given it up. Nothing
	// more can be written, and what is unread may be lost.
	Gone
)

// String is for messages of tests and logs.
func (e Event) String() string {
	switch e {
	case Readable:
		return "readable"
	case HalfClosed:
		return "half closed"
	case Gone:
		return "gone"
	}
	return "nothing"
}
