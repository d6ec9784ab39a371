package day

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/frame"
)

// A nuisance is a client that does something wrong, and what must become of it.
type nuisance struct {
	name string
	do   func(ctx context.Context, addr string) error
}

// floods is how many messages are sent by a client that ignores refusals. The chat closes it after a hundred.
const floods = 2000

func nuisances() []nuisance {
	text := func(payload string) []byte { return frame.Append(nil, frame.Text, []byte(payload)) }
	with := func(b []byte, first byte) []byte {
		b = bytes.Clone(b)
		b[0] = first
		return b
	}
	unmasked := []byte{0x81, 2, '{', '}'}
	compressed := func(data []byte) []byte { return with(frame.Append(nil, frame.Text, data), 0xC1) }
	all := []nuisance{
		{"a flood of invalid JSON", flood(func(int) []byte { return text("this is no JSON") })},
		{"a flood of requests", flood(func(n int) []byte {
			return text(fmt.Sprintf(`{"type":"say","text":"flood %d","ref":"flood"}`, n))
		})},
		{"a flood of binary messages", flood(func(int) []byte { return frame.Append(nil, frame.Binary, []byte("{}")) })},
		{"a burst of pings", pings},
		{"no HTTP", raw("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "HTTP/1.1 400 ")},
		{"no version", raw(strings.Replace(handshake("chat", false), "Sec-WebSocket-Version: 13\r\n", "", 1), "HTTP/1.1 4")},
		{"a foreign origin", raw(strings.Replace(handshake("chat", false), "\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n", 1), "HTTP/1.1 403 ")},
		{"half a handshake, and gone", func(ctx context.Context, addr string) error {
			c, err := connect(ctx, addr, 0)
			if err != nil {
				return err
			}
			defer c.end(true)
			return c.write([]byte(handshake(addr, false)[:60]))
		}},
	}
	for _, bad := range []struct {
		name    string
		deflate bool
		bytes   []byte
		code    int
	}{
		{"text that is not UTF-8", false, text("\xff\xfe"), closeData},
		{"an unmasked frame", false, unmasked, closeBroken},
		{"a reserved bit", false, with(text("{}"), 0x91), closeBroken},
		{"a reserved opcode", false, with(text("{}"), 0x83), closeBroken},
		{"a continuation of nothing", false, with(text("{}"), 0x80), closeBroken},
		{"a fragmented ping", false, with(text("{}"), 0x09), closeBroken},
		{"a ping of 126 bytes", false, frame.Append(nil, frame.Ping, make([]byte, 126)), closeBroken},
		{"a Close with an illegal code", false, closeFrame(1005), closeBroken},
		{"a message of 17 KiB", false, text(strings.Repeat("a", 17<<10)), closeTooBig},
		{"a compressed frame that was not negotiated", false, compressed([]byte("{}")), closeBroken},
		{"compressed nonsense", true, compressed([]byte("\xff\xff\xff\xff")), closeData},
		{"1 MB, compressed", true, compressed(frame.Deflate(bytes.Repeat([]byte("a"), 1_000_000))), closeTooBig},
	} {
		all = append(all, nuisance{bad.name, func(ctx context.Context, addr string) error {
			c, err := visit(ctx, addr, bad.deflate)
			if err != nil {
				return err
			}
			defer c.end(true)
			if err := c.write(bad.bytes); err != nil {
				return err
			}
			return c.wantClose(bad.code)
		}})
	}
	return all
}

// visit is a connection of somebody who has said hello, and is in no room.
func visit(ctx context.Context, addr string, deflate bool) (*conn, error) {
	c, err := dial(ctx, addr, deflate, 0)
	if err != nil {
		return nil, err
	}
	c.tcp.SetReadDeadline(time.Now().Add(patience))
	err = c.send(request{Type: "hello", Name: "Nuisance", Key: "the key of a nuisance", Session: fmt.Sprint("a session ", c.tcp.LocalAddr()), Ref: "hello"})
	for err == nil {
		var a answer
		if a, err = c.answer(); err == nil && a.Type == "welcome" {
			return c, nil
		}
		if err == nil && a.Type == "error" {
			err = fmt.Errorf("hello: %s %q", a.Code, a.Text)
		}
	}
	c.end(true)
	return nil, err
}

// wantClose reads up to the end, which must be a Close with this code.
func (c *conn) wantClose(code int) error {
	for {
		_, err := c.next()
		if end, ok := errors.AsType[*closeError](err); ok && end.code == code {
			return nil
		}
		if err != nil {
			return fmt.Errorf("want a Close with %d, got: %w", code, err)
		}
	}
}

// flood sends one message after the other. The server has to close the connection with 1008 before it has read all.
func flood(message func(int) []byte) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		c, err := visit(ctx, addr, false)
		if err != nil {
			return err
		}
		defer c.end(true)
		var sender sync.WaitGroup
		sender.Go(func() {
			for n := range floods {
				if c.write(message(n)) != nil {
					return
				}
			}
			c.write(closeFrame(1000)) // if it is still there, it has let all pass
		})
		defer sender.Wait()
		defer c.end(true)
		return c.wantClose(closePolicy)
	}
}

// pings sends many at once. Each is answered.
func pings(ctx context.Context, addr string) error {
	c, err := visit(ctx, addr, false)
	if err != nil {
		return err
	}
	defer c.end(true)
	const n = 100
	var b []byte
	for i := range n {
		b = frame.Append(b, frame.Ping, []byte{byte(i)})
	}
	if err := c.write(b); err != nil {
		return err
	}
	for i := 0; i < n; {
		h, p, err := c.frame()
		switch {
		case err != nil:
			return fmt.Errorf("pong %d of %d: %w", i, n, err)
		case h.Opcode == frame.Pong && (len(p) != 1 || p[0] != byte(i)):
			return fmt.Errorf("pong %d has payload %x", i, p)
		case h.Opcode == frame.Pong:
			i++
		case h.Opcode == frame.Close:
			return fmt.Errorf("closed at pong %d: %q", i, p)
		}
	}
	return nil
}

// raw sends bytes instead of a handshake, and expects an answer that begins like this.
func raw(send, want string) func(context.Context, string) error {
	return func(ctx context.Context, addr string) error {
		c, err := connect(ctx, addr, 0)
		if err != nil {
			return err
		}
		defer c.end(true)
		if err := c.write([]byte(send)); err != nil {
			return err
		}
		c.tcp.SetReadDeadline(time.Now().Add(patience))
		got, err := c.in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !strings.HasPrefix(got, want) {
			return fmt.Errorf("want an answer that begins %q, got %q", want, got)
		}
		return nil
	}
}

// A deaf client joins a room and reads nothing more. Its kernel's buffer is small, so that the server feels it.
func deaf(ctx context.Context, addr, room string, i int) (*conn, error) {
	c, err := dial(ctx, addr, false, 4<<10)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		c.send(request{Type: "hello", Name: fmt.Sprint("Deaf ", i), Key: "the key of the deaf", Session: fmt.Sprint("session of the deaf ", i)}),
		c.send(request{Type: "join", Room: room}),
	)
	if err != nil {
		c.end(true)
		return nil, err
	}
	return c, nil
}
