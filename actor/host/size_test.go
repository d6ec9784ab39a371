package host_test

import (
	"testing"
	"unsafe"

	"github.com/troupe-dev/troupe/actor/host"
)

// Each socket keeps a Port, and the record of each process in a registry keeps Refs: they are one pointer.
func TestPort_size(t *testing.T) {
	if got, want := unsafe.Sizeof(host.Port{}), unsafe.Sizeof(uintptr(0)); got > want {
		t.Errorf("a Port has %d bytes, want %d", got, want)
	}
	if got, want := unsafe.Sizeof(host.Ref{}), unsafe.Sizeof(uintptr(0)); got > want {
		t.Errorf("a Ref has %d bytes, want %d", got, want)
	}
}

func TestPort_PID(t *testing.T) {
	if got := (host.Port{}).PID(); got.String() != "nobody" {
		t.Errorf("PID of the zero Port: %v, want nobody", got)
	}
	if got := (host.Ref{}).PID(); got.String() != "nobody" {
		t.Errorf("PID of the zero Ref: %v, want nobody", got)
	}
}
