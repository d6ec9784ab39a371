//go:build !troupe_nosyscalls

package wire

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sendQueue is how many bytes the kernel has of what was written to conn that the peer's has not acknowledged.
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
