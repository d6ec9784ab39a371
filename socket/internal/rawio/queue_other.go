//go:build !linux || troupe_nosyscalls

package rawio

import "syscall"

// sendQueue is unknown here.
func sendQueue(syscall.Conn) int { return 0 }

// hasten does nothing here.
func hasten(syscall.Conn) {}
