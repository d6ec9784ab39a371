//go:build unix && (!linux || (!amd64 && !arm64) || msan || asan) && !troupe_nosyscalls

package rawio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func recv(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func send(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// vector is what sendv needs; here nothing.
type vector struct{}

func sendv(fd uintptr, parts [][]byte, _ *vector) (int, error) {
	return unix.SendmsgBuffers(int(fd), parts, nil, nil, unix.MSG_DONTWAIT)
}
