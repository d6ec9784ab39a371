package wire

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/rawio"
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

// source is the bytes that came from the transport and were not used yet. It
// belongs to the reading goroutine.
//
// It has a pooled buffer only from the moment bytes arrive until they are used
// up. The beginning of a header moves to small while the source waits for its
// end.
type source struct {
	small *[smallSize]byte // the beginning of an unfinished frame; nil: nothing

	park
	data  []byte          // in store, in small, or left over from net/http
	store *[readSize]byte // the pooled buffer; nil: none
	read  atomic.Int64    // when bytes came last
}

// receive waits for bytes, as state says, and adds them to data, which must be shorter than a header or a control frame.
// inside: a payload is not complete, so it is worth reading more than smallSize at once.
func (s *source) receive(state parkState, inside bool) error {
	if len(s.data) > smallSize {
		return s.fill()
	}
	s.may = state
	n, err := s.t.Receive(s)
	if err == rawio.ErrBlind { //nolint:errorlint // never wrapped
		return s.receiveBlind(state, inside)
	}
	if n > 0 {
		s.data = s.store[:len(s.data)+n]
	}
	return s.received(n, err)
}

// Room implements rawio.Reader: it takes a pooled buffer, if there is none, and moves data to its start.
func (s *source) Room() []byte {
	if s.store == nil {
		s.store = readBuffers.Get().(*[readSize]byte)
	}
	n := copy(s.store[:], s.data)
	s.data = s.store[:n]
	return s.store[n:]
}

// Block implements rawio.Reader: it gives the pooled buffer back and waits, or suspends reading.
func (s *source) Block() error {
	s.shrink()
	if s.impatient && s.may == parkOpen {
		s.parked(parkBusy)
		return ErrSuspended
	}
	s.parked(s.may)
	return nil
}

// receiveBlind is receive for a connection that cannot be waited for without reading. Whoever is not to wait is asked to leave
// before it reads, unless something has arrived: then it gets what the connection has read before, or leaves.
func (s *source) receiveBlind(state parkState, inside bool) error {
	s.shrink()
	if inside || len(s.data) > 0 {
		return s.fill()
	}
	if s.small == nil {
		s.small = new([smallSize]byte)
	}
	s.parked(state)
	if s.impatient && !s.t.Arrived() {
		s.ask()
	}
	n, err := s.t.Read(s.small[:])
	s.data = s.small[:n]
	return s.received(n, err)
}

// fill reads once after data, into a pooled buffer.
func (s *source) fill() error {
	room := s.Room()
	s.parked(parkBusy)
	n, err := s.t.Read(room)
	s.data = s.store[:len(s.data)+n]
	return s.received(n, err)
}

// receiveInto reads once from the transport into p, without a buffer. data must
// be empty.
func (s *source) receiveInto(p []byte) (int, error) {
	s.drop()
	s.parked(parkBusy)
	n, err := s.t.Read(p)
	return n, s.received(n, err)
}

// received is called after a read of n bytes. An error that came with bytes is ignored: it will come again.
func (s *source) received(n int, err error) error {
	if n > 0 {
		s.unpark(true)
		s.read.Store(s.t.Now())
		return nil
	}
	if err == ErrSuspended || s.unpark(false) && errors.Is(err, os.ErrDeadlineExceeded) { //nolint:errorlint // never wrapped
		return ErrSuspended // bytes are still waited for, and that time goes on
	}
	s.unpark(true)
	return err
}

// shrink gives the pooled buffer back and keeps data, at most smallSize bytes.
func (s *source) shrink() {
	switch {
	case len(s.data) == 0:
		s.data = nil
	case s.store == nil && s.small != nil && &s.data[0] == &s.small[0]:
		return
	default:
		if s.small == nil {
			s.small = new([smallSize]byte)
		}
		s.data = s.small[:copy(s.small[:], s.data)]
	}
	if s.store != nil {
		readBuffers.Put(s.store)
		s.store = nil
	}
}

// drop forgets all bytes that were read.
func (s *source) drop() {
	s.data, s.small = nil, nil
	s.shrink()
}
