package wire

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// ErrCloseSent is what writing returns after a Close frame.
var ErrCloseSent = errors.New("wire: the Close frame was the last")

// outbound is the one gate to the network. Frames are encoded into a batch
// under mu and written outside it, one batch at a time, so appends go on while a
// write blocks.
type outbound struct {
	mu      sync.Mutex
	pending atomic.Bool // bytes wait for a Flush
	writing bool        // a batch is written, or the stream is half closed
	failed  bool        // err is that of a write
	shut    bool        // err is set
	deflate bool        // permessage-deflate was negotiated; never changes
	batch   *batch      // what waits; nil: nothing

	// free is told when writing ends. It is made by the first who waits. It is no
	// mutex, because whoever waits here for a slow peer must be durably blocked
	// for testing/synctest.
	free *sync.Cond

	counts [2]Count // of text and binary frames

	// What stands after this is not needed for most messages.

	err    error // why the gate is shut; nil: it is open
	limit  int64 // of LimitWrites; 0: none
	armed  int64 // deadline of the write in progress; 0: it has none of its own
	sent   atomic.Pointer[websock.CloseDetail]
	others [4]Count // of the other frames; there are no continuations
}

// close shuts the gate. o.mu is held.
func (o *outbound) close(err error) { o.err, o.shut = err, true }

// Append encodes m, and deflates it where that was negotiated and pays, as one
// frame after what is pending. When 64 KiB wait it flushes. m.Data must not
// change any more.
//
// The caller has validated m; what cannot be a frame is refused all the same,
// with a [*websock.ResultError], and leaves the gate open. Every other error
// stays: after a Close frame [ErrCloseSent], else that of the write that
// failed, or [net.ErrClosed] after [Conn.Abort].
func (c *Conn) Append(m websock.Message) error { return c.append(&m) }

func (c *Conn) append(m *websock.Message) error {
	if err := checkFrame(m); err != nil {
		return err
	}
	o := &c.out
	payload, compressed := m.Data, false
	if o.deflate {
		payload, compressed = c.encode(m)
	}
	o.mu.Lock()
	if o.shut {
		err := o.err
		o.mu.Unlock()
		return err
	}
	b := o.waiting()
	b.header(frame.Opcode(m.Opcode), compressed, len(payload))
	b.payload(payload)
	full := b.full()
	o.count(frame.Opcode(m.Opcode), len(payload))
	o.pending.Store(true)
	o.mu.Unlock()
	if full {
		return c.Flush()
	}
	return nil
}

// encode returns the payload of m's frame, and whether it is deflated: a
// data message that is large enough and gets smaller. A prepared message is
// deflated once for all connections of a level.
func (c *Conn) encode(m *websock.Message) (payload []byte, compressed bool) {
	if !frame.Opcode(m.Opcode).Control() && len(m.Data) >= c.u.opts.Threshold {
		level := c.u.level
		p := m.Encoded(level, func() []byte { return deflate(m.Data, level) })
		if p != nil {
			return p, true
		}
	}
	return m.Data, false
}

// checkFrame refuses what cannot be a frame. That text is UTF-8 is the caller's
// to see to.
func checkFrame(m *websock.Message) error {
	switch m.Opcode {
	case websock.OpText, websock.OpBinary:
		return nil
	case websock.OpPing, websock.OpPong:
		if len(m.Data) <= frame.MaxControlPayload {
			return nil
		}
	}
	return refused(m)
}

// refused is the error of a frame that is none. Inlined, it would take stack of
// every Append.
//
//go:noinline
func refused(m *websock.Message) error { return m.Check() }

// waiting returns the batch to append to. o.mu is held.
func (o *outbound) waiting() *batch {
	if o.batch == nil {
		o.batch = newBatch()
	}
	return o.batch
}

// AppendClose encodes a Close frame after what is pending and shuts the gate:
// it is the last. Code 0 stands for an empty payload. A detail that cannot be
// sent is refused with a [*websock.ResultError] and leaves the gate open.
func (c *Conn) AppendClose(d websock.CloseDetail) error {
	if err := frame.CheckClose(d); err != nil {
		return err
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut {
		return o.err
	}
	b := o.waiting()
	b.close(d)
	o.count(frame.Close, frame.CloseLength(d))
	o.close(ErrCloseSent)
	o.pending.Store(true)
	return nil
}

// Pending reports whether bytes wait for a Flush.
func (c *Conn) Pending() bool { return c.out.pending.Load() }

// Flush writes all that waits, in one write where the transport has one. It waits for a write in progress and then for
// its own: as long as the peer takes something within each WriteTimeout, and not beyond the time of [Conn.LimitWrites].
// A write that fails, or is not completed, shuts the gate for ever: its error is that of every later call.
func (c *Conn) Flush() error {
	o := &c.out
	o.mu.Lock()
	o.begin()
	b := o.batch
	o.batch = nil
	o.pending.Store(false)
	var err error
	if b == nil {
		if o.failed {
			err = o.err
		}
	} else {
		o.mu.Unlock()
		err = c.write(b)
		o.done(b, err)
		now := c.now()
		o.mu.Lock()
		if err != nil {
			err = o.fail(err)
		} else {
			c.wrote = now
		}
	}
	o.end()
	o.mu.Unlock()
	return err
}

// done gives up a batch whose write has ended with err.
func (o *outbound) done(b *batch, err error) {
	if err == nil {
		b.written()
		if b.last != nil {
			o.sent.Store(b.last)
		}
	}
	b.release()
}

// begin waits until nobody writes, and has writing for its own. o.mu is held.
func (o *outbound) begin() {
	for o.writing {
		if o.free == nil {
			o.free = sync.NewCond(&o.mu)
		}
		o.free.Wait()
	}
	o.writing = true
}

// end lets the next one write. o.mu is held.
func (o *outbound) end() {
	o.writing = false
	if o.free != nil {
		o.free.Signal()
	}
}

// fail shuts the gate after a write that failed. o.mu is held.
func (o *outbound) fail(err error) error {
	o.close(fmt.Errorf("wire: write: %w", err))
	o.failed = true
	o.discard()
	return o.err
}

// shut shuts the gate, if it is not, and drops what waits.
func (c *Conn) shut() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shut {
		o.close(net.ErrClosed)
	}
	o.discard()
}

// discard drops what waits. o.mu is held.
func (o *outbound) discard() {
	if o.batch != nil {
		o.batch.release()
		o.batch = nil
	}
	o.pending.Store(false)
}

// CloseWrite ends our side of the stream: FIN, or close_notify with TLS. It
// does not flush, what waits is dropped; it waits for a write in progress.
// Nothing can be appended after it. Where the transport cannot half close it
// returns [errors.ErrUnsupported].
func (c *Conn) CloseWrite() error {
	o := &c.out
	o.mu.Lock()
	o.begin()
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.end()
		o.mu.Unlock()
	}()
	half, ok := c.conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	c.shut()
	return half.CloseWrite()
}
