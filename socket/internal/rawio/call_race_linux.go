//go:build linux && (amd64 || arm64) && race && !msan && !asan && !troupe_nosyscalls

package rawio

import (
	"runtime"
	"syscall"
	"unsafe"
)

// The race detector does not see what the kernel does to memory, nor that what one goroutine has done before it wrote to a
// connection happens before what another does after it has read from one. received and sends tell it. The order is that of
// package syscall, so it also holds between a call of ours and one of package net: a Write to nothing begins it, a Read
// of nothing ends it, and neither does anything else.

// received is called when p was read from fd.
func received(fd uintptr, p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
	syscall.Read(int(fd), nil) //nolint:errcheck,gosec // see above
}

// sends is called before p is written.
func sends(p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(unsafe.SliceData(p)), len(p))
	}
	syscall.Write(-1, nil) //nolint:errcheck,gosec // see above
}
