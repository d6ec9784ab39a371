//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// sharePort fails: other systems do not spread connections over the processes that share a port.
func sharePort(_, _ string, _ syscall.RawConn) error {
	return errors.New("handing over by SO_REUSEPORT works on Linux only")
}
