package wire

import (
	"errors"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

const (
	// wholeSize is the largest message in one frame for which the memory is
	// allocated at once, when directSize of it has come.
	wholeSize = 64 << 10

	// directSize is the least that is read past the read buffer. Shorter rests
	// go through it, so that what follows them is read by the same call.
	directSize = 4 << 10
)

// errMessageEnd says that the open message is complete.
var errMessageEnd = errors.New("wire: end of message")

// Next waits for the next complete data message: fragments joined, inflated,
// text checked as UTF-8. Its Data belongs to the caller, who may give it back
// with [Conn.Recycle]. Pings and pongs that come before it go to the hook of
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
func (c *Conn) Next() (m websock.Message, err error) {
	err = c.next(&m)
	return m, err
}

// next is Next. Nothing here and below hands a Message up and down by value: it
// is too large for registers, and with many connections no stack is in a cache.
func (c *Conn) next(m *websock.Message) error {
	if c.ended {
		return c.readErr
	}
	c.returned()
	if len(c.source.data) == 0 { // message would do the same, deeper in the stack
		if err := c.more(); err != nil {
			return c.failed(err)
		}
	}
	data, err := c.message()
	if err == nil && c.discard.Load() {
		err = ErrStopped
	}
	if err != nil {
		return c.failed(err)
	}
	m.Opcode, m.Data = websock.Opcode(c.in.opcode), data
	return nil
}

// failed is the error of a Next that has no message.
func (c *Conn) failed(err error) error {
	if err == ErrSuspended { //nolint:errorlint // never wrapped
		c.drop()
		c.away()
		return err
	}
	c.awake()
	c.end(err)
	return err
}

// end is the error of Next from now on.
func (c *Conn) end(err error) { c.readErr, c.ended = err, true }

// Buffered reports whether bytes that were read wait to be used. If not, Next
// will wait for the transport. It is for the reading goroutine.
func (c *Conn) Buffered() bool { return len(c.source.data) > 0 }

// message returns the payload of the next message; in.opcode is its opcode.
func (c *Conn) message() ([]byte, error) {
	if err := c.nextFrame(); err != nil {
		return nil, err
	}
	if !c.in.compressed && c.in.frame.Fin && c.in.rest <= int64(len(c.source.data)) {
		return c.whole()
	}
	if c.in.compressed {
		return c.inflate()
	}
	return c.join()
}

// whole takes the open message, which is one frame and all there, as most are.
func (c *Conn) whole() ([]byte, error) {
	n := int(c.in.rest)
	if n > 0 {
		c.consumed(n) // before memory is written that is in no cache: an atomic addition would wait for that
	}
	var data []byte
	if c.u.opts.ReuseBuffers && n >= reusable {
		data = newBuffer(bufferFor(n))[:n]
	} else {
		data = make([]byte, n)
	}
	c.in.frame.Mask.Apply(data, c.source.data[:n])
	c.source.data = c.source.data[n:]
	if c.in.opcode == frame.Text && !c.u.opts.SkipUTF8Check && !utf8.Valid(data) {
		return nil, errNotUTF8()
	}
	c.in.open = false
	c.clock.opened(0)
	return data, nil
}

// join reads the open message, which is not compressed.
func (c *Conn) join() ([]byte, error) {
	text := c.in.opcode == frame.Text && !c.u.opts.SkipUTF8Check
	var data []byte
	checked := 0
	for {
		var err error
		data, err = c.readPayload(data)
		if err == errMessageEnd { //nolint:errorlint // never wrapped
			break
		}
		if err != nil {
			return nil, err
		}
		if text && !c.in.complete() {
			n, ok := frame.TextPrefix(data[checked:])
			if !ok {
				return nil, errNotUTF8()
			}
			checked += n
		}
	}
	if text && !utf8.Valid(data[checked:]) {
		return nil, errNotUTF8()
	}
	return c.settled(data), nil
}

// settled returns data as the caller's own: exactly as large as the message,
// or a buffer when those are reused.
func (c *Conn) settled(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	if !c.in.pooled || c.u.opts.ReuseBuffers && len(data) >= reusable {
		return data
	}
	own := append([]byte{}, data...)
	freeBuffer(data)
	return own
}

func errNotUTF8() error {
	return frame.Violation(websock.CloseInvalidPayload, "text message not UTF-8 (RFC 6455 section 8.1)")
}

// readPayload adds to data what is there of the open message's payload, and
// waits when nothing is. It never waits for more than it has asked for, so that
// text is checked as it comes.
func (c *Conn) readPayload(data []byte) ([]byte, error) {
	have := len(data)
	if len(c.source.data) == 0 {
		if n := min(int64(cap(data)-have), c.in.rest); n >= directSize {
			got, err := c.takeDirect(data[have : have+int(n)])
			return data[:have+got], err
		}
	}
	n, err := c.available()
	if err != nil {
		return data, err
	}
	data = c.grow(data, n)
	c.take(data[have:])
	return data, nil
}

// grow returns data with n more bytes. The capacity follows what has arrived,
// at most fourfold, and not what a header declares; for wholeSize it takes 4 KiB
// that have arrived. What it
// has grown through is reused, and so it may be pooled; what is certain to be
// large enough need not be, if it is to be given away.
func (c *Conn) grow(data []byte, n int) []byte {
	need := len(data) + n
	if need <= cap(data) {
		return data[:need]
	}
	size := bufferFor(need)
	if size > largestBuffer {
		size *= 2
	}
	pooled := size <= largestBuffer
	if declared := int64(len(data)) + c.in.rest; c.in.frame.Fin && (declared <= int64(size) || declared <= wholeSize && need >= directSize) {
		size = int(declared)
		if pooled = c.u.opts.ReuseBuffers && declared >= reusable && size <= largestBuffer; pooled {
			size = bufferFor(size)
		}
	}
	var grown []byte
	if pooled {
		grown = newBuffer(size)
	} else {
		grown = make([]byte, 0, size)
	}
	grown = grown[:need]
	copy(grown, data)
	if c.in.pooled && data != nil {
		freeBuffer(data)
	}
	c.in.pooled = pooled
	return grown
}
