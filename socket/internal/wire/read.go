package wire

import (
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

// Lend has messages read into memory that [Conn.Recycle] takes back, where that pays: from 1 KiB on. The caller promises to
// recycle them. It must be called before the first Next.
func (r *reader) Lend() { r.source.t.lends = true }

// Next waits for the next complete data message: fragments joined, inflated,
// text checked as UTF-8. Its Data belongs to the caller, who gives it back
// with [Conn.Recycle] if [Conn.Lend] was called. Pings and pongs that come before it go to the hook of
// [Conn.SetHooks].
//
// One goroutine at a time may read. [ErrSuspended] says to call again. Any other
// error stays, every later call returns it:
//   - [*websock.RemoteCloseError]: the peer sent a legal Close frame
//   - [*websock.ProtocolError]: the peer broke a rule, its Code is the answer
//   - the error given to [Conn.Interrupt]
//   - [ErrStopped]: the hook said so, or [Conn.Discard] was called
//   - [io.EOF]: the peer ended TCP without a Close frame
//   - else the transport's error
//
// Most messages are one frame, not compressed, and complete after the first
// read: this function reads them without any other. The method message reads all
// others.
func (r *reader) Next() (m websock.Message, err error) {
	if r.ended {
		return m, *r.source.stop.Load()
	}
	s, opts := &r.source, r.source.t.opts
	s.unpark(false) // it may have been away
	if len(s.data) == 0 {
		if _, err := r.more(nil); err != nil {
			return m, r.failed(err)
		}
	}
	h, head, err := frame.Parse(s.data, s.t.rules)
	if err != nil || head > len(s.data) || h.Length > int64(len(s.data)-head) || // wrong, or not all there
		!h.Fin || h.RSV1 || h.Opcode != frame.Text && h.Opcode != frame.Binary || // a fragment, compressed, or no message
		opts.MaxMessageSize >= 0 && h.Length > opts.MaxMessageSize {
		data, err := r.message()
		if err == nil && s.discard.Load() {
			err = ErrStopped
		}
		if err != nil {
			return m, r.failed(err)
		}
		m.Opcode, m.Data = websock.Opcode(r.opcode), data
		return m, nil
	}

	r.count(h.Opcode, h.Length) // before data is written, which is in no cache: an atomic addition would wait for that
	n := int(h.Length)
	var data []byte
	if s.t.lends && n >= reusable {
		data = newBuffer(bufferFor(n))[:n]
	} else {
		data = make([]byte, n)
	}
	h.Mask.Apply(data, s.data[head:head+n])
	s.data = s.data[head+n:]
	if h.Opcode == frame.Text && !opts.SkipUTF8Check && !utf8.Valid(data) {
		return m, r.failed(errNotUTF8())
	}
	if s.discard.Load() {
		return m, r.failed(ErrStopped)
	}
	m.Opcode, m.Data = websock.Opcode(h.Opcode), data
	return m, nil
}

// failed is the error of a Next that has no message.
func (r *reader) failed(err error) error {
	if err == ErrSuspended { //nolint:errorlint // never wrapped
		r.source.drop()
		r.source.t.Release()
		r.source.parked(parkAway)
		return err
	}
	r.source.unpark(true)
	r.end(err)
	return err
}

// Buffered reports whether bytes that were read wait to be used. If not, Next
// will wait for the transport. It is for the reading goroutine.
func (r *reader) Buffered() bool { return len(r.source.data) > 0 }

// SetPatient says whether Next waits for bytes between two messages, as it does
// by default. If not, it returns [ErrSuspended] instead, after the hook
// BeforeWait. It always waits inside a message, and on a connection that cannot
// tell without waiting whether there are bytes, such as a wrapper. Over TLS it
// waits while bytes have just come, and not inside a record of which nothing
// more has.
//
// It is for the reading goroutine.
func (r *reader) SetPatient(patient bool) { r.source.impatient = !patient }

// Suspend makes a Next that waits for bytes between two messages return
// [ErrSuspended]. It has no effect, now or later, when Next waits inside a
// message or does something else, or when bytes come at the same moment.
// No bytes are lost by it. [Conn.Interrupt] and [Conn.Discard] come before it.
//
// A Conn whose Next has returned ErrSuspended holds no buffer, and none of its
// messages is in one below it: there is nothing to read before bytes arrive at
// the descriptor, also with TLS (see package rawio). Interrupt and Discard wake
// nobody then: the next call of Next returns their error. Activity
// goes on to say since when bytes are waited for.
func (r *reader) Suspend() { r.source.ask() }

// Interrupt makes a Next that waits for bytes, or would, return err. Messages
// that were read before are still delivered. The first err stays.
func (r *reader) Interrupt(err error) {
	if r.source.stop.CompareAndSwap(nil, &err) {
		r.source.wake()
	}
}

// Discard ends delivery: Next returns [ErrStopped] as soon as it would deliver a
// message, call the hook for control frames or wait.
func (r *reader) Discard() {
	if !r.source.discard.Swap(true) {
		r.source.wake()
	}
}
