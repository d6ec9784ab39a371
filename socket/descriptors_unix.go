//go:build unix

package socket

import "syscall"

// descriptorLimit is how many descriptors the process may have open, as it is now; false: unknown.
func descriptorLimit() (uint64, bool) {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
