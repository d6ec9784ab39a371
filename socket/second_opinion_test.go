package socket_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// TestServer_secondOpinion: somebody else's client agrees with our handshake, our frames, our compression and our end.
func TestServer_secondOpinion(t *testing.T) {
	for name, mode := range map[string]coder.CompressionMode{
		"plain": coder.CompressionDisabled, "deflate": coder.CompressionNoContextTakeover, "deflate with context": coder.CompressionContextTakeover,
	} {
		t.Run(name, func(t *testing.T) {
			h := memorySite(t, socket.Config{Subprotocols: []string{"v2", "v1"}, Compression: socket.Compression{On: true, Threshold: 100}},
				func() websock.Handler { return echo() })
			transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return h.dial() }}
			defer transport.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c, resp, err := coder.Dial(ctx, "ws://example.com/", &coder.DialOptions{
				HTTPClient: &http.Client{Transport: transport}, Subprotocols: []string{"v1", "v2"}, CompressionMode: mode,
			})
			if err != nil {
				t.Fatalf("Dial: %v", err)
			}
			defer c.CloseNow()
			c.SetReadLimit(-1)
			if got := c.Subprotocol(); got != "v2" {
				t.Errorf("subprotocol %q, want v2", got)
			}
			if got, want := resp.Header.Get("Sec-WebSocket-Extensions") != "", mode != coder.CompressionDisabled; got != want {
				t.Errorf("permessage-deflate: %t, want %t", got, want)
			}
			for _, size := range []int{0, 1, 125, 126, 5000, 70_000, 1 << 20} {
				for _, kind := range []coder.MessageType{coder.MessageText, coder.MessageBinary} {
					want := strings.Repeat("0123456789", size/10+1)[:size]
					if err := c.Write(ctx, kind, []byte(want)); err != nil {
						t.Fatalf("write %d bytes: %v", size, err)
					}
					gotKind, got, err := c.Read(ctx)
					if err != nil || gotKind != kind || string(got) != want {
						t.Fatalf("sent %v of %d bytes: got %v of %d bytes, %v", kind, size, gotKind, len(got), err)
					}
				}
			}
			if err := c.Close(coder.StatusNormalClosure, "bye"); err != nil {
				t.Errorf("Close: %v", err)
			}
			h.wantEnds(1)
			if received := h.closed[0].Received; received == nil || received.Code != 1000 || received.Reason != "bye" {
				t.Errorf("the server received the Close frame %v, want 1000 bye", received)
			}
		})
	}
}
