package load_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
)

// listen serves the handshake, and then each connection by serve.
func listen(t *testing.T, serve func(net.Conn, *bufio.Reader)) load.Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for line := ""; line != "\r\n"; {
					if line, err = in.ReadString('\n'); err != nil {
						return
					}
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
					"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
				serve(c, in)
			}()
		}
	}()
	return load.Target{
		Addr: ln.Addr().String(), Patience: 200 * time.Millisecond,
		CPU: func() (time.Duration, error) { return 0, nil },
	}
}

// receive returns the payload of one masked frame that is no pong, nil at the end.
func receive(in *bufio.Reader) []byte {
	var h [2]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return nil
	}
	size := uint64(h[1] & 0x7F)
	switch size {
	case 126:
		var n uint16
		binary.Read(in, binary.BigEndian, &n)
		size = uint64(n)
	case 127:
		binary.Read(in, binary.BigEndian, &size)
	}
	b := make([]byte, 4+size)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil
	}
	for i := range b[4:] {
		b[4+i] ^= b[i&3]
	}
	if h[0]&0xF == 0xA {
		return receive(in)
	}
	return b[4:]
}

// frame is an unmasked one.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}
