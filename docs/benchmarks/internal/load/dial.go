package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A Target is the server under load.
type Target struct {
	Addr    string // IPv4 address and port
	Raw     bool   // no handshake and no frames: the length of a message is known to both sides
	Deflate bool   // negotiate permessage-deflate, without context takeover in either direction
	Hello   string // a text message to send first, which the server answers with one of its own
	Wrapped bool   // a broadcast stands inside a message of the server's protocol
	TLS     bool   // with a certificate that nobody has signed

	Patience time.Duration // how long the server may be silent when an answer is due; 0: 10 s

	CPU func() (time.Duration, error) // what the server has used so far
}

func (t Target) patience() time.Duration { return cmp.Or(t.Patience, 10*time.Second) }

func (t Target) handshake() []byte { return t.request("/ws") }

func (t Target) request(path string) []byte {
	r := "GET " + path + " HTTP/1.1\r\nHost: " + t.Addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if t.Deflate {
		r += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	return []byte(r + "\r\n")
}

// dial opens n connections, one after the other, and leaves them to the loop.
func (t Target) dial(l *loop, n int) error {
	request := t.handshake()
	return t.dialEach(l, n, func(int) []byte { return request })
}

// dialEach does the same with a request for each.
func (t Target) dialEach(l *loop, n int, request func(i int) []byte) error {
	for i := range n {
		fd, err := t.connect(request(i))
		if err == nil {
			err = l.add(fd)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(l.conns), err)
		}
		if l.handle != nil && len(l.conns)%256 == 0 { // pings are to be answered in time
			if _, err := l.wait(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// connect returns a blocking socket after the handshake.
func (t Target) connect(request []byte) (int, error) {
	addr, err := netip.ParseAddrPort(t.Addr)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("load: socket: %w", err)
	}
	if err := t.open(fd, addr, request); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (t Target) open(fd int, addr netip.AddrPort, request []byte) error {
	tv := unix.NsecToTimeval(int64(t.patience()))
	if err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv),
	); err != nil {
		return err
	}
	err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()})
	if err == unix.EINTR || err == unix.EINPROGRESS || err == unix.EALREADY {
		err = connected(fd, t.patience())
	}
	if err != nil {
		return fmt.Errorf("load: connect: %w", err)
	}
	if t.Raw {
		return nil
	}
	if err := writeAll(fd, request); err != nil {
		return err
	}
	response, err := readUntil(fd, func(b []byte) (int, bool) {
		i := bytes.Index(b, []byte("\r\n\r\n"))
		return i + 4, i >= 0
	})
	if err != nil {
		return fmt.Errorf("load: handshake: %w", err)
	}
	if err := t.accepted(response); err != nil {
		return err
	}
	if t.Hello == "" {
		return nil
	}
	if err := writeAll(fd, frame.Append(nil, frame.Text, []byte(t.Hello))); err != nil {
		return err
	}
	_, err = readUntil(fd, func(b []byte) (int, bool) {
		h, err := frame.Parse(b)
		return h.Size + h.Length, err == nil && len(b) >= h.Size+h.Length
	})
	return err
}

// connected waits for the end of a connect that a signal has interrupted: it goes on by itself, and calling it again
// would fail.
func connected(fd int, patience time.Duration) error {
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(max(time.Until(end), 0).Milliseconds()))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return unix.ETIMEDOUT
		}
		code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && code != 0 {
			err = unix.Errno(code)
		}
		return err
	}
}

// accepted checks the response to the handshake.
func (t Target) accepted(response []byte) error {
	if !bytes.HasPrefix(response, []byte("HTTP/1.1 101 ")) || !bytes.Contains(response, []byte("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		return fmt.Errorf("load: handshake refused: %q", response)
	}
	if t.Deflate != bytes.Contains(response, []byte("permessage-deflate")) {
		return fmt.Errorf("load: want compression %t: %q", t.Deflate, response)
	}
	return nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("load: write: %w", err)
		}
		b = b[max(n, 0):]
	}
	return nil
}

// readUntil reads up to where end says, and not more: nothing may come after it before the client sends.
func readUntil(fd int, end func([]byte) (int, bool)) ([]byte, error) {
	var b []byte
	chunk := make([]byte, 1024)
	for {
		n, err := unix.Read(fd, chunk)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return b, fmt.Errorf("load: read %q, then %d, %w", b, n, err)
		}
		b = append(b, chunk[:n]...)
		if i, ok := end(b); ok {
			if i != len(b) {
				return b, fmt.Errorf("load: %d bytes that nobody asked for: %q", len(b)-i, b[i:])
			}
			return b, nil
		}
	}
}
