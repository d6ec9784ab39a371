package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/websock"
)

// coderBuffer is the size of the buffers that coder/websocket gets, the
// smallest that bufio makes. A frame header fits.
const coderBuffer = 16

// decoder is what reading one message by coder/websocket needs. A
// websocket.Conn without compression that is only read from, and has read a
// message to its end, keeps nothing of it: its buffer is empty, for it is never
// fed more than it asks for; its mask and what is left of the frame are set by
// the next header; without a Done channel there is no timer and no goroutine.
// So decoders are shared by connections, each for one message at a time.
type decoder struct {
	feed    feed
	ws      *websocket.Conn
	br      *bufio.Reader // what ws reads from
	payload io.Reader     // of the open message
}

// hijack is what coder/websocket gets as its connection.
func (d *decoder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	d.br = bufio.NewReaderSize(&d.feed, coderBuffer)
	return &d.feed, bufio.NewReadWriter(d.br, bufio.NewWriterSize(&d.feed, coderBuffer)), nil
}

// newDecoder makes a decoder by the only way there is to a websocket.Conn: a
// handshake, here with nobody.
func newDecoder() (*decoder, error) {
	h := &handshakeOfNobody{header: make(http.Header, 4)}
	ws, err := websocket.Accept(h, &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Connection":            {"Upgrade"},
			"Upgrade":               {"websocket"},
			"Sec-Websocket-Version": {"13"},
			"Sec-Websocket-Key":     {"AAAAAAAAAAAAAAAAAAAAAA=="},
		},
	}, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, fmt.Errorf("wire: coder/websocket refused a handshake of our own: %w", err)
	}
	h.decoder.made(ws)
	return &h.decoder, nil
}

// handshakeOfNobody is an http.ResponseWriter without a client.
type handshakeOfNobody struct {
	decoder decoder
	header  http.Header
}

func (h *handshakeOfNobody) Header() http.Header         { return h.header }
func (h *handshakeOfNobody) Write(p []byte) (int, error) { return len(p), nil }
func (h *handshakeOfNobody) WriteHeader(int)             {}

func (h *handshakeOfNobody) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.decoder.hijack() }

// begin lets coder/websocket read the staged header of a first frame.
func (d *decoder) begin() error {
	_, r, err := d.ws.Reader(context.Background()) // no Done channel: no timer, no goroutine
	if err != nil {
		return disagreement(err)
	}
	d.payload = r
	return nil
}

// unmask has coder/websocket read masked, the next payload of the frame, into
// p. Both have the same length; they may be the same memory.
func (d *decoder) unmask(p, masked []byte) error {
	d.feed.payload = masked
	n, err := d.payload.Read(p)
	if err != nil || n != len(p) {
		return disagreement(err)
	}
	return nil
}

// end ends the open message.
func (d *decoder) end() error {
	if len(d.feed.header) > 0 {
		// A last frame without payload: coder/websocket has to see its FIN.
		var p [1]byte
		if _, err := d.payload.Read(p[:]); !errors.Is(err, io.EOF) {
			return disagreement(err)
		}
	}
	d.payload = nil
	return nil
}

// disagreement is an error of coder/websocket about frames that inbound let
// through. It takes a bug in one of the two.
func disagreement(err error) error {
	e := violation(websock.CloseProtocolError, "frame refused by coder/websocket")
	e.Err = err
	return e
}
