package wire

import (
	"errors"
	"io"
	"net"
)

// errAhead is what coder/websocket gets when it reads more than was staged.
var errAhead = errors.New("wire: coder/websocket reads ahead")

// feed is the connection that coder/websocket reads from: the header of one
// admitted frame, then the payload that is there. It never blocks. What
// coder/websocket writes is swallowed, for everything that is to be said to the
// peer goes through the gate; its Close ends its reading and nothing else.
type feed struct {
	net.Conn // nil: coder/websocket reads, writes and closes, no more

	head    [maxHeader]byte
	header  []byte // what is left of head
	payload []byte
	closed  bool
}

// stage is given the header of an admitted frame. RSV1 is ours: coder/websocket
// does not know that messages are compressed.
func (f *feed) stage(header []byte) {
	f.header = f.head[:copy(f.head[:], header)]
	f.header[0] &^= bitRSV1
}

func (f *feed) Read(p []byte) (int, error) {
	switch {
	case f.closed:
		return 0, net.ErrClosed
	case len(f.header) > 0:
		n := copy(p, f.header)
		f.header = f.header[n:]
		return n, nil
	case len(f.payload) == 0:
		return 0, errAhead
	case len(p) == 0:
		return 0, nil
	}
	n := min(len(p), len(f.payload))
	if &p[0] != &f.payload[0] {
		copy(p, f.payload[:n])
	}
	if f.payload = f.payload[n:]; len(f.payload) == 0 {
		f.payload = nil // not to hold a buffer
	}
	return n, nil
}

func (f *feed) Write(p []byte) (int, error) {
	if f.closed {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func (f *feed) Close() error {
	f.closed = true
	return nil
}
