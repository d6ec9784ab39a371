package wire

import "sync"

const (
	// readSize is how much is read at once into a pooled buffer: 16 KiB of
	// payload with their header, and what else the allocator's size class has.
	readSize = 18 << 10

	// smallSize is what a Conn can hold of an unfinished frame, or of a read
	// that cannot wait without a buffer, without taking a pooled one.
	smallSize = 64
)

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// source is the bytes that came from the transport and were not used yet. It
// belongs to the reading goroutine.
//
// It has a pooled buffer only from the moment bytes arrive until they are used
// up. What is left of an unfinished header moves to small while it waits for
// the rest.
type source struct {
	data  []byte          // in store, in Conn.small, or left over from net/http
	store *[readSize]byte // the pooled buffer; nil: none
}

// readWaiter is a connection that can wait until a Read would not block.
type readWaiter interface{ WaitRead() error }

// readable is a connection that can tell whether a Read would not block.
type readable interface{ Readable() bool }

// receive waits for bytes and adds them to data, which must be less than a
// header or a control frame needs. inside: the rest of a payload is waited for,
// so more than smallSize is worth reading at once.
func (c *Conn) receive(inside bool) error {
	s := &c.source
	if len(s.data) > smallSize {
		return c.fill()
	}
	if c.raw != nil {
		n, err := c.rawRead() // gives the buffer back itself, if it has to wait
		return c.add(n, err)
	}
	c.shrink()
	if waiter, ok := c.conn.(readWaiter); ok {
		if !c.mayWait() {
			if r, ok := c.conn.(readable); ok && !r.Readable() {
				c.wait(restNone)
				return c.add(0, ErrSuspended)
			}
		}
		c.wait(c.resting())
		if err := waiter.WaitRead(); err != nil {
			return c.add(0, err)
		}
		c.getUp()
		return c.fill()
	}
	if inside || len(s.data) > 0 {
		return c.fill()
	}
	if c.small == nil {
		c.small = new([smallSize]byte)
	}
	c.wait(c.resting())
	n, err := c.conn.Read(c.small[:])
	s.data = c.small[:n]
	return c.woke(n, err)
}

// fill reads once after data, into a pooled buffer.
func (c *Conn) fill() error {
	have := c.source.take()
	c.wait(restNone)
	n, err := c.conn.Read(c.source.store[have:])
	return c.add(n, err)
}

// receiveInto reads once from the transport into p, past all buffers. data must
// be empty.
func (c *Conn) receiveInto(p []byte) (int, error) {
	c.drop()
	c.wait(restNone)
	n, err := c.conn.Read(p)
	return n, c.woke(n, err)
}

// add adds the n bytes that were read after data to it.
func (c *Conn) add(n int, err error) error {
	if s := &c.source; n > 0 {
		s.data = s.store[:len(s.data)+n]
	}
	return c.woke(n, err)
}

// take takes a pooled buffer, if there is none, and moves data to its start.
func (s *source) take() int {
	if s.store == nil {
		s.store = readBuffers.Get().(*[readSize]byte)
	}
	n := copy(s.store[:], s.data)
	s.data = s.store[:n]
	return n
}

// shrink gives the pooled buffer back and keeps data, at most smallSize bytes.
func (c *Conn) shrink() {
	s := &c.source
	switch {
	case len(s.data) == 0:
		s.data = nil
	case s.store == nil && c.small != nil && &s.data[0] == &c.small[0]:
		return
	default:
		if c.small == nil {
			c.small = new([smallSize]byte)
		}
		s.data = c.small[:copy(c.small[:], s.data)]
	}
	s.release()
}

func (s *source) release() {
	if s.store != nil {
		readBuffers.Put(s.store)
		s.store = nil
	}
}

// drop forgets all bytes that were read.
func (c *Conn) drop() {
	c.source.data, c.small = nil, nil
	c.source.release()
}
