//go:build !troupe_nosyscalls

package rawio

import "golang.org/x/sys/unix"

// sendQueue is how many bytes of what was written to conn the peer's kernel has not acknowledged.
func sendQueue(conn control) (n int) {
	err := conn.Control(func(fd uintptr) {
		if queued, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil {
			n = queued
		}
	})
	if err != nil {
		return 0
	}
	return n
}

// readable tells whether a read of conn would not block, because bytes wait, or the end of the stream, or an error.
func readable(conn control) (ready bool) {
	err := conn.Control(func(fd uintptr) {
		n, err := 0, error(unix.EINTR)
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLRDHUP}}
		for err == unix.EINTR { //nolint:errorlint // a unix.Errno, never wrapped
			n, err = unix.Poll(fds[:], 0)
		}
		ready = n != 0
	})
	return ready || err != nil
}

// limitUnsent has the kernel take no more when so many bytes are unsent, and say that conn is writable when half of that is.
// What was sent and is not acknowledged does not count, so nobody gets slower.
func limitUnsent(conn control, bytes int) {
	// It fails where there is no TCP; then it stays as it is.
	conn.Control(func(fd uintptr) { //nolint:errcheck,gosec // see above
		unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes) //nolint:errcheck,gosec // see above
	})
}
