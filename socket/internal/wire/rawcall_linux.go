//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package wire

import (
	"syscall"
	"unsafe"
)

// longCall is the most that is written by a call of which the scheduler is not
// told.
const longCall = 16 << 10

// recv and send are read(2) and write(2) on a socket that do not wait for bytes
// or for room, also when somebody has taken O_NONBLOCK off the descriptor. So the
// scheduler need not know of the short ones; to tell it, as package syscall does,
// is a twentieth of what a short message costs. The race detector and its like
// must know of the memory, and with them there are the usual calls.

func recv(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT, 0, 0)
	return result(n, errno)
}

func send(fd uintptr, p []byte) (int, error) {
	if len(p) > longCall {
		return sendLong(fd, p)
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

func sendLong(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.Syscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
