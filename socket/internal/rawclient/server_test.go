package rawclient_test

import (
	"bufio"
	"errors"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
)

// TestNewServer: the two ends read what the other writes, byte by byte and message by message.
func TestNewServer(t *testing.T) {
	near, far := pipe.New(1 << 20)
	client := rawclient.New(near, true)
	client.Mask = [4]byte{1, 2, 3, 4}
	br := bufio.NewReader(far)
	client.WriteBytes([]byte("the end of a request\n"))
	if line, err := br.ReadString('\n'); err != nil {
		t.Fatalf("the request: %q, %v", line, err)
	}
	server := rawclient.NewServer(far, br, true)

	client.Text("Hello")
	f, err := server.ReadFrame()
	if want := "\x81\x85\x01\x02\x03\x04Igohn"; err != nil || string(f.Raw) != want || string(f.Payload) != "Hello" ||
		!f.Masked || f.Mask != client.Mask {
		t.Errorf("a masked frame: got %v, raw %q, mask %x, %v; want Hello, raw %q", f, f.Raw, f.Mask, err, want)
	}
	long := strings.Repeat("long ", 30_000)
	client.Write(
		rawclient.Frame{RSV: rawclient.RSV1, Opcode: rawclient.OpText, Payload: rawclient.Deflate([]byte(long))},
		rawclient.Frame{Fin: true, Opcode: rawclient.OpPing, Payload: []byte("p")},
		rawclient.Frame{Fin: true},
	)
	client.Binary([]byte(long))
	client.Close(4000, "bye")
	for i, want := range []struct {
		opcode  byte
		payload string
	}{{9, "p"}, {1, long}, {2, long}, {8, "\x0f\xa0bye"}} {
		op, p, err := server.ReadMessage()
		if err != nil || op != want.opcode || string(p) != want.payload {
			t.Fatalf("message %d: got opcode %d, %d bytes, %v; want opcode %d, %d bytes", i, op, len(p), err, want.opcode, len(want.payload))
		}
	}

	server.Text("Hello")
	server.Close(1000, "")
	f, err = client.ReadFrame()
	if want := "\x81\x05Hello"; err != nil || string(f.Raw) != want {
		t.Errorf("a frame of the server: got %v, raw %q, %v; want raw %q", f, f.Raw, err, want)
	}
	if op, _, err := client.ReadMessage(); op != rawclient.OpClose || err != nil {
		t.Errorf("then opcode %d, %v; want the Close", op, err)
	}
}

func TestNewServer_badClient(t *testing.T) {
	for name, tt := range map[string]struct{ data, want string }{
		"no mask":       {"\x81\x05", "a frame without mask (RFC 6455 section 5.1)"},
		"ping, no mask": {"\x89\x00", "a frame without mask (RFC 6455 section 5.1)"},
		"RSV2":          {"\xa1\x80", "RSV2"},
		"after a Close": {"\x88\x80\x00\x00\x00\x00\x81", "a byte after the Close frame"},
		"close code":    {"\x88\x82\x00\x00\x00\x00\x03\xe7", "close code 999"},
		"masked code":   {"\x88\x82\xff\xff\x00\x00\xfc\x18", "close code 999"},
	} {
		near, far := pipe.New(0)
		server := rawclient.NewServer(far, nil, false)
		near.Write([]byte(tt.data))
		var err error
		for err == nil {
			_, err = server.ReadFrame()
		}
		if bad, ok := errors.AsType[*rawclient.BadPeerError](err); !ok || !strings.Contains(bad.Rule, tt.want) {
			t.Errorf("%s: got %v, want a *BadPeerError with %q", name, err, tt.want)
		}
	}
}
