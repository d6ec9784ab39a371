//go:build !unix || troupe_nosyscalls

package wire

import (
	"errors"
	"net"
	"syscall"
)

// Here package net does it all: reads wait with a buffer, and every write sets a deadline.

type rawWriter struct{}

func rawConnOf(net.Conn) syscall.RawConn { return nil }

func (c *Conn) rawRead() (int, error) { return 0, errors.ErrUnsupported }

func (c *Conn) rawWrite(*batch) error { return errors.ErrUnsupported }
