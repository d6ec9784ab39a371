package wire_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// TestInflate_maxRatio: beyond a MiB a message may be so many times as large as it was on the wire; a peer that sends
// 19 KB does not cost 20 MB.
func TestInflate_maxRatio(t *testing.T) {
	zeros := func(n int) string { return string(make([]byte, n)) }
	halves := func(s string) []byte {
		p := deflated(s)
		return join(frame(rsv1, opBinary, p[:len(p)/2]), frame(fin, opCont, p[len(p)/2:]))
	}
	whole := func(s string) []byte { return frame(fin|rsv1, opBinary, deflated(s)) }
	var mixed strings.Builder
	for unlike := noise(512_000); unlike != ""; unlike = unlike[4000:] {
		mixed.WriteString(unlike[:4000] + zeros(28_000))
	}
	const refused = "1009 message inflates to more than Config.Compression.MaxRatio 200 times what it is on the wire"
	for _, tt := range []struct {
		name  string
		ratio int
		input []byte
		want  string // the verdict; "": a message
	}{
		{"a MiB of zeros, ratio 1,000", 200, whole(zeros(mb)), ""},
		{"20 MB of zeros", 200, whole(zeros(20_000_000)), refused},
		{"20 MB of zeros in fragments", 200, halves(zeros(20_000_000)), refused},
		{"4 MiB that compress to an eighth and less", 200, whole(mixed.String()), ""},
		{"noise, then 4 MiB of zeros: 200 times as much in all", 200, whole(noise(30_000) + zeros(4*mb)), ""},
		{"off", 0, whole(zeros(20_000_000)), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := accept(t, &script{chunks: [][]byte{tt.input}}, wire.Options{MaxMessageSize: 20_000_000, MaxRatio: tt.ratio}, true)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			m, err := c.Next()
			runtime.ReadMemStats(&after)
			got := ""
			if err != nil {
				got = verdict(err)
			}
			if got != tt.want {
				t.Errorf("a frame of %d bytes: got %d bytes and %q, want %q", len(tt.input), len(m.Data), got, tt.want)
			}
			if used := after.TotalAlloc - before.TotalAlloc; tt.want != "" && used > 6*mb {
				t.Errorf("a frame of %d bytes that is refused made %d bytes of memory: it was inflated further than it had to be", len(tt.input), used)
			}
		})
	}
}
