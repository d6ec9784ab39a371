//go:build !troupe_nosyscalls

package pool

import (
	"os"
	"syscall"
	"unsafe"
)

// poller has Go's scheduler look at the network. The scheduler does so when it finds nothing else to run, and otherwise every
// ten milliseconds only: goroutines whose bytes have come wait as long as others keep all processors busy, even when these call
// runtime.Gosched. So the poller waits for the network itself, for a descriptor that it has just made ready, which the
// scheduler finds together with all that has become ready before.
type poller struct {
	file *os.File // an eventfd
	raw  syscall.RawConn
}

// newPoller returns nil when there is no descriptor left.
func newPoller() *poller {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return nil
	}
	file := os.NewFile(fd, "eventfd")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close()
		return nil
	}
	return &poller{file, raw}
}

// poll returns when the scheduler has looked: the goroutines whose bytes have come can run then. It returns at once after close, and
// where the descriptor cannot be watched.
func (p *poller) poll() {
	signalled := false
	_ = p.raw.Read(func(fd uintptr) (done bool) { // an error has nothing to say but that
		if signalled {
			return true
		}
		signalled = true
		return !signal(fd)
	})
}

// close waits until poll has returned.
func (p *poller) close() { _ = p.file.Close() } // the only error: closed before

// signal makes fd ready once more. The scheduler learns of each write, so nobody need read.
func signal(fd uintptr) bool {
	one := uint64(1)
	_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	return errno == 0
}
