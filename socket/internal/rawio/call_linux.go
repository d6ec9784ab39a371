//go:build linux && (amd64 || arm64) && !msan && !asan && !troupe_nosyscalls

package rawio

import (
	"slices"
	"syscall"
	"unsafe"
)

// longCall is the most that is written by a call that does not tell the
// scheduler.
const longCall = 16 << 10

// recv, send and sendv are read(2), write(2) and writev(2) on a socket that never wait for bytes or for room, even if
// somebody has taken O_NONBLOCK off the descriptor. So the scheduler need not know of the short ones: telling it, as
// package syscall does, is a twentieth of what a short message costs. The race detector and the sanitizers must see the
// memory that is used, so with them the usual calls are used.
//
// What such a call can still wait for is the kernel's own work: the lock of the socket, which the network's side of the
// kernel holds while it handles a batch of packets of this connection; a page fault in the memory that is copied (also
// of memory that was swapped out); and freeing memory for the copy when the machine has none. That takes microseconds,
// on a machine that swaps milliseconds, and never depends on the peer. Meanwhile its processor runs no other goroutine,
// and a garbage collection that wants to stop the world waits. The build tag troupe_nosyscalls leaves all of it to
// package net.

func recv(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)),
		syscall.MSG_DONTWAIT, 0, 0)
	if errno == 0 {
		received(fd, p[:n])
	}
	return result(n, errno)
}

func send(fd uintptr, p []byte) (int, error) {
	sends(p)
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

// vector is the memory for a call of sendv, kept for the next one.
type vector struct {
	msg syscall.Msghdr
	iov []syscall.Iovec
}

func sendv(fd uintptr, parts [][]byte, v *vector) (int, error) {
	v.iov = slices.Grow(v.iov[:0], len(parts))[:len(parts)]
	for i, p := range parts {
		sends(p)
		v.iov[i].Base = unsafe.SliceData(p)
		v.iov[i].SetLen(len(p))
	}
	v.msg.Iov = unsafe.SliceData(v.iov)
	v.msg.Iovlen = uint64(len(parts))
	n, _, errno := syscall.Syscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&v.msg)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
	clear(v.iov)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
