package wire_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

// hooks is a wire.Hooks of functions; either may be nil.
type hooks struct {
	beforeWait func()
	onControl  func(websock.Message) bool
}

func (h hooks) BeforeWait() {
	if h.beforeWait != nil {
		h.beforeWait()
	}
}

func (h hooks) OnControl(m websock.Message) bool { return h.onControl == nil || h.onControl(m) }

// accept opens conn, as after a handshake.
func accept(_ testing.TB, conn net.Conn, o wire.Options, deflate bool) *wire.Conn {
	if o.Level == 0 {
		o.Level = 6
	}
	return wire.NewOpener(o).Open(conn, "", deflate, nil)
}

// connect joins a peer and a Conn over memory: a client, or a server if o.Client is set.
func connect(t testing.TB, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn) {
	t.Helper()
	near, far := pipe.New(4 << 20)
	return over(t, near, far, o, deflate)
}

// over is connect over the two ends of a connection.
func over(t testing.TB, near, far net.Conn, o wire.Options, deflate bool) (*rawclient.Client, *wire.Conn) {
	t.Helper()
	c := accept(t, far, o, deflate)
	t.Cleanup(func() {
		near.Close()
		c.Abort()
	})
	if o.Client {
		return rawclient.NewServer(near, nil, deflate), c
	}
	return rawclient.New(near, deflate), c
}

// script is a connection whose Reads return given chunks, one each, and then
// the end of the stream. What is written is kept.
type script struct {
	chunks  [][]byte
	written []byte
	reads   int
	closed  atomic.Bool
	past    atomic.Bool
}

func (s *script) Read(p []byte) (int, error) {
	s.reads++
	switch {
	case s.closed.Load():
		return 0, net.ErrClosed
	case s.past.Load():
		return 0, os.ErrDeadlineExceeded
	case len(s.chunks) == 0:
		return 0, io.EOF
	}
	n := copy(p, s.chunks[0])
	if s.chunks[0] = s.chunks[0][n:]; len(s.chunks[0]) == 0 {
		s.chunks = s.chunks[1:]
	}
	return n, nil
}

func (s *script) Write(p []byte) (int, error) {
	s.written = append(s.written, p...)
	return len(p), nil
}

func (s *script) Close() error                     { s.closed.Store(true); return nil }
func (s *script) LocalAddr() net.Addr              { return pipe.Addr(1) }
func (s *script) RemoteAddr() net.Addr             { return pipe.Addr(2) }
func (s *script) SetDeadline(time.Time) error      { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) SetReadDeadline(at time.Time) error {
	s.past.Store(!at.IsZero() && at.Before(time.Now()))
	return nil
}

// waitingScript is a script that can be waited for, as pipes can.
type waitingScript struct{ script }

func (s *waitingScript) Readable() bool { return !s.past.Load() }

func (s *waitingScript) WaitRead() error {
	if s.past.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// flags of a frame, as in the inventory.
const (
	fin  = 8
	rsv1 = 4
	rsv2 = 2
	rsv3 = 1
)

// frame is one masked frame.
func frame(flags byte, opcode byte, payload string) []byte {
	return rawclient.AppendFrame(nil, rawclient.Frame{
		Fin: flags&fin != 0, RSV: flags & 7, Opcode: opcode, Masked: true, Payload: []byte(payload),
	}, rawclient.DefaultMask)
}

func join(frames ...[]byte) []byte { return slices.Concat(frames...) }

// fromServer is a stream of a client's frames as a server sends it: without masks. A frame without a mask, which is wrong
// for a client, gets its bit, which is wrong for a server.
func fromServer(p []byte) []byte {
	var out []byte
	for len(p) >= 2 {
		masked, length, header := p[1]&0x80 != 0, uint64(p[1]&0x7f), 2
		out = append(out, p[0], p[1]^0x80)
		switch {
		case length == 126 && len(p) >= 4:
			length, header = uint64(binary.BigEndian.Uint16(p[2:])), 4
		case length == 127 && len(p) >= 10:
			length, header = binary.BigEndian.Uint64(p[2:]), 10
		case length >= 126:
			return append(out, p[2:]...) // it ends here
		}
		out = append(out, p[2:header]...)
		p = p[header:]
		switch {
		case !masked:
			return append(out, p...) // nothing is read of it
		case len(p) < 4:
			return out
		}
		key := p[:4]
		p = p[4:]
		n := int(min(length, uint64(len(p))))
		for i, b := range p[:n] {
			out = append(out, b^key[i%4])
		}
		p = p[n:]
	}
	return append(out, p...)
}

// roles runs f for a server and for a client. sent is what a Conn of that role has written, as a server would have.
func roles(t *testing.T, f func(t *testing.T, client bool, sent func([]byte) []byte)) {
	t.Helper()
	t.Run("server", func(t *testing.T) { f(t, false, func(p []byte) []byte { return p }) })
	t.Run("client", func(t *testing.T) { f(t, true, fromServer) })
}

// chops cuts p in the ways in which TCP may.
func chops(p []byte) map[string][][]byte {
	ways := map[string][][]byte{"one write": {p}}
	if len(p) <= 64<<10 {
		var single [][]byte
		for i := range p {
			single = append(single, p[i:i+1])
		}
		ways["byte by byte"] = single
	}
	rng := rand.New(rand.NewPCG(1, uint64(len(p))))
	var cuts [][]byte
	for rest := p; len(rest) > 0; {
		n := 1 + rng.IntN(min(len(rest), 1+len(p)/3))
		cuts = append(cuts, rest[:n])
		rest = rest[n:]
	}
	ways["random cuts"] = cuts
	return ways
}

// text of a message in a list of events.
func event(m websock.Message) string {
	if len(m.Data) <= 48 {
		return fmt.Sprintf("%s %q", m.Opcode, m.Data)
	}
	return fmt.Sprintf("%s %d bytes %08x", m.Opcode, len(m.Data), crc32.ChecksumIEEE(m.Data))
}

func textEvent(s string) string   { return event(websock.Text(s)) }
func binaryEvent(s string) string { return event(websock.Binary([]byte(s))) }
func pingEvent(s string) string   { return event(websock.Ping([]byte(s))) }
func pongEvent(s string) string   { return event(websock.Pong([]byte(s))) }

// readAll reads until an error and returns what came.
func readAll(c *wire.Conn) (events []string, err error) {
	c.SetHooks(hooks{nil, func(m websock.Message) bool {
		events = append(events, event(m))
		return true
	}})
	for {
		m, err := c.Next()
		if err != nil {
			return events, err
		}
		events = append(events, event(m))
	}
}

// verdict says how a connection ended: "EOF", "remote 1000 reason", "1002 rule".
func verdict(err error) string {
	var remote *websock.RemoteCloseError
	var protocol *websock.ProtocolError
	switch {
	case errors.As(err, &remote):
		return strings.TrimSpace(fmt.Sprintf("remote %d %s", remote.Code, remote.Reason))
	case errors.As(err, &protocol):
		return fmt.Sprintf("%d %s", protocol.Code, protocol.Rule)
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	return err.Error()
}
