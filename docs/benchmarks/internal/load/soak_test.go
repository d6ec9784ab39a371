package load_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
)

// TestSoak_detects runs Soak against servers that do something wrong with the fifth echo of a connection. Nothing is
// broadcast. There are several clients, for one that leaves without a goodbye at that moment does not mind.
func TestSoak_detects(t *testing.T) {
	for _, tt := range []struct {
		name string
		fix  func(p []byte) [][]byte
		want string
	}{
		{"nothing wrong", func(p []byte) [][]byte { return [][]byte{frame(0x82, p)} }, ""},
		{"missing", func([]byte) [][]byte { return nil }, "want 4"},
		{"twice", func(p []byte) [][]byte { return [][]byte{frame(0x82, p), frame(0x82, p)} }, "want 5"},
		{"another byte", func(p []byte) [][]byte { p[min(8, len(p)-1)]++; return [][]byte{frame(0x82, p)} }, "other bytes"},
		{"a broadcast that was missed", func(p []byte) [][]byte { return [][]byte{frame(0x82, p), frame(0x81, []byte("#7 "))} }, "7 came after 0"},
		{"close", func([]byte) [][]byte { return [][]byte{frame(0x88, nil)} }, "opcode 0x8"},
	} {
		target := listen(t, func(c net.Conn, in *bufio.Reader) {
			for i := 0; ; {
				p := receive(in)
				switch {
				case p == nil:
					return
				case string(p) == "join":
					c.Write(frame(0x81, []byte("joined 0")))
				case string(p) == "leave":
					c.Write(frame(0x81, []byte("left")))
				case len(p) == 2:
					c.Write(frame(0x88, p))
					return
				default:
					out := [][]byte{frame(0x82, p)}
					if i == 4 {
						out = tt.fix(append([]byte(nil), p...))
					}
					i++
					for _, f := range out {
						c.Write(f)
						if f[0] == 0x88 {
							return
						}
					}
				}
			}
		})
		quit := make(chan struct{})
		time.AfterFunc(300*time.Millisecond, func() { close(quit) })
		var counts load.Counts
		load.Soak{Clients: 8, Plain: true, Burst: 8, Silence: 5 * time.Millisecond, Largest: 2000, MostSteps: 8}.Run(target, quit, &counts)
		n, failures := counts.Failures()
		all := strings.Join(failures, "\n")
		if tt.want == "" && (n > 0 || counts.Echoes.Load() == 0) || tt.want != "" && !strings.Contains(all, tt.want) {
			t.Errorf("%s: got %d failures %q, want %q", tt.name, n, all, tt.want)
		}
	}
}
