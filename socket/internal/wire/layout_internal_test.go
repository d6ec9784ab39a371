package wire

import (
	"strconv"
	"testing"
	"unsafe"
)

// TestConn_layout: what every message touches is the second, third, seventh and eighth cache line, and a Conn is 512 bytes,
// which the allocator aligns to that.
func TestConn_layout(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the layout is for 64 bits")
	}
	var c Conn
	for _, part := range []struct {
		name      string
		got, want uintptr
	}{
		{"the second line begins with the descriptor, then Settings", unsafe.Offsetof(c.t) + unsafe.Offsetof(c.t.Settings), 64 + 16},
		{"the fourth with what a message does not need of writer", unsafe.Offsetof(c.err), 192},
		{"reader begins with a line", unsafe.Offsetof(c.reader), 256},
		{"the seventh begins with source, but for small", unsafe.Offsetof(c.source) + unsafe.Offsetof(c.source.park), 384},
		{"the whole", unsafe.Sizeof(c), 512},
	} {
		if part.got != part.want {
			t.Errorf("%s: at %d, want %d", part.name, part.got, part.want)
		}
	}
}
