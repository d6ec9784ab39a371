//go:build !unix

package wire

import (
	"errors"
	"net"
)

// rawReader has no implementation on this system: reads wait with a buffer.
type rawReader struct{}

func newRawReader(net.Conn) *rawReader { return nil }

func (*rawReader) fill(*source) (int, error) { return 0, errors.ErrUnsupported }

// rawWriter has no implementation on this system: every write sets a deadline.
type rawWriter struct{}

func newRawWriter(net.Conn) *rawWriter { return nil }

func (*rawWriter) write(*writer, []byte) error { return errors.ErrUnsupported }
