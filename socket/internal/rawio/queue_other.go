//go:build !linux || troupe_nosyscalls

package rawio

import "syscall"

// sendQueue is unknown here.
func sendQueue(syscall.Conn) int { return 0 }

// readable is unknown here.
func readable(syscall.Conn) bool { return true }

// limitUnsent does nothing here.
func limitUnsent(syscall.Conn, int) {}
