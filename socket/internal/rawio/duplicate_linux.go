//go:build !troupe_nosyscalls

package rawio

import "golang.org/x/sys/unix"

// duplicate returns another number of a descriptor.
func duplicate(fd uintptr) (int, error) { return unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }
