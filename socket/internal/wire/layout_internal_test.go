package wire

import (
	"strconv"
	"testing"
	"unsafe"
)

// TestConn_layout: what every message touches is the second, third, sixth and seventh cache line, and a Conn is seven lines, which
// the allocator aligns to lines.
func TestConn_layout(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the layout is for 64 bits")
	}
	var c Conn
	for _, part := range []struct {
		name      string
		got, want uintptr
	}{
		{"the second line begins with the descriptor's calls, then Settings", unsafe.Offsetof(c.t) + unsafe.Offsetof(c.t.Settings), 64 + 32},
		{"the third begins with what a message needs of writer", unsafe.Offsetof(c.writer) + unsafe.Offsetof(c.writer.wrote), 128},
		{"the fourth with what it does not need", unsafe.Offsetof(c.writer) + unsafe.Offsetof(c.writer.pings), 192},
		{"the sixth begins with source, but for small", unsafe.Offsetof(c.source) + unsafe.Offsetof(c.source.park), 320},
		{"the whole", unsafe.Sizeof(c), 448},
	} {
		if part.got != part.want {
			t.Errorf("%s: at %d, want %d", part.name, part.got, part.want)
		}
	}
}
