package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sharePort lets several processes of one user listen on one port. Linux spreads new connections over them.
func sharePort(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	if err != nil {
		return err
	}
	return set
}
