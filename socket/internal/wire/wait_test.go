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
	noise := make([]byte, 4000) // does not compress
	for i := range noise {
		noise[i] = byte(rand.N(256))
	}
	for _, tt := range []struct {
		name    string
		message []byte
		want    int
	}{
		{"long", noise, 1},
		{"short", []byte("short"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, c := connect(t, wire.Options{MaxMessageSize: -1}, true)
			waits := 0
			c.SetHooks(hooks{func() { waits++ }, nil})
			client.Write( // in one segment
				rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: []byte("first")},
				rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: rawclient.OpBinary, Payload: rawclient.Deflate(tt.message)},
			)
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
