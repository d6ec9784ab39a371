//go:build !linux || troupe_nosyscalls

package notify

import "net"

// descriptors watches none: there is no epoll here, or it must not be used.
type descriptors struct{}

type registration struct{}

func hasDescriptor(net.Conn) bool { return false }

func (*descriptors) arm(*registration, net.Conn, Waker, Event) error { return ErrUnsupported }
func (*descriptors) disarm(*registration) bool                       { return false }
func (*descriptors) forget(*registration, net.Conn)                  {}
func (*descriptors) release(*registration)                           {}
func (*descriptors) wait()                                           {}
