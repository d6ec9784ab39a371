package wire

import (
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/internal/frame"
	"github.com/troupe-dev/troupe/websock"
)

const (
	// wholeSize is the largest message in one frame for which the memory is
	// allocated at once, when directSize of it has come.
	wholeSize = 64 << 10

	// directSize is the least that is read without the read buffer. What is
	// shorter is read into it, together with what follows.
	directSize = 4 << 10
)

// message returns the payload of the next message, whatever its frames and wherever they are cut; opcode is its opcode.
func (r *reader) message() ([]byte, error) {
	if err := r.nextFrame(); err != nil {
		return nil, err
	}
	if r.compressed {
		return r.inflate()
	}
	return r.join()
}

// join reads the open message, which is not compressed.
func (r *reader) join() ([]byte, error) {
	text := r.opcode == frame.Text && !r.source.t.opts.SkipUTF8Check
	var data []byte
	checked := 0
	for {
		var err error
		data, err = r.readPayload(data)
		if err == errMessageEnd { //nolint:errorlint // never wrapped
			break
		}
		if err != nil {
			return nil, err
		}
		if text && !(r.frame.Fin && r.remaining == 0) {
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
	return r.settled(data), nil
}

func errNotUTF8() error {
	return frame.Violation(websock.CloseInvalidPayload, "text message not UTF-8 (RFC 6455 section 8.1)")
}

// settled returns data for the caller to keep: exactly as large as the message,
// or in a pooled buffer when those are lent.
func (r *reader) settled(data []byte) []byte {
	if data == nil {
		return []byte{}
	}
	if !r.pooled || r.source.t.lends && len(data) >= reusable {
		return data
	}
	own := append([]byte{}, data...)
	freeBuffer(data)
	return own
}

// readPayload adds to data what has come of the open message's payload, and
// waits only when nothing has. So text is checked as it comes.
func (r *reader) readPayload(data []byte) ([]byte, error) {
	have := len(data)
	if len(r.source.data) == 0 {
		if n := min(int64(cap(data)-have), r.remaining); n >= directSize {
			got, err := r.takeDirect(data[have : have+int(n)])
			return data[:have+got], err
		}
	}
	n, err := r.available()
	if err != nil {
		return data, err
	}
	data = r.grow(data, n)
	r.take(data[have:])
	return data, nil
}

// grow returns data with n more bytes. The capacity is at most four times what
// has arrived, or 4 KiB, whatever a header declares; but when directSize has arrived of a
// message of at most wholeSize, it is that of the whole message. A buffer that
// may have to grow again is pooled. One that is certain to be large enough is
// pooled only when it is lent: else it is given to the caller as it is.
func (r *reader) grow(data []byte, n int) []byte {
	need := len(data) + n
	if need <= cap(data) {
		return data[:need]
	}
	size := bufferFor(need)
	if size > largestBuffer {
		size *= 2
	}
	pooled := size <= largestBuffer
	if declared := int64(len(data)) + r.remaining; r.frame.Fin && (declared <= int64(size) || declared <= wholeSize && need >= directSize) {
		size = int(declared)
		if pooled = r.source.t.lends && declared >= reusable && size <= largestBuffer; pooled {
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
	if r.pooled && data != nil {
		freeBuffer(data)
	}
	r.pooled = pooled
	return grown
}
