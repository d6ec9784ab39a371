package day

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// patience is how long a client waits for what the server must send at once. It is far longer than a busy machine
// takes.
const patience = 20 * time.Second

// A conn is the client's end of one connection. One goroutine reads it; any may write.
type conn struct {
	tcp     *net.TCPConn
	in      *bufio.Reader
	deflate bool // was negotiated
	payload []byte

	writing sync.Mutex
}

// A statusError is an HTTP answer that is not 101.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("the upgrade was answered with %d", int(e)) }

// A closeError is the peer's Close frame.
type closeError struct {
	code   int // 0: none in it
	reason string
}

func (e *closeError) Error() string { return fmt.Sprintf("closed with %d %q", e.code, e.reason) }

// handshake is the request of an upgrade. The key is that of RFC 6455 section 1.3.
func handshake(addr string, deflate bool) string {
	r := "GET /ws HTTP/1.1\r\nHost: " + addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if deflate {
		r += "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	}
	return r + "\r\n"
}

// connect opens TCP only. buffer is how much the kernel may hold for a client that does not read; 0: as much as it
// likes.
func connect(ctx context.Context, addr string, buffer int) (*conn, error) {
	dialer := net.Dialer{Timeout: patience}
	c, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	if buffer > 0 {
		if err := tcp.SetReadBuffer(buffer); err != nil {
			tcp.Close()
			return nil, err
		}
	}
	return &conn{tcp: tcp, in: bufio.NewReaderSize(tcp, 4<<10)}, nil
}

// dial returns a connection after its handshake.
func dial(ctx context.Context, addr string, deflate bool, buffer int) (*conn, error) {
	c, err := connect(ctx, addr, buffer)
	if err != nil {
		return nil, err
	}
	if err := c.upgrade(addr, deflate); err != nil {
		c.tcp.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) upgrade(addr string, deflate bool) error {
	c.tcp.SetDeadline(time.Now().Add(patience))
	defer c.tcp.SetDeadline(time.Time{})
	if _, err := io.WriteString(c.tcp, handshake(addr, deflate)); err != nil {
		return err
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	r.Body.Close()
	if r.StatusCode != http.StatusSwitchingProtocols {
		return statusError(r.StatusCode)
	}
	if got := r.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		return fmt.Errorf("Sec-WebSocket-Accept: %q", got)
	}
	c.deflate = strings.Contains(r.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
	if c.deflate != deflate {
		return fmt.Errorf("compression: got %t, want %t", c.deflate, deflate)
	}
	return nil
}

// write sends bytes as they are.
func (c *conn) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.tcp.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.tcp.Write(b)
	return err
}

// send sends a request as a text message.
func (c *conn) send(r request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.write(c.message(data))
}

func (c *conn) message(data []byte) []byte {
	if !c.deflate || len(data) < 256 {
		return frame.Append(nil, frame.Text, data)
	}
	b := frame.Append(nil, frame.Text, frame.Deflate(data))
	b[0] |= 0x40
	return b
}

// next returns the next text message, which is valid until the next call. It answers pings, and a Close, which it
// returns as its error.
func (c *conn) next() ([]byte, error) {
	for {
		h, p, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch {
		case h.Opcode == frame.Ping:
			if err := c.write(frame.Append(nil, frame.Pong, p)); err != nil {
				return nil, err
			}
		case h.Opcode == frame.Pong:
		case h.Opcode == frame.Close:
			end := &closeError{}
			if len(p) >= 2 {
				end.code, end.reason = int(p[0])<<8|int(p[1]), string(p[2:])
			}
			c.write(frame.Append(nil, frame.Close, p[:min(len(p), 2)])) // the server may be gone
			return nil, end
		case h.Opcode != frame.Text || !h.Fin:
			return nil, fmt.Errorf("opcode %#x, fin %t", h.Opcode, h.Fin)
		case h.Deflated:
			if !c.deflate {
				return nil, errors.New("a compressed message, and compression was not negotiated")
			}
			return frame.Inflate(p)
		default:
			return p, nil
		}
	}
}

// frame reads one frame. The server sends each message in one.
func (c *conn) frame() (frame.Header, []byte, error) {
	b, err := c.in.Peek(2)
	if err != nil {
		return frame.Header{}, nil, err
	}
	h, err := frame.Parse(b)
	if errors.Is(err, frame.ErrShort) {
		if b, err = c.in.Peek(h.Size); err != nil {
			return h, nil, err
		}
		h, err = frame.Parse(b)
	}
	if err != nil {
		return h, nil, err
	}
	c.in.Discard(h.Size)
	if cap(c.payload) < h.Length {
		c.payload = make([]byte, h.Length)
	}
	c.payload = c.payload[:h.Length]
	_, err = io.ReadFull(c.in, c.payload)
	return h, c.payload, err
}

// answer is the next message, read as JSON.
func (c *conn) answer() (a answer, err error) {
	p, err := c.next()
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(p, &a); err != nil {
		return a, fmt.Errorf("%.80q: %w", p, err)
	}
	return a, nil
}

// end closes TCP: in order, or by an RST.
func (c *conn) end(reset bool) {
	if reset {
		c.tcp.SetLinger(0)
	}
	c.tcp.Close()
}
