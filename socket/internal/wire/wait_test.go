package wire_test

import (
	"math/rand/v2"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// What waits for a Flush does not wait for a message that may take long to inflate; a short one is no reason to flush.
func TestSetHooks_beforeWaitRunsBeforeALongInflation(t *testing.T) {
	noise := make([]byte, 9000) // does not compress
	for i := range noise {
		noise[i] = byte(rand.N(256))
	}
	bomb := make([]byte, 2*mb)
	for _, tt := range []struct {
		name    string
		message []byte
		first   int // bytes of the first fragment; 0: one frame
		want    int
	}{
		{"long", noise, 0, 1},
		{"long, with a short first fragment", noise, 100, 1},
		{"short, and long when inflated", bomb, 0, 1},
		{"of 4 KB", noise[:4000], 0, 0},
		{"short", []byte("short"), 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, c := connect(t, wire.Options{MaxMessageSize: -1}, true)
			waits := 0
			c.SetHooks(hooks{func() { waits++ }, nil})
			p := rawclient.Deflate(tt.message)
			frames := []rawclient.Frame{
				{Fin: true, Opcode: rawclient.OpBinary, Payload: []byte("first")},
				{Fin: tt.first == 0, RSV: rawclient.RSV1, Opcode: rawclient.OpBinary, Payload: p},
			}
			if tt.first > 0 {
				frames[1].Payload = p[:tt.first]
				frames = append(frames, rawclient.Frame{Fin: true, Payload: p[tt.first:]})
			}
			client.Write(frames...) // in one segment
			if _, err := c.Next(); err != nil {
				t.Fatal(err)
			}
			waits = 0
			c.Append(websock.Text("waits"))
			if m, err := c.Next(); err != nil || len(m.Data) != len(tt.message) {
				t.Fatalf("got %d bytes, %v", len(m.Data), err)
			}
			if waits != tt.want {
				t.Errorf("beforeWait was called %d times, want %d", waits, tt.want)
			}
		})
	}
}
