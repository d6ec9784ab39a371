package wire_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	ours "github.com/troupe-dev/troupe/websock"
)

// secondOpinion is what coder/websocket reads in a stream of frames, as events.
func secondOpinion(t testing.TB, input []byte, deflate bool) (events []string) {
	t.Helper()
	conn := &script{chunks: [][]byte{input}}
	r := &http.Request{
		Method: "GET", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {rawclient.DefaultKey},
		},
	}
	mode := websocket.CompressionDisabled
	if deflate {
		mode = websocket.CompressionNoContextTakeover
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover; server_no_context_takeover")
	}
	ws, err := websocket.Accept(&toCoder{conn, http.Header{}}, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, CompressionMode: mode,
		OnPingReceived: func(_ context.Context, p []byte) bool {
			events = append(events, pingEvent(string(p)))
			return false // no answer
		},
		OnPongReceived: func(_ context.Context, p []byte) { events = append(events, pongEvent(string(p))) },
	})
	if err != nil {
		t.Fatalf("coder/websocket: Accept: %v", err)
	}
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	for {
		kind, reader, err := ws.Reader(context.Background())
		if err != nil {
			return events
		}
		p, err := io.ReadAll(reader)
		if err != nil {
			return events
		}
		m := ours.Message{Opcode: ours.OpBinary, Data: p}
		if kind == websocket.MessageText {
			m.Opcode = ours.OpText
		}
		events = append(events, event(m))
	}
}

// toCoder is a ResponseWriter that gives conn to coder/websocket.
type toCoder struct {
	conn   net.Conn
	header http.Header
}

func (h *toCoder) Header() http.Header         { return h.header }
func (h *toCoder) Write(p []byte) (int, error) { return len(p), nil }
func (h *toCoder) WriteHeader(int)             {}

func (h *toCoder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}
