package wire

import (
	"strconv"
	"testing"
	"unsafe"
)

// TestConn_layout: what every message touches is four cache lines, each of which begins where its part does, and a Conn
// is 512 bytes, which the allocator aligns to that.
func TestConn_layout(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the layout is for 64 bits")
	}
	var c Conn
	for _, part := range []struct {
		name      string
		got, want uintptr
	}{
		{"source ends before wrote", unsafe.Offsetof(c.wrote), 56},
		{"in", unsafe.Offsetof(c.in), 64},
		{"discard is in the second line", unsafe.Offsetof(c.discard), 120},
		{"clock", unsafe.Offsetof(c.clock), 128},
		{"out", unsafe.Offsetof(c.out), 192},
		{"out.err is in the fifth", unsafe.Offsetof(c.out) + unsafe.Offsetof(c.out.err), 256},
		{"the whole", unsafe.Sizeof(c), 504},
	} {
		if part.got != part.want {
			t.Errorf("%s: at %d, want %d", part.name, part.got, part.want)
		}
	}
}
