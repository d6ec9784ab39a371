package wire

import (
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// reader is the direction from the peer. It belongs to the reading goroutine; what others touch is atomic or in park.
//
// The fields that most messages need stand together at its end: with many connections each cache line is a miss.
type reader struct {
	pings, pongs tally
	hooks        Hooks
	rare         atomic.Pointer[rare] // nil until there is some of it

	frame     frame.Header // the data frame being read; its mask is that of what is still to come
	remaining int64        // what is still to come of its payload
	total     int64        // payload of the open message's frames so far, as declared

	source   source
	openedAt atomic.Int64 // when the message or frame that is not complete began; 0: there is none, or OnControl runs
	counts   [2]tally     // of text and binary frames

	opcode     frame.Opcode // of the open message: text or binary
	open       bool         // a message has begun and is not complete
	compressed bool         // the open message
	pooled     bool         // it is joined in a pooled buffer
	broken     bool         // the stream cannot be parsed any further
	ended      bool         // every Next returns source.stop
	closed     bool         // the peer's Close frame was read
	finished   bool         // the peer's Close frame was read, and no byte after it
}

// rare is what most connections do not have, or not before their end.
type rare struct {
	continuations, closes tally
	received              atomic.Pointer[websock.CloseDetail]
}

// Hooks are called by Next on the reading goroutine.
type Hooks interface {
	// BeforeWait is called while frames wait for a Flush, right before Next may
	// block for bytes, or inflates a message that may take long.
	BeforeWait()
	// OnControl gets each ping and pong, also between the fragments of a message;
	// its Data belongs to it. False makes Next return [ErrStopped].
	OnControl(m websock.Message) bool
}

// SetHooks sets what Next calls. It must be called before the first Next.
func (r *reader) SetHooks(h Hooks) { r.hooks = h }

// end ends reading, for err.
func (r *reader) end(err error) {
	r.source.stop.Store(&err)
	r.ended = true
}

// more waits for bytes, unless reading is to end. They are added to source.data, or read straight into p if there is one.
func (r *reader) more(p []byte) (n int, err error) {
	s := &r.source
	if s.lingers { // after the last frame anything may come
		return 0, s.receive(parkBusy, r.remaining > 0 || r.closed || r.broken)
	}
	if err := s.stopped(); err != nil {
		return 0, err
	}
	r.beforeWait()
	state := parkBusy
	if !r.open && len(s.data) == 0 {
		state = parkOpen
	} else if r.openedAt.Load() == 0 {
		// Its first byte came by the last read, after other messages. The time
		// that handling those took does not count.
		r.openedAt.Store(s.t.Now())
	}
	if p != nil {
		n, err = s.receiveInto(p)
	} else {
		err = s.receive(state, r.remaining > 0)
	}
	if err != nil {
		if stop := s.stopped(); stop != nil { // this is what has woken it
			return 0, stop
		}
	}
	return n, err
}

// beforeWait calls the hook that flushes, if anything waits for a Flush.
func (r *reader) beforeWait() {
	if r.source.t.pending.Load() && r.hooks != nil {
		r.hooks.BeforeWait()
	}
}

// opened sets openedAt, and writes to memory only when that changes it.
func (r *reader) opened(at int64) {
	if r.openedAt.Load() != at {
		r.openedAt.Store(at)
	}
}

// header waits for the next whole frame header, and leaves it in the buffer.
func (r *reader) header() (frame.Header, error) {
	for {
		h, need, err := frame.Parse(r.source.data, r.source.t.rules)
		if err != nil {
			r.broken = true
			return h, err
		}
		if need <= len(r.source.data) {
			return h, nil
		}
		if _, err := r.more(nil); err != nil {
			return h, err
		}
	}
}

// consumed says that n bytes of the payload were used.
func (r *reader) consumed(n int) {
	r.remaining -= int64(n)
	if r.remaining == 0 {
		r.count(r.frame.Opcode, r.frame.Length)
	}
}

// count counts a frame that was read.
func (r *reader) count(op frame.Opcode, bytes int64) {
	n := &r.pings
	switch op {
	case frame.Text, frame.Binary:
		n = &r.counts[op-frame.Text]
	case frame.Pong:
		n = &r.pongs
	case frame.Continuation, frame.Close:
		n = r.countRare(op)
	}
	n.frames.Add(1)
	n.bytes.Add(bytes)
}

// countRare returns the tally of a frame that is in rare.
//
//go:noinline
func (r *reader) countRare(op frame.Opcode) *tally {
	if r.rare.Load() == nil {
		r.rare.Store(new(rare))
	}
	if op == frame.Close {
		return &r.rare.Load().closes
	}
	return &r.rare.Load().continuations
}

// DataFrames is how many frames of messages, not control frames, were read so far.
func (r *reader) DataFrames() int64 {
	n := r.counts[0].frames.Load() + r.counts[1].frames.Load()
	if rare := r.rare.Load(); rare != nil {
		n += rare.continuations.frames.Load()
	}
	return n
}
