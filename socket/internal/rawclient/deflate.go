package rawclient

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// deflateTail ends every compressed message and is not sent (RFC 7692 section
// 7.2.1).
const deflateTail = "\x00\x00\xff\xff"

// maxWindow is how far back deflate may refer.
const maxWindow = 32 << 10

// Deflate compresses the payload of one message as RFC 7692 section 7.2.1
// says, without a context from messages before it: the result is what a frame
// with RSV1 carries.
func Deflate(p []byte) []byte {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		panic(err) // the level is a valid constant
	}
	// A bytes.Buffer never fails.
	_, _ = w.Write(p)
	_ = w.Flush()
	return bytes.TrimSuffix(b.Bytes(), []byte(deflateTail))
}

// Inflate reverses Deflate (RFC 7692 section 7.2.2). The size of the result
// is not bounded.
func Inflate(p []byte) ([]byte, error) { return inflate(p, nil) }

// inflate decompresses one message that may refer back into window.
func inflate(p, window []byte) ([]byte, error) {
	// The final empty block makes the reader report io.EOF. bytes.Reader is an
	// io.ByteReader, so flate reads no byte too many.
	src := bytes.NewReader(append(bytes.Clone(p), deflateTail+"\x01\x00\x00\xff\xff"...))
	out := bytes.NewBuffer(bytes.Clone(window))
	// A sender may end a block with BFINAL and go on (RFC 7692 section 7.2.3.4).
	for src.Len() > 0 {
		r := flate.NewReaderDict(src, tail(out.Bytes(), maxWindow))
		if _, err := io.Copy(out, r); err != nil {
			return nil, fmt.Errorf("rawclient: inflate: %w", err)
		}
	}
	return out.Bytes()[len(window):], nil
}

// tail returns the last n bytes of p.
func tail(p []byte, n int) []byte { return p[max(0, len(p)-n):] }
