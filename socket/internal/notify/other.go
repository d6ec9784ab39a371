//go:build !linux || troupe_nosyscalls

package notify

import "net"

// descriptors watches none: there is no epoll here, or it must not be used.
type descriptors struct{}

type place struct{}

func hasDescriptor(net.Conn) bool { return false }

func (*descriptors) arm(*place, net.Conn, Waker, Event) error { return ErrUnsupported }
func (*descriptors) disarm(*place) bool                       { return false }
func (*descriptors) release(*place)                           {}
func (*descriptors) wait()                                    {}
