package rawclient_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// connect returns a client whose server sends the head and then data, and the
// server's end, from which the request was read.
func connect(t *testing.T, fields []string, data string) (*rawclient.Client, *pipe.Conn) {
	t.Helper()
	conn, server := pipe.New(1 << 20)
	if _, err := io.WriteString(server, answer(fields...)+data); err != nil {
		t.Fatal(err)
	}
	o := rawclient.HandshakeOptions{Deflate: len(fields) > 0}
	c, resp, err := rawclient.Handshake(conn, o)
	if err != nil || c == nil {
		t.Fatalf("handshake: response %v, %v", resp, err)
	}
	buf := make([]byte, 4096)
	if n, err := server.Read(buf); err != nil || !strings.HasSuffix(string(buf[:n]), "\r\n\r\n") {
		t.Fatalf("request: %q, %v", buf[:n], err)
	}
	if c.Conn() != conn {
		t.Fatalf("Conn: got %v, want %v", c.Conn(), conn)
	}
	return c, server
}

func TestClient_writes(t *testing.T) {
	const mask = "\x37\xfa\x21\x3d"
	hello := []byte("Hello")
	tests := []struct {
		name string
		call func(*rawclient.Client) error
		want string
	}{
		{"Text", func(c *rawclient.Client) error { return c.Text("Hello") }, "\x81\x85" + mask + "\x7f\x9f\x4d\x51\x58"},
		{"Binary", func(c *rawclient.Client) error { return c.Binary(hello) }, "\x82\x85" + mask + "\x7f\x9f\x4d\x51\x58"},
		{"Ping", func(c *rawclient.Client) error { return c.Ping(hello) }, "\x89\x85" + mask + "\x7f\x9f\x4d\x51\x58"},
		{"Pong", func(c *rawclient.Client) error { return c.Pong(hello) }, "\x8a\x85" + mask + "\x7f\x9f\x4d\x51\x58"},
		{"CloseEmpty", (*rawclient.Client).CloseEmpty, "\x88\x80" + mask},
		{"Close", func(c *rawclient.Client) error { c.Mask = [4]byte{}; return c.Close(1000, "ok") }, "\x88\x84\x00\x00\x00\x00\x03\xe8ok"},
		{"own mask", func(c *rawclient.Client) error { c.Mask = [4]byte{1, 1, 1, 1}; return c.Text("@B") }, "\x81\x82\x01\x01\x01\x01AC"},
		{"Unmasked", func(c *rawclient.Client) error { c.Unmasked = true; return c.Text("Hello") }, "\x81\x05Hello"},
		{"Write, several", func(c *rawclient.Client) error {
			c.Mask = [4]byte{}
			return c.Write(rawclient.Frame{Opcode: 1, Payload: []byte("a")}, rawclient.Frame{Fin: true, RSV: 7, Opcode: 0xb})
		}, "\x01\x81\x00\x00\x00\x00a\xfb\x80\x00\x00\x00\x00"},
		{"WriteBytes", func(c *rawclient.Client) error { return c.WriteBytes([]byte("\xff\x00junk")) }, "\xff\x00junk"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, server := connect(t, nil, "")
			if err := tt.call(c); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 100)
			n, err := server.Read(p)
			if err != nil || string(p[:n]) != tt.want {
				t.Errorf("got % x, %v, want % x", p[:n], err, tt.want)
			}
			_ = server.Close()
			if err := tt.call(c); !errors.Is(err, pipe.ErrReset) {
				t.Errorf("with a peer that is gone: got %v, want pipe.ErrReset", err)
			}
		})
	}
}

func TestClient_ReadFrame(t *testing.T) {
	b200, b70k := strings.Repeat("x", 200), strings.Repeat("x", 70_000)
	frames := []string{
		"\x81\x05Hello", "\x01\x03Hel", "\x89\x05Hello", "\x80\x02lo", "\x8a\x00", "\x82\x00",
		"\x82\x7e\x00\xc8" + b200, "\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x70" + b70k,
		"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", "\x88\x05\x03\xe8bye",
	}
	want := []rawclient.Frame{
		{Fin: true, Opcode: 1, Payload: []byte("Hello")},
		{Opcode: 1, Payload: []byte("Hel")},
		{Fin: true, Opcode: 9, Payload: []byte("Hello")},
		{Fin: true, Opcode: 0, Payload: []byte("lo")},
		{Fin: true, Opcode: 10},
		{Fin: true, Opcode: 2},
		{Fin: true, Opcode: 2, Payload: []byte(b200)},
		{Fin: true, Opcode: 2, Payload: []byte(b70k)},
		{Fin: true, RSV: rawclient.RSV1, Opcode: 1, Payload: []byte("\xf2\x48\xcd\xc9\xc9\x07\x00")},
		{Fin: true, Opcode: 8, Payload: []byte("\x03\xe8bye")},
	}
	c, server := connect(t, []string{"Sec-WebSocket-Extensions: permessage-deflate"}, strings.Join(frames, ""))
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		got, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if got.String() != w.String() || string(got.Payload) != string(w.Payload) {
			t.Errorf("frame %d: got %v, want %v", i, got, w)
		}
		if string(got.Raw) != frames[i] {
			t.Errorf("frame %d: Raw is % x, want % x", i, short(string(got.Raw)), short(frames[i]))
		}
	}
	for range 2 {
		if f, err := c.ReadFrame(); err != io.EOF { // io.EOF must be bare
			t.Errorf("after the Close frame: got %v, %v, want io.EOF", f, err)
		}
	}
}

func TestClient_ReadFrame_badServer(t *testing.T) {
	tests := []struct {
		name string
		data string // the last frame is the bad one
		want string // part of the rule
	}{
		{"masked", "\x81\x85", "masked"},
		{"RSV2", "\xa1\x00", "RSV2"},
		{"RSV3", "\x91\x00", "RSV3"},
		{"RSV1 on a continuation", "\x01\x00\xc0\x00", "RSV1"},
		{"RSV1 on a ping", "\xc9\x00", "RSV1"},
		{"RSV1 on a Close frame", "\xc8\x00", "RSV1"},
		{"opcode 3", "\x83\x00", "opcode"},
		{"opcode 7", "\x87\x00", "opcode"},
		{"opcode 0xB", "\x8b\x00", "opcode"},
		{"opcode 0xF", "\x8f\x00", "opcode"},
		{"fragmented ping", "\x09\x00", "fragmented control"},
		{"fragmented Close", "\x08\x00", "fragmented control"},
		{"ping of 126 bytes", "\x89\x7e\x00\x7e", "125"},
		{"long Close", "\x88\x7f", "125"},
		{"125 in 16 bits", "\x82\x7e\x00\x7d", "16 bits"},
		{"0 in 16 bits", "\x82\x7e\x00\x00", "16 bits"},
		{"65535 in 64 bits", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "64 bits"},
		{"highest bit", "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "highest bit"},
		{"a length nobody has", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "length"},
		{"continuation of nothing", "\x80\x00", "continuation"},
		{"continuation after the end", "\x01\x00\x80\x00\x80\x00", "continuation"},
		{"text inside a fragmented message", "\x01\x00\x81\x00", "inside"},
		{"Close of one byte", "\x88\x01\x03", "one byte"},
		{"code 999", "\x88\x02\x03\xe7", "close code 999"},
		{"code 1004", "\x88\x02\x03\xec", "close code 1004"},
		{"code 1005", "\x88\x02\x03\xed", "close code 1005"},
		{"code 1006", "\x88\x02\x03\xee", "close code 1006"},
		{"code 1015", "\x88\x02\x03\xf7", "close code 1015"},
		{"code 2999", "\x88\x02\x0b\xb7", "close code 2999"},
		{"code 5000", "\x88\x02\x13\x88", "close code 5000"},
		{"reason not UTF-8", "\x88\x03\x03\xe8\xff", "UTF-8"},
		{"a frame after Close", "\x88\x00\x81\x00", "after the Close"},
		{"a second Close", "\x88\x00\x88\x00", "after the Close"},
		{"half a frame after Close", "\x88\x00\x81", "after the Close"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := connect(t, []string{"Sec-WebSocket-Extensions: permessage-deflate"}, tt.data)
			var err error
			for err == nil {
				_, err = c.ReadFrame()
			}
			bad, ok := errors.AsType[*rawclient.BadPeerError](err)
			if !ok || !strings.Contains(bad.Rule, tt.want) || len(bad.Raw) == 0 {
				t.Fatalf("got %v, want a *BadPeerError with %q and the bytes", err, tt.want)
			}
			if _, _, again := c.ReadMessage(); !errors.Is(again, err) {
				t.Errorf("the next read: got %v, want the same error", again)
			}
		})
	}
	c, _ := connect(t, nil, "\xc1\x00")
	const want = "rawclient: bad peer: RSV1 set without permessage-deflate (RFC 6455 section 5.2): c1 00"
	if _, err := c.ReadFrame(); err == nil || err.Error() != want {
		t.Errorf("RSV1 without deflate: got %v, want %s", err, want)
	}
}

func TestClient_ReadFrame_legalCloseCodes(t *testing.T) {
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		f := rawclient.Frame{Fin: true, Opcode: rawclient.OpClose, Payload: rawclient.ClosePayload(code, "é")}
		c, _ := connect(t, nil, string(rawclient.AppendFrame(nil, f, [4]byte{})))
		if _, err := c.ReadFrame(); err != nil {
			t.Errorf("code %d: %v", code, err)
		}
	}
}

func TestClient_ReadFrame_endOfStream(t *testing.T) {
	tests := []struct {
		name, data string
		reset      bool
		want       error
	}{
		{"between frames", "", false, io.EOF},
		{"in the header", "\x81", false, io.ErrUnexpectedEOF},
		{"in the length", "\x82\x7e\x01", false, io.ErrUnexpectedEOF},
		{"in the payload", "\x81\x05Hel", false, io.ErrUnexpectedEOF},
		{"reset", "", true, pipe.ErrReset},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, server := connect(t, nil, tt.data)
			if tt.reset {
				server.Reset()
			} else if err := server.Close(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := c.ReadFrame(); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
		})
	}
}

func TestClient_ReadFrame_goesOnAfterADeadline(t *testing.T) {
	const frame = "\x82\x7e\x00\x80"
	data := frame + strings.Repeat("x", 128)
	c, server := connect(t, nil, "")
	for i := range len(data) {
		if err := c.Conn().SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.ReadFrame(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %d bytes: got %v, want os.ErrDeadlineExceeded", i, err)
		}
		if err := c.Conn().SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(server, data[i:i+1]); err != nil {
			t.Fatal(err)
		}
		if i == len(data)-1 {
			break
		}
	}
	f, err := c.ReadFrame()
	if err != nil || string(f.Raw) != data {
		t.Errorf("got %v, %v, want the whole frame", f, err)
	}
}

func TestClient_ReadMessage(t *testing.T) {
	type message struct {
		opcode  byte
		payload string
	}
	big := strings.Repeat("big ", 20_000)
	deflated := func(s string) string {
		f := rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: rawclient.OpBinary, Payload: rawclient.Deflate([]byte(s))}
		return string(rawclient.AppendFrame(nil, f, [4]byte{}))
	}
	const takeover = "Sec-WebSocket-Extensions: permessage-deflate"
	const none = takeover + "; server_no_context_takeover"
	tests := []struct {
		name   string
		fields []string
		data   string
		want   []message
	}{
		{"one frame", nil, "\x81\x05Hello\x82\x01\xff", []message{{1, "Hello"}, {2, "\xff"}}},
		{"empty", nil, "\x81\x00\x82\x00", []message{{1, ""}, {2, ""}}},
		{"fragments", nil, "\x01\x03Hel\x00\x00\x80\x02lo", []message{{1, "Hello"}}},
		{"a rune across fragments", nil, "\x01\x01\xc3\x80\x01\xa9", []message{{1, "é"}}},
		{"control frames between fragments", nil, "\x01\x03Hel\x89\x01p\x8a\x01q\x80\x02lo\x88\x02\x03\xe8", []message{{9, "p"}, {10, "q"}, {1, "Hello"}, {8, "\x03\xe8"}}},
		{"compressed (RFC 7692 section 7.2.3.1)", []string{none}, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", []message{{1, "Hello"}}},
		{"compressed, fragments", []string{none}, "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", []message{{1, "Hello"}}},
		{"compressed, not compressed", []string{none}, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x02hi", []message{{1, "Hello"}, {1, "hi"}}},
		{"compressed, big", []string{none}, deflated(big) + deflated(big), []message{{2, big}, {2, big}}},
		{"context takeover (RFC 7692 section 7.2.3.2)", []string{takeover}, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", []message{{1, "Hello"}, {1, "Hello"}}},
		{"context takeover, big", []string{takeover}, deflated(big) + "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", []message{{2, big}, {1, "Hello"}, {1, "Hello"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, server := connect(t, tt.fields, tt.data)
			if err := server.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			for i, want := range tt.want {
				opcode, payload, err := c.ReadMessage()
				if err != nil || opcode != want.opcode || string(payload) != want.payload {
					t.Fatalf("message %d: got opcode %d, %q, %v, want %d, %q", i, opcode, short(string(payload)), err, want.opcode, short(want.payload))
				}
			}
			if _, _, err := c.ReadMessage(); err != io.EOF { // io.EOF must be bare
				t.Errorf("at the end: got %v, want io.EOF", err)
			}
		})
	}
}

func TestClient_ReadMessage_badServer(t *testing.T) {
	const none = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
	tests := []struct{ name, data, want string }{
		{"text that is not UTF-8", "\x81\x01\xff", "UTF-8"},
		{"compressed text that is not UTF-8", "\xc1\x07\x00\x01\x00\xfe\xff\xff\x00", "UTF-8"},
		{"text cut in a rune", "\x01\x01\xc3\x80\x01x", "UTF-8"},
		{"not deflate", "\xc2\x05Hello", "inflate"},
		{"a context that was declined", "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", "inflate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := connect(t, []string{none}, tt.data)
			var err error
			for err == nil {
				_, _, err = c.ReadMessage()
			}
			bad, ok := errors.AsType[*rawclient.BadPeerError](err)
			if !ok || !strings.Contains(bad.Rule, tt.want) {
				t.Fatalf("got %v, want a *BadPeerError with %q", err, tt.want)
			}
			if _, again := c.ReadFrame(); !errors.Is(again, err) {
				t.Errorf("the next read: got %v, want the same error", again)
			}
		})
	}
}
