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
// A reset sets EPOLLERR and EPOLLHUP. EPOLLHUP without EPOLLERR is the orderly end
// of both directions: the FIN of the peer after our own; or the close of a unix
// socket, from which bytes may still be unread. It is also what remains of a reset
// when a read or a write has returned its error, and so has told of it. EPOLLHUP
// stays set, and the descriptor is one-shot: whoever waits for Gone then is not
// told of that half close, nor of anything after it.
func happened(flags uint32) Event {
	switch {
	case flags&syscall.EPOLLERR != 0:
		return Gone
	case flags&(syscall.EPOLLRDHUP|syscall.EPOLLHUP) != 0:
		return HalfClosed
	}
	return Readable
}
