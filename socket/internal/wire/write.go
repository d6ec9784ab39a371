package wire

import (
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/deflate"
	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// ErrCloseSent is what writing returns after a Close frame.
var ErrCloseSent = errors.New("wire: the Close frame was the last")

// writer is the direction to the peer: nothing else writes to the network. Frames are encoded into a batch
// under mu and written without it, one batch at a time, so appends go on while a
// write blocks.
type writer struct {
	t     *transport
	wrote int64 // when a write was completed last

	mu      sync.Mutex // guards all but t
	writing bool       // a batch is being written, or the stream is being half closed
	shut    bool       // nothing can be appended any more: t.over says why
	watched bool       // t.watchers has some
	waited  bool       // t.free is set
	flight  uint32     // bytes of the batch that is being written, saturated
	batch   *batch     // what waits; nil: nothing

	counts [2]Count // of text and binary frames

	// What stands after this is not needed for most messages.

	pings, pongs Count
}

// over is what there is to know of the end of the stream.
type over struct {
	err    error                // why nothing can be appended any more; nil: it can
	failed bool                 // err is that of a write
	sent   *websock.CloseDetail // the Close frame that was written
	closes Count                // Close frames that were appended
}

// ends is what is known of the end of the stream. w.mu is held.
func (w *writer) ends() *over {
	if w.t.over == nil {
		w.t.over = new(over)
	}
	return w.t.over
}

// close refuses all that is appended from now on, with err. w.mu is held.
func (w *writer) close(err error) { w.ends().err, w.shut = err, true }

// Append encodes m, and deflates it where that was negotiated and pays, as one
// frame after what is pending. When 64 KiB wait it flushes. m.Data must not
// change any more.
//
// The caller has validated m; what cannot be a frame is refused all the same,
// with a [*websock.ResultError], and changes nothing. Every other error
// stays: after a Close frame [ErrCloseSent], else that of the write that
// failed, or [net.ErrClosed] after [Conn.Abort].
func (w *writer) Append(m websock.Message) error {
	op, payload, compressed := frame.Opcode(m.Opcode), m.Data, false
	var in *deflate.Deflater // payload is in its memory
	if op != frame.Text && op != frame.Binary {
		if op != frame.Ping && op != frame.Pong || len(payload) > frame.MaxControlPayload {
			return refused(&m)
		}
	} else if w.t.deflates() && len(payload) >= w.t.opts.Threshold {
		payload, compressed, in = w.deflated(&m)
	}
	w.mu.Lock()
	if w.shut {
		err := w.t.over.err
		w.mu.Unlock()
		if in != nil {
			smallDeflaters.Put(in)
		}
		return err
	}
	b := w.waiting()
	b.add(op, compressed, payload, w.t.client())
	if in != nil { // payload is smaller than largePayload, so it was copied
		smallDeflaters.Put(in)
	}
	full := b.full()
	w.count(op, len(payload))
	if w.watched {
		w.show(false, m.Opcode, m.Data)
	}
	w.mu.Unlock()
	if full {
		return w.Flush()
	}
	return nil
}

// refused is the error for a message that cannot be a frame. Inlined, it would
// take stack in every Append.
//
//go:noinline
func refused(m *websock.Message) error { return m.Check() }

// waiting returns the batch to append to, and begins one if nothing waits. w.mu is held.
func (w *writer) waiting() *batch {
	if w.batch == nil {
		w.batch = batches.Get().(*batch)
		w.t.pending.Store(true)
	}
	return w.batch
}

// count counts a frame that was appended. w.mu is held.
func (w *writer) count(op frame.Opcode, bytes int) {
	n := &w.pings
	switch op {
	case frame.Text, frame.Binary:
		n = &w.counts[op-frame.Text]
	case frame.Pong:
		n = &w.pongs
	case frame.Close:
		n = &w.ends().closes
	}
	n.Frames++
	n.Bytes += int64(bytes)
}

// AppendClose encodes a Close frame after what is pending. It is the last frame:
// nothing can be appended after it. Code 0 stands for an empty payload. A detail
// that cannot be sent is refused with a [*websock.ResultError], and changes
// nothing.
func (w *writer) AppendClose(d websock.CloseDetail) error {
	if err := frame.CheckClose(d); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shut {
		return w.t.over.err
	}
	w.waiting().close(d, w.t.client())
	w.count(frame.Close, frame.CloseLength(d))
	if w.watched {
		w.show(false, OpClose, closePayload(d))
	}
	w.close(ErrCloseSent)
	return nil
}

// Compressed reports whether permessage-deflate was negotiated.
func (w *writer) Compressed() bool { return w.t.deflates() }

// Pending reports whether bytes wait for a Flush.
func (w *writer) Pending() bool { return w.t.pending.Load() }

// Unwritten is how many bytes the peer's kernel has not been given yet: those that wait for a Flush, and all of those that
// are being written.
func (w *writer) Unwritten() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := int(w.flight)
	if w.batch != nil {
		n += w.batch.size()
	}
	return n
}

// Writing reports whether a write is in progress, which may wait for the peer.
func (w *writer) Writing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writing
}

// LimitWrites ends writing at t at the latest: a write that blocks now, and all
// that come. The earliest t stays.
func (w *writer) LimitWrites(t time.Time) { w.t.LimitWrites(t) }

// Flush writes all that waits, in one write where the transport has one. It waits for a write in progress and then for
// its own: as long as the peer takes something within each WriteTimeout, and not beyond the time of [Conn.LimitWrites].
// A write that fails, or is not completed, is the last: its error is that of every later call.
func (w *writer) Flush() error {
	w.mu.Lock()
	w.begin()
	b := w.batch
	w.batch = nil
	w.t.pending.Store(false)
	var err error
	if b == nil {
		if w.shut && w.t.over.failed {
			err = w.t.over.err
		}
	} else {
		w.flight = uint32(min(b.size(), math.MaxUint32))
		w.mu.Unlock()
		err = b.memory.Write(&w.t.Conn, b.buf, b.segments())
		last := b.last
		b.release(err == nil)
		now := w.t.Now()
		w.mu.Lock()
		w.flight = 0
		if err != nil {
			err = w.fail(err)
		} else {
			w.wrote = now
			if last != nil {
				w.ends().sent = last
			}
		}
	}
	w.end()
	w.mu.Unlock()
	return err
}

// begin waits until nobody writes, and takes the right to write. w.mu is held.
func (w *writer) begin() {
	for w.writing {
		if !w.waited {
			// It is no mutex, because whoever waits here for a slow peer must be
			// durably blocked for testing/synctest.
			w.t.free, w.waited = sync.NewCond(&w.mu), true
		}
		w.t.free.Wait()
	}
	w.writing = true
}

// end lets the next one write. w.mu is held.
func (w *writer) end() {
	w.writing = false
	if w.waited {
		w.t.free.Signal()
	}
}

// fail ends writing after a write that failed. w.mu is held.
func (w *writer) fail(err error) error {
	w.close(fmt.Errorf("wire: write: %w", err))
	w.t.over.failed = true
	w.discard()
	return w.t.over.err
}

// shutDown refuses all that is appended from now on, and drops what waits.
func (w *writer) shutDown() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.shut {
		w.close(net.ErrClosed)
	}
	w.discard()
}

// discard drops what waits. w.mu is held.
func (w *writer) discard() {
	if w.batch != nil {
		w.batch.release(false)
		w.batch = nil
	}
	w.t.pending.Store(false)
}

// CloseWrite ends our side of the stream: FIN, or close_notify with TLS. It
// does not flush, what waits is dropped; it waits for a write in progress.
// Nothing can be appended after it. Where the transport cannot half close it
// returns [errors.ErrUnsupported].
//
// A client sends no FIN, since the server is to close TCP first (RFC 6455
// section 7.1.1): there it only ends appending.
func (w *writer) CloseWrite() error {
	if w.t.client() {
		w.shutDown()
		return nil
	}
	w.mu.Lock()
	w.begin()
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.end()
		w.mu.Unlock()
	}()
	half, ok := w.t.Conn.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	w.shutDown()
	return half.CloseWrite()
}

// Recycle gives the Data of a message back that Next has returned, for a later
// message of this or another connection. It does nothing unless
// [Conn.Lend] was called. m must be as Next returned it.
//
// Data may have been given to Append on this Conn before: then it is reused only
// after it was written, and never when writing has failed. From the call on
// nobody else may read or write it: not through a copy of the slice, and not
// another Conn that it was appended to. Each message may be recycled once, on
// any goroutine. One that is not recycled is left to the garbage collector.
func (w *writer) Recycle(m []byte) {
	if !w.t.lends {
		return
	}
	if cap(m) < largePayload || w.t.client() { // so small that Append has copied it; a client's Append always has
		giveBack(m)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.batch != nil:
		// It may be in this batch, or in one that is being written: that comes
		// first. A batch that is dropped drops its buffers, because a write may
		// still be reading them.
		w.batch.lent = append(w.batch.lent, m)
	case !w.writing:
		giveBack(m)
	}
	// Else it may be in what is being written, and is left to the garbage collector.
}
