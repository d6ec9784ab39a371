package rawio

import "errors"

// ErrBlind is what [Conn.Receive] returns where it cannot wait without a buffer. Such a connection is read by its Read.
var ErrBlind = errors.New("rawio: the connection cannot be waited for without reading")

// Reader is whoever calls [Conn.Receive].
type Reader interface {
	// Room returns where to read to. It is called right before a read that may find something.
	Room() []byte
	// Block is called when there is nothing to read; the room is not used any more. When it returns nil, Receive waits, and
	// may call it again if it is woken and nothing has come. When it returns an error, Receive returns that.
	Block() error
}

// waiter is a connection that can wait until a Read would not block, and tell whether it would.
type waiter interface {
	WaitRead() error
	Readable() bool
}

// receive is Receive where there is no descriptor.
func (c *Conn) receive(r Reader) (int, error) {
	w, ok := c.Conn.(waiter)
	if !ok {
		return 0, ErrBlind
	}
	if !w.Readable() {
		if err := r.Block(); err != nil {
			return 0, err
		}
		if err := w.WaitRead(); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(r.Room())
}
