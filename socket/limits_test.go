package socket_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// masked is frames as a client puts them on the wire.
func masked(frames ...rawclient.Frame) (b []byte) {
	for _, f := range frames {
		f.Masked = true
		b = rawclient.AppendFrame(b, f, rawclient.DefaultMask)
	}
	return b
}

// header is a client's frame header that declares length.
func header(f rawclient.Frame, length uint64) []byte {
	f.Masked = true
	return rawclient.AppendHeader(nil, f, length, rawclient.DefaultMask)
}

func text(s string) rawclient.Frame { return rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte(s)} }

// How the bytes come makes no difference.
func TestServer_readsHoweverBytesCome(t *testing.T) {
	big := strings.Repeat("0123456789", 100_000)
	tests := []struct {
		name   string
		stream []byte
		chop   []int // sizes of the writes, the last one repeated
		gap    time.Duration
		want   []string
	}{
		{"125 byte by byte", masked(text("OK")), []int{1}, 0, []string{"OK"}},
		{"128 byte by byte with gaps", masked(text("Hello")), []int{1}, 100 * time.Millisecond, []string{"Hello"}},
		{"126 one and a half", masked(text("one"), text("two")), []int{14, 100}, time.Second, []string{"one", "two"}},
		{"127 two frames at once", masked(text("one"), text("two")), []int{100}, 0, []string{"one", "two"}},
		{"129 small", masked(text("hello")), []int{100}, 0, []string{"hello"}},
		{"130 16 bit length", masked(text(big[:10_000])), []int{1 << 20}, 0, []string{big[:10_000]}},
		{"131 64 bit length", masked(text(big)), []int{2 << 20}, 0, []string{big}},
		{"131 in pieces", masked(text(big)), []int{1, 2, 3, 5000}, 0, []string{big}},
		{"64 bit length byte by byte, then a small frame", masked(text(big[:70_000]), text("x")), []int{1}, 0, []string{big[:70_000], "x"}},
		{"hundreds at once", masked(slices.Repeat([]rawclient.Frame{text("m")}, 500)...), []int{1 << 20}, 0, slices.Repeat([]string{"m"}, 500)},
		{"hundreds in threes", masked(slices.Repeat([]rawclient.Frame{text("m")}, 500)...), []int{3}, 0, slices.Repeat([]string{"m"}, 500)},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
			c := h.connect(rawclient.HandshakeOptions{})
			background(t, func() {
				chop := test.chop
				for p := test.stream; len(p) > 0; {
					n := min(chop[0], len(p))
					c.WriteBytes(p[:n])
					if p = p[n:]; len(chop) > 1 {
						chop = chop[1:]
					}
					if test.gap > 0 {
						time.Sleep(test.gap)
					}
				}
			})
			for _, want := range test.want {
				wantMessage(t, c, rawclient.OpText, want)
			}
			goodbye(t, c)
		})
	}
}

// One limit, for the payload of a message, in one frame or several.
func TestServer_holdsToMaxMessageSize(t *testing.T) {
	frame := func(opcode byte, fin bool, n int) rawclient.Frame {
		return rawclient.Frame{Fin: fin, Opcode: opcode, Payload: bytes.Repeat([]byte("x"), n)}
	}
	tests := []struct {
		name   string
		limit  int64
		frames []rawclient.Frame
		ok     bool
	}{
		{"72 exactly, 7 bit", 124, []rawclient.Frame{frame(1, true, 124)}, true},
		{"69 one more", 124, []rawclient.Frame{frame(1, true, 125)}, false},
		{"exactly, 16 bit", 16_000, []rawclient.Frame{frame(2, true, 16_000)}, true},
		{"70 one more", 15_999, []rawclient.Frame{frame(2, true, 16_000)}, false},
		{"exactly, 64 bit", 1_000_000, []rawclient.Frame{frame(2, true, 1_000_000)}, true},
		{"71 one more", 999_999, []rawclient.Frame{frame(2, true, 1_000_000)}, false},
		{"132 ten more", 2_000_000, []rawclient.Frame{frame(1, true, 2_000_010)}, false},
		{"148", 8, []rawclient.Frame{frame(1, true, 10)}, false},
		{"149 final fragment", 8, []rawclient.Frame{frame(1, false, 5), frame(0, true, 5)}, false},
		{"150 intermediate fragment", 8, []rawclient.Frame{frame(1, false, 5), frame(0, false, 5)}, false},
		{"fragments, exactly", 8, []rawclient.Frame{frame(1, false, 5), frame(0, true, 3)}, true},
		{"fragments, exactly, then an empty one", 8, []rawclient.Frame{frame(1, false, 5), frame(0, false, 3), frame(0, true, 0)}, true},
		{"138 third, not final", 2_000_000, []rawclient.Frame{frame(1, false, 999_990), frame(0, false, 999_990), frame(0, false, 999_990)}, false},
		{"139 third, final", 2_000_000, []rawclient.Frame{frame(1, false, 999_990), frame(0, false, 999_990), frame(0, true, 21)}, false},
		{"140 139 at the limit", 2_000_000, []rawclient.Frame{frame(1, false, 999_990), frame(0, false, 999_990), frame(0, true, 20)}, true},
		{"no limit", -1, []rawclient.Frame{frame(2, true, 11_000_000)}, true},
		{"the default, 10 MB", 0, []rawclient.Frame{frame(2, true, 10_000_000)}, true},
		{"the default, one more", 0, []rawclient.Frame{frame(2, true, 10_000_001)}, false},
		{"control frames do not count", 2, []rawclient.Frame{frame(9, true, 125), frame(1, false, 1), frame(10, true, 125), frame(0, true, 1)}, true},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			hd := echo()
			h := memorySite(t, socket.Config{MaxMessageSize: test.limit}, func() websock.Handler { return hd })
			c := h.connect(rawclient.HandshakeOptions{})
			size := 0
			for _, f := range test.frames {
				if f.Opcode < 8 {
					size += len(f.Payload)
				}
			}
			background(t, func() { c.Write(test.frames...) })
			if test.ok {
				op, p, err := c.ReadMessage()
				if op == rawclient.OpPong {
					op, p, err = c.ReadMessage()
				}
				if err != nil || len(p) != size {
					t.Fatalf("limit %d: got opcode %d, %d bytes, error %v; want %d bytes back", test.limit, op, len(p), err, size)
				}
				goodbye(t, c)
				return
			}
			wantClosed(t, c, 1009)
			h.wantEnds(1)
			var broken *websock.ProtocolError
			if got := hd.terminated(); len(got) != 1 || !errors.As(got[0], &broken) || broken.Code != 1009 ||
				!strings.Contains(broken.Rule, "Config.MaxMessageSize") {
				t.Errorf("Terminate: got %v, want one *ProtocolError with 1009 that names Config.MaxMessageSize", got)
			}
			if lines := h.logs.all(slog.LevelWarn); len(lines) != 0 {
				t.Errorf("log: got %+v, want no alarm", lines)
			}
		})
	}
}

// Too big is refused from the header: nothing is allocated for it, and no payload is waited for. What is within the
// limit, but declared only, costs a few KB.
func TestServer_allocatesNothingForWhatIsDeclared(t *testing.T) {
	const limit = 8 << 20
	tests := []struct {
		name   string
		stream []byte
		code   uint16 // 0: the server waits for more
	}{
		{"one more than the limit", header(text(""), limit+1), 1009},
		{"1 GB", header(text(""), 1<<30), 1009},
		{"the largest length", header(text(""), 1<<63-1), 1009},
		{"110 highest bit set", header(text(""), 1<<63), 1002},
		{"110 all bits set", header(text(""), 1<<64-1), 1002},
		{"a first fragment", header(rawclient.Frame{Opcode: 2}, limit+1), 1009},
		{"a continuation", slices.Concat(masked(rawclient.Frame{Opcode: 2, Payload: []byte("x")}), header(rawclient.Frame{}, limit)), 1009},
		{"a continuation that overflows the sum", slices.Concat(masked(rawclient.Frame{Opcode: 2, Payload: []byte("x")}), header(rawclient.Frame{}, 1<<63-1)), 1009},
		{"compressed", header(rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: 2}, 2*limit), 1009},
		{"a ping with a long length", header(rawclient.Frame{Fin: true, Opcode: 9}, 1<<40), 1002},
		{"7 bit would do", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4}, 1002},
		{"exactly the limit", header(text(""), limit), 0},
		{"exactly the limit, and a byte", append(header(text(""), limit), 'x'^rawclient.DefaultMask[0]), 0},
		{"exactly the limit, compressed", header(rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: 2}, limit), 0},
		{"a first fragment at the limit", append(header(rawclient.Frame{Opcode: 2}, limit), 'x'), 0},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := memorySite(t, socket.Config{MaxMessageSize: limit, PingInterval: -1, Compression: socket.Compression{On: true}},
				func() websock.Handler { return echo() })
			c := h.connect(rawclient.HandshakeOptions{Deflate: true})
			wantEcho(t, c, "warm")
			allocated := totalAlloc(func() {
				c.WriteBytes(test.stream)
				if test.code != 0 {
					wantClosed(t, c, test.code)
				} else {
					time.Sleep(time.Second)
				}
			})
			if allocated > 256<<10 { // pooled buffers and deflate state, and what the test itself takes
				t.Errorf("header % x: %d bytes allocated", test.stream[:min(len(test.stream), 16)], allocated)
			}
			if test.code == 0 { // and it still works
				if n := h.srv.Count(); n != 1 {
					t.Errorf("Count: got %d, want the socket to wait for more", n)
				}
			}
		})
	}
}

// Section 8.1, 73 to 76: no mask is seen at the second byte, and wins over the size.
func TestServer_refusesUnmaskedAtTheSecondByte(t *testing.T) {
	tests := [][]byte{{0x81, 0x05}, {0x81, 0x7e}, {0x81, 0x7f}, {0x82, 0x00}, {0x89, 0x00}, {0x88, 0x02}, {0x01, 0x01}, {0x80, 0x01}, {0xff, 0x00}}
	for _, head := range tests {
		bubble(t, fmt.Sprintf("%x", head), func(t *testing.T) {
			hd := echo()
			h := memorySite(t, socket.Config{MaxMessageSize: 100}, func() websock.Handler { return hd })
			c := h.connect(rawclient.HandshakeOptions{})
			c.WriteBytes(head)
			wantClosed(t, c, 1002)
			synctest.Wait()
			var broken *websock.ProtocolError
			if got := hd.terminated(); len(got) != 1 || !errors.As(got[0], &broken) || !strings.Contains(broken.Rule, "without mask") {
				t.Errorf("Terminate: got %v, want a *ProtocolError that names the mask", got)
			}
		})
	}
}

// The Close frame reaches a client that is still writing, and is not eaten by a reset.
func TestServer_closeReachesAWritingClient(t *testing.T) {
	// Each is broken by its first bytes; rest is what the client goes on writing.
	tests := []struct {
		name string
		head []byte
		rest int
		code uint16
	}{
		{"132 133 too big", header(text(""), 20<<20), 20 << 20, 1009},
		{"too big, and more after it", header(text(""), 2<<20), 20 << 20, 1009},
		{"unknown opcode", []byte{0x83, 0x80}, 20 << 20, 1002},
		{"unmasked", []byte{0x81, 0x7f}, 20 << 20, 1002},
		{"not UTF-8", append(header(text(""), 1<<20), 0xff^0x37), 20 << 20, 1007},
		{"a Close, and more that comes with it", append(masked(rawclient.Frame{Fin: true, Opcode: 8, Payload: []byte{0x03, 0xe8}}), 0), 20 << 20, 1000},
	}
	run := func(t *testing.T, c *rawclient.Client, head []byte, rest int, code uint16) {
		wrote := make(chan error, 1)
		background(t, func() {
			err := c.WriteBytes(head)
			for n := 0; err == nil && n < rest; n += 64 << 10 {
				err = c.WriteBytes(make([]byte, 64<<10))
			}
			wrote <- err
		})
		if err := <-wrote; err != nil { // all of it is taken in before anything is read
			t.Errorf("the client cannot finish writing: %v", err)
		}
		wantClosed(t, c, code)
		c.Conn().Close()
	}
	for _, test := range tests {
		cfg := socket.Config{MaxMessageSize: 1 << 20}
		bubble(t, "memory/"+test.name, func(t *testing.T) {
			h := memorySite(t, cfg, func() websock.Handler { return echo() })
			run(t, h.connect(rawclient.HandshakeOptions{}), test.head, test.rest, test.code)
			h.wantEnds(1)
		})
		// A real network, because it is the kernel that sends the reset which would take the Close frame away.
		t.Run("tcp/"+test.name, func(t *testing.T) {
			h := tcpSite(t, cfg, func() websock.Handler { return echo() })
			run(t, h.connect(rawclient.HandshakeOptions{}), test.head, test.rest, test.code)
			h.wantEnds(1)
			if n := h.srv.Count(); n != 0 {
				t.Errorf("Count: got %d, want 0", n)
			}
		})
	}
	t.Run("tcp/a client that never stops", func(t *testing.T) {
		h := tcpSite(t, socket.Config{MaxMessageSize: 1 << 10, CloseTimeout: 50 * time.Millisecond}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		background(t, func() {
			for err := c.WriteBytes(header(text(""), 1<<40)); err == nil; {
				err = c.WriteBytes(make([]byte, 64<<10))
			}
		})
		h.wantEnds(1) // though there is always more to read
		if end := h.ends()[0]; end.Sent == nil || end.Sent.Code != 1009 {
			t.Errorf("Close frame: got %v, want 1009", end.Sent)
		}
	})
	bubble(t, "memory/a client that never stops", func(t *testing.T) {
		h := memorySite(t, socket.Config{MaxMessageSize: 1 << 10}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		start := time.Now()
		wrote := make(chan error, 1)
		background(t, func() {
			err := c.WriteBytes(header(text(""), 1<<40))
			for err == nil {
				time.Sleep(time.Millisecond)
				err = c.WriteBytes(make([]byte, 4<<10))
			}
			wrote <- err
		})
		wantClosed(t, c, 1009)
		<-wrote
		h.wantEnds(1)
		if d := time.Since(start); d < 5*time.Second || d > 5*time.Second+10*time.Millisecond {
			t.Errorf("TCP was open for %v, want CloseTimeout, 5s", d)
		}
	})
}

// A real network, because only a kernel's socket shows whether the Close frame passes when the peer resets, half closes, or
// has gone at the wrong moment.
func TestServer_closeOverTCP(t *testing.T) {
	h := tcpSite(t, socket.Config{MaxMessageSize: 1 << 10}, func() websock.Handler { return echo() })
	tests := []struct {
		name string
		do   func(t *testing.T, c *rawclient.Client)
	}{
		{"half closed after a frame", func(t *testing.T, c *rawclient.Client) {
			c.Text("last")
			c.Conn().(*net.TCPConn).CloseWrite()
			wantMessage(t, c, rawclient.OpText, "last")
			if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, %v, want io.EOF: there is nobody to close to", f, err)
			}
		}},
		{"half closed after a Close", func(t *testing.T, c *rawclient.Client) {
			c.Text("last")
			c.Close(4000, "bye")
			c.Conn().(*net.TCPConn).CloseWrite()
			wantMessage(t, c, rawclient.OpText, "last")
			wantClosed(t, c, 4000)
		}},
		{"half closed after a breach", func(t *testing.T, c *rawclient.Client) {
			c.WriteBytes(header(text(""), 1<<20))
			c.Conn().(*net.TCPConn).CloseWrite()
			wantClosed(t, c, 1009)
		}},
		{"half closed inside a frame", func(t *testing.T, c *rawclient.Client) {
			c.WriteBytes(masked(text("hello"))[:8])
			c.Conn().(*net.TCPConn).CloseWrite()
			if f, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
				t.Errorf("got %v, %v, want io.EOF", f, err)
			}
		}},
		{"reset", func(t *testing.T, c *rawclient.Client) {
			c.Text("hello")
			c.Conn().(*net.TCPConn).SetLinger(0)
		}},
		{"gone", func(t *testing.T, c *rawclient.Client) { c.Text("hello") }},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := h.connect(rawclient.HandshakeOptions{})
			test.do(t, c)
			c.Conn().Close()
			h.wantEnds(i + 1)
		})
	}
}
