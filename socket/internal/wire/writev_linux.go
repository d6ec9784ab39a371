package wire

import "golang.org/x/sys/unix"

// rawVector says that writev is there.
const rawVector = true

// maxVector is how many pieces one writev takes (IOV_MAX).
const maxVector = 1024

func writev(fd uintptr, parts [][]byte) (int, error) {
	return unix.Writev(int(fd), parts[:min(len(parts), maxVector)])
}
