//go:build !troupe_nosyscalls

package rawio

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendQueue is how many bytes of what was written to conn the peer's kernel has not acknowledged.
func sendQueue(conn syscall.Conn) (n int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = queued
		}
	})
	if err != nil {
		return 0
	}
	return n
}

// hasten has the kernel say that conn is writable as soon as no more than half of mostUnsent is unsent. Otherwise it says
// so when a third of the send buffer is free: with 4 MiB that takes a slow peer longer than WriteTimeout, and with TLS a
// write that has met its deadline cannot go on. What was sent and is not acknowledged does not count, so nobody gets
// slower.
func hasten(conn syscall.Conn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	// It fails where there is no TCP; then it stays as it is.
	raw.Control(func(fd uintptr) { //nolint:errcheck,gosec // see above
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, mostUnsent) //nolint:errcheck,gosec // see above
	})
}

// mostUnsent is how much the kernel takes beyond what it can send.
const mostUnsent = 128 << 10
