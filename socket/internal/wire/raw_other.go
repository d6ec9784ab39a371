//go:build !unix

package wire

import (
	"errors"
	"net"
	"syscall"
)

// On this system reads wait with a buffer, and every write sets a deadline.

const rawVector = false

type rawWriter struct{}

func rawConnOf(net.Conn) syscall.RawConn { return nil }

func (c *Conn) rawRead() (int, error) { return 0, errors.ErrUnsupported }

func (c *Conn) rawWrite(*batch) error { return errors.ErrUnsupported }
