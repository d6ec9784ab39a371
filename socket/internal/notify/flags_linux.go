//go:build !troupe_nosyscalls

package notify

import "syscall"

// flags are what a descriptor is watched for. The kernel adds EPOLLERR and
// EPOLLHUP to them.
func flags(want Event) uint32 {
	switch want {
	case Readable:
		return syscall.EPOLLONESHOT | syscall.EPOLLIN | syscall.EPOLLRDHUP
	case HalfClosed:
		return syscall.EPOLLONESHOT | syscall.EPOLLRDHUP
	default: // a half close that is known would fire at once, again and again
		return syscall.EPOLLONESHOT
	}
}

// happened is what an event says.
//
// The kernel sets the error before the hangup that comes with a reset. EPOLLHUP
// without EPOLLERR is the orderly end of both directions: the FIN of the peer after
// our own; or the close of a unix socket, before which bytes may be unread. It is
// also what is left of a reset when a read or a write has met its error, and so
// told of it. It stays, so whoever waits for Gone is not told of it, and then of
// nothing more.
func happened(flags uint32) Event {
	switch {
	case flags&syscall.EPOLLERR != 0:
		return Gone
	case flags&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) != 0:
		return HalfClosed
	}
	return Readable
}
