package socket_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestReuseBuffers: whatever HandleIn pushes of a message leaves as it was when HandleIn returned, though the next message
// is read into the same memory.
func TestReuseBuffers(t *testing.T) {
	tests := []struct {
		name string
		push func(data []byte) []byte
	}{
		{"the message", func(d []byte) []byte { return d }},
		{"a part of it", func(d []byte) []byte { return d[len(d)/3:] }},
		{"more, in what room is behind it", func(d []byte) []byte { return append(d, make([]byte, 4096)...) }},
		{"16 KiB, in what room is behind it", func(d []byte) []byte {
			return append(d, make([]byte, max(16384-len(d), 0))...)
		}},
		{"changed in place", func(d []byte) []byte { slices.Reverse(d); return d }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site := tcpSite(t, socket.Config{ReuseBuffers: true}, func() websock.Handler {
				return &handler{in: func(_ context.Context, m websock.Message) websock.Result {
					return websock.Push(websock.Binary(test.push(m.Data)))
				}}
			})
			c := site.connect(rawclient.HandshakeOptions{})
			sizes := []int{5000, 5000, 100, 16384, 16384, 15000, 12000, 70000, 70000, 3000, 300000, 20000}
			for round := range 30 {
				background(t, func() {
					var frames []rawclient.Frame
					for i, n := range sizes {
						frames = append(frames, rawclient.Frame{Fin: true, Opcode: rawclient.OpBinary, Payload: filled(byte(i+round), n)})
					}
					c.Write(frames...)
				})
				for i, n := range sizes {
					op, got, err := c.ReadMessage()
					if want := test.push(filled(byte(i+round), n)); err != nil || op != rawclient.OpBinary || !bytes.Equal(got, want) {
						t.Fatalf("round %d, message %d of %d bytes: opcode %d, %d bytes, error %v, not what was pushed", round, i, n, op, len(got), err)
					}
				}
			}
		})
	}
}

// filled is n bytes that differ with b.
func filled(b byte, n int) []byte {
	p := make([]byte, n, n+20000)
	for i := range p {
		p[i] = b + byte(i%251)
	}
	return p
}
