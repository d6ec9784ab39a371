package wire

import (
	"net"
	"sync"
)

const (
	// readSize is how much is read at once into a pooled buffer: 16 KiB of
	// payload with their header, and what else the allocator's size class has.
	readSize = 18 << 10

	// smallSize is what a Conn can hold of an unfinished frame, or of a read
	// that cannot wait without a buffer, without taking a pooled one.
	smallSize = 64
)

var readBuffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// source brings bytes from the transport. All of it belongs to the reading
// goroutine.
//
// It has a pooled buffer only from the moment bytes arrive until they are used
// up. What is left of an unfinished header moves to small while it waits for
// the rest.
type source struct {
	conn    net.Conn
	raw     *rawReader // waits without a buffer; nil where that is not possible
	waiter  readWaiter // the same for connections in memory; nil for others
	clock   *clock
	data    []byte          // what was read and not used yet: in store, in small, or left over from net/http
	store   *[readSize]byte // the pooled buffer; nil: none
	small   [smallSize]byte
	waiting bool // whether clock.waiting is set
}

// readWaiter is a connection that can wait until a Read would not block.
type readWaiter interface{ WaitRead() error }

// more waits for bytes and adds them to data, which must be less than a header
// or a control frame needs. inside: the rest of a payload is waited for, so more
// than smallSize is worth reading at once.
func (s *source) more(inside bool) error {
	if len(s.data) > smallSize {
		return s.fill()
	}
	s.shrink()
	switch {
	case s.raw != nil:
		n, err := s.raw.fill(s)
		return s.add(n, err)
	case s.waiter != nil:
		s.wait()
		if err := s.waiter.WaitRead(); err != nil {
			return s.add(0, err)
		}
		return s.fill()
	case inside || len(s.data) > 0:
		return s.fill()
	}
	s.wait()
	n, err := s.conn.Read(s.small[:])
	s.data = s.small[:n]
	return s.woke(n, err)
}

// fill reads once behind data, into a pooled buffer.
func (s *source) fill() error {
	have := s.take()
	s.wait()
	n, err := s.conn.Read(s.store[have:])
	return s.add(n, err)
}

// add adds the n bytes that were read behind data to it.
func (s *source) add(n int, err error) error {
	if n > 0 {
		s.data = s.store[:len(s.data)+n]
	}
	return s.woke(n, err)
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
func (s *source) shrink() {
	if s.store == nil && len(s.data) > 0 && &s.data[0] == &s.small[0] {
		return
	}
	s.data = s.small[:copy(s.small[:], s.data)]
	s.release()
}

func (s *source) release() {
	if s.store != nil {
		readBuffers.Put(s.store)
		s.store = nil
	}
}

// drop forgets all bytes that were read.
func (s *source) drop() {
	s.data = nil
	s.release()
}

// direct reads once from the transport into p, past all buffers. data must be
// empty.
func (s *source) direct(p []byte) (int, error) {
	s.drop()
	s.wait()
	n, err := s.conn.Read(p)
	return n, s.woke(n, err)
}

// wait notes that the transport may block now.
func (s *source) wait() {
	if !s.waiting {
		s.waiting = true
		s.clock.waiting.Store(s.clock.now())
	}
}

// woke ends a read of n bytes. An error that came with bytes will come again.
func (s *source) woke(n int, err error) error {
	if s.waiting {
		s.waiting = false
		s.clock.waiting.Store(0)
	}
	if n > 0 {
		s.clock.read.Store(s.clock.now())
		return nil
	}
	return err
}
