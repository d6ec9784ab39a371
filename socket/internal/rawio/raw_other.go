//go:build !unix || troupe_nosyscalls

package rawio

import (
	"errors"
	"net"
	"syscall"
)

// Here package net does it all: reads wait with a buffer, and every write sets a deadline.

type rawWrite struct{}

func rawConnOf(net.Conn) syscall.RawConn { return nil }

func (c *Conn) receiveRaw(Reader) (int, error) { return 0, errors.ErrUnsupported }

func (w *rawWrite) write(*Conn, []byte, [][]byte) error { return errors.ErrUnsupported }
