package wire

import (
	"context"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/websock"
)

const (
	// firstBuffer is the most that is allocated for a message on the word of
	// its header alone.
	firstBuffer = 4 << 10

	// directSize is the least that is read past the read buffer. Shorter rests
	// go through it, so that what follows them is read by the same call.
	directSize = 4 << 10
)

// errMessageEnd says that the open message is complete.
var errMessageEnd = errors.New("wire: end of message")

// Next waits for the next complete data message: fragments joined, inflated,
// text checked as UTF-8. Its Data belongs to the caller. Pings and pongs that
// come before it go to the hook of [Conn.SetHooks].
//
// One goroutine at a time may read. The first error stays, every later call
// returns it:
//   - [*websock.RemoteCloseError]: the peer sent a legal Close frame
//   - [*websock.ProtocolError]: the peer broke a rule, its Code is the answer
//   - the error given to [Conn.Interrupt]
//   - [ErrStopped]: the hook said so, or [Conn.Discard] was called
//   - [io.EOF]: the peer ended TCP without a Close frame
//   - else the transport's error
func (c *Conn) Next() (websock.Message, error) {
	if c.readErr != nil {
		return websock.Message{}, c.readErr
	}
	m, err := c.message()
	if err == nil && c.discard.Load() {
		err = ErrStopped
	}
	if err != nil {
		c.readErr = err
		return websock.Message{}, err
	}
	return m, nil
}

func (c *Conn) message() (websock.Message, error) {
	if err := c.nextFrame(); err != nil {
		return websock.Message{}, err
	}
	if err := c.beginMessage(); err != nil {
		return websock.Message{}, err
	}
	var data []byte
	var err error
	if c.in.compressed {
		data, err = c.inflate()
	} else {
		data, err = c.join()
	}
	if err != nil {
		return websock.Message{}, err
	}
	return websock.Message{Opcode: websock.Opcode(c.in.opcode), Data: data}, nil
}

// beginMessage lets coder/websocket read the staged header of a first frame.
func (c *Conn) beginMessage() error {
	_, r, err := c.ws.Reader(context.Background()) // no Done channel: no timer, no goroutine
	if err != nil {
		return disagreement(err)
	}
	c.payload = r
	return nil
}

// unmask has coder/websocket read masked, the next payload of the frame, into
// p. Both have the same length; they may be the same memory.
func (c *Conn) unmask(p, masked []byte) error {
	c.feed.payload = masked
	n, err := c.payload.Read(p)
	if err != nil || n != len(p) {
		return disagreement(err)
	}
	return nil
}

// endMessage ends the open message. It returns errMessageEnd.
func (c *Conn) endMessage() error {
	if len(c.feed.header) > 0 {
		// A last frame without payload: coder/websocket has to see its FIN.
		var p [1]byte
		if _, err := c.payload.Read(p[:]); !errors.Is(err, io.EOF) {
			return disagreement(err)
		}
	}
	c.in.open = false
	c.clock.opened(0)
	return errMessageEnd
}

// disagreement is an error of coder/websocket about frames that inbound let
// through. It takes a bug in one of the two.
func disagreement(err error) error {
	e := violation(websock.CloseProtocolError, "frame refused by coder/websocket")
	e.Err = err
	return e
}

// join reads the open message, which is not compressed.
func (c *Conn) join() ([]byte, error) {
	text := c.in.opcode == opText && !c.skipUTF8
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
			n, ok := textPrefix(data[checked:])
			if !ok {
				return nil, errNotUTF8()
			}
			checked += n
		}
	}
	if text && !utf8.Valid(data[checked:]) {
		return nil, errNotUTF8()
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

func errNotUTF8() error {
	return violation(websock.CloseInvalidPayload, "text message not UTF-8 (RFC 6455 section 8.1)")
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
	if have == 0 && c.in.frame.fin && int64(n) == c.in.rest {
		// All of it is here. append does not clear what it then overwrites.
		masked := c.source.data[:n]
		data = append([]byte(nil), masked...)
		c.source.data = c.source.data[n:]
		if err := c.unmask(data, data); err != nil {
			return nil, err
		}
		c.consumed(n)
		return data, nil
	}
	data = c.grow(data, n)
	return data, c.take(data[have:])
}

// grow returns data with n more bytes. The capacity follows what has arrived,
// by doubling, and never what a header declares; a last frame bounds it.
func (c *Conn) grow(data []byte, n int) []byte {
	need := len(data) + n
	if need <= cap(data) {
		return data[:need]
	}
	declared := int64(len(data)) + c.in.rest
	size := max(int64(2*need), min(declared, firstBuffer))
	if c.in.frame.fin {
		size = min(size, declared)
	}
	grown := make([]byte, need, size)
	copy(grown, data)
	return grown
}
