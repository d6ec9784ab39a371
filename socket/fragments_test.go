package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// Fragments are joined, with control frames between them handled first.
func TestServer_joinsFragments(t *testing.T) {
	ten := strings.Repeat("0123456789", 1000)
	f := func(opcode byte, fin bool, p string) rawclient.Frame {
		return rawclient.Frame{Fin: fin, Opcode: opcode, Payload: []byte(p)}
	}
	tests := []struct {
		name   string
		frames []rawclient.Frame
		want   []string // calls
		code   uint16   // 0: the client closes
	}{
		{"134 text", []rawclient.Frame{f(1, false, ten), f(0, false, ten), f(0, true, ten)}, []string{text3(1, ten+ten+ten)}, 0},
		{"135 binary", []rawclient.Frame{f(2, false, ten), f(0, false, ten), f(0, true, ten)}, []string{text3(2, ten+ten+ten)}, 0},
		{"136 last empty", []rawclient.Frame{f(1, false, ten), f(0, false, ten), f(0, true, "")}, []string{text3(1, ten+ten)}, 0},
		{"137 empty in between", []rawclient.Frame{f(1, false, "a"), f(0, false, ""), f(0, false, ""), f(0, true, "b")}, []string{text3(1, "ab")}, 0},
		{"all empty", []rawclient.Frame{f(1, false, ""), f(0, false, ""), f(0, true, "")}, []string{text3(1, "")}, 0},
		{"141 ping between", []rawclient.Frame{f(1, false, "AB"), f(9, true, "OK"), f(0, true, "CD")}, []string{"control " + websock.Ping([]byte("OK")).String(), text3(1, "ABCD")}, 0},
		{"142 pong between", []rawclient.Frame{f(1, false, "AB"), f(10, true, "OK"), f(0, true, "CD")}, []string{"control " + websock.Pong([]byte("OK")).String(), text3(1, "ABCD")}, 0},
		{"143 Close between", []rawclient.Frame{f(1, false, "AB"), f(8, true, "\x03\xe8")}, nil, 1000},
		{"144 continuation of nothing", []rawclient.Frame{f(0, true, "x")}, nil, 1002},
		{"144 continuation of nothing, not final", []rawclient.Frame{f(0, false, "x")}, nil, 1002},
		{"144 after a whole message", []rawclient.Frame{f(1, true, "a"), f(0, true, "x")}, []string{text3(1, "a")}, 1002},
		{"145 text inside", []rawclient.Frame{f(1, false, "a"), f(1, true, "x")}, nil, 1002},
		{"146 binary inside", []rawclient.Frame{f(1, false, "a"), f(2, false, "x")}, nil, 1002},
		{"147 two", []rawclient.Frame{f(1, false, "Hello"), f(0, true, "Hello")}, []string{text3(1, "HelloHello")}, 0},
	}
	for _, test := range tests {
		for _, apart := range []bool{false, true} {
			bubble(t, fmt.Sprintf("%s, apart %v", test.name, apart), func(t *testing.T) {
				hd := &controlHandler{}
				h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
				c := h.connect(rawclient.HandshakeOptions{})
				if apart {
					for _, frame := range test.frames {
						c.Write(frame)
						time.Sleep(time.Second)
					}
				} else {
					c.Write(test.frames...)
				}
				code := test.code
				if code == 0 {
					c.Close(1000, "")
					code = 1000
				}
				for {
					op, p, err := c.ReadMessage()
					if err != nil {
						t.Fatalf("got %v, want Close %d", err, code)
					}
					if op == rawclient.OpClose {
						if got := codeOf(p); got != code {
							t.Errorf("got Close %d, want %d", got, code)
						}
						break
					}
				}
				c.Conn().Close()
				h.wantEnds(1)
				want := slices.Concat([]string{"init"}, test.want, []string{"terminate"})
				if got := hd.log(); !slices.Equal(got, want) {
					t.Errorf("callbacks: got %.200q, want %.200q", got, want)
				}
			})
		}
	}
}

// text3 is the record of a HandleIn.
func text3(opcode websock.Opcode, p string) string {
	return "in " + websock.Message{Opcode: opcode, Data: []byte(p)}.String()
}

// Very many tiny fragments cost what their payload does.
func TestServer_boundsFragments(t *testing.T) {
	bubble(t, "151 131,000 of one byte", func(t *testing.T) {
		const n = 131_000
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		stream := masked(rawclient.Frame{Opcode: 1, Payload: []byte("x")})
		one := masked(rawclient.Frame{Payload: []byte("x")})
		for range n - 2 {
			stream = append(stream, one...)
		}
		stream = append(stream, masked(rawclient.Frame{Fin: true, Payload: []byte("x")})...)
		allocated := totalAlloc(func() {
			background(t, func() { c.WriteBytes(stream) })
			op, p, err := c.ReadMessage()
			if err != nil || op != 1 || len(p) != n {
				t.Fatalf("got opcode %d, %d bytes, error %v; want %d bytes", op, len(p), err, n)
			}
		})
		if allocated > 30*n { // the doubling, the echo, and the client's own reading
			t.Errorf("%d fragments of one byte: %d bytes allocated", n, allocated)
		}
		goodbye(t, c)
		h.wantEnds(1)
		if info := h.ends(); info[0].Read.Continuation.Frames != n-1 || info[0].Read.Text.Frames != 1 {
			t.Errorf("counts: got %+v, want 1 text and %d continuations", info[0].Read, n-1)
		}
	})
	bubble(t, "endless, of nothing", func(t *testing.T) {
		// MessageTimeout ends what no size does.
		h := memorySite(t, socket.Config{MessageTimeout: 30 * time.Second}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		start := time.Now()
		background(t, func() {
			err := c.Write(rawclient.Frame{Opcode: 1})
			for err == nil {
				time.Sleep(time.Millisecond)
				err = c.Write(rawclient.Frame{})
			}
		})
		wantClosed(t, c, 1002)
		if d := time.Since(start); d < 30*time.Second || d > 31*time.Second {
			t.Errorf("ended after %v, want MessageTimeout, 30s", d)
		}
		c.Conn().Close()
		h.wantEnds(1)
		if end := h.ends()[0]; !errors.Is(end.Reason, websock.ErrTimeout) {
			t.Errorf("exit reason: got %v, want ErrTimeout", end.Reason)
		}
	})
	t.Run("endless, of nothing, and faster than it is read", func(t *testing.T) {
		// A real network, because only there does the reader find the next bytes without waiting for them.
		h := tcpSite(t, socket.Config{MessageTimeout: 50 * time.Millisecond}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		background(t, func() {
			stream := bytes.Repeat(masked(rawclient.Frame{}), 10_000)
			for err := c.Write(rawclient.Frame{Opcode: 1}); err == nil; {
				err = c.WriteBytes(stream)
			}
		})
		op, p, err := c.ReadMessage()
		if err != nil || op != rawclient.OpClose || codeOf(p) != 1002 {
			t.Errorf("got opcode %d, %q, %v, want Close 1002", op, p, err)
		}
		c.Conn().Close()
		h.wantEnds(1)
		if end := h.ends()[0]; !errors.Is(end.Reason, websock.ErrTimeout) {
			t.Errorf("exit reason: got %v, want ErrTimeout", end.Reason)
		}
	})
	bubble(t, "endless, of something", func(t *testing.T) {
		h := memorySite(t, socket.Config{MaxMessageSize: 64 << 10}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		allocated := totalAlloc(func() {
			background(t, func() {
				err := c.Write(rawclient.Frame{Opcode: 2})
				for err == nil {
					err = c.Write(rawclient.Frame{Payload: make([]byte, 100)})
				}
			})
			wantClosed(t, c, 1009)
		})
		if allocated > 32<<20 { // the client allocates, too, until it hears of the end
			t.Errorf("%d bytes allocated for a limit of 64 KB", allocated)
		}
		c.Conn().Close()
	})
}

// What trickles keeps a connection no longer than MessageTimeout.
func TestServer_boundsTrickles(t *testing.T) {
	tests := []struct {
		name   string
		stream []byte
	}{
		{"inside a header", header(text(""), 1<<16)[:9]},
		{"inside a payload", append(header(rawclient.Frame{Fin: true, Opcode: 2}, 1000), make([]byte, 500)...)},
		{"inside a ping", masked(rawclient.Frame{Fin: true, Opcode: 9, Payload: make([]byte, 125)})[:100]},
		{"inside a Close", masked(rawclient.Frame{Fin: true, Opcode: 8, Payload: make([]byte, 100)})[:50]},
		{"between fragments", masked(rawclient.Frame{Opcode: 2, Payload: []byte("x")})},
		{"between fragments, pinging", masked(slices.Insert(slices.Repeat([]rawclient.Frame{{Fin: true, Opcode: 10}}, 50), 0, rawclient.Frame{Opcode: 2})...)},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := memorySite(t, socket.Config{MessageTimeout: 20 * time.Second, PingInterval: -1}, func() websock.Handler { return echo() })
			c := h.connect(rawclient.HandshakeOptions{})
			start := time.Now()
			background(t, func() {
				for _, b := range test.stream {
					if c.WriteBytes([]byte{b}) != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
			wantClosed(t, c, 1002)
			d := time.Since(start)
			if d < 20*time.Second || d > 20*time.Second+200*time.Millisecond {
				t.Errorf("ended after %v, want MessageTimeout, 20s after the first byte", d)
			}
			c.Conn().Close()
			h.wantEnds(1)
			if end := h.ends()[0]; !errors.Is(end.Reason, websock.ErrTimeout) || !strings.Contains(end.Reason.Error(), "Config.MessageTimeout") {
				t.Errorf("exit reason: got %v, want ErrTimeout that names Config.MessageTimeout", end.Reason)
			}
		})
	}
	bubble(t, "one slow message is no silence", func(t *testing.T) {
		// 59 s for one message, within the 60 s of MessageTimeout, and with an IdleTimeout of 2 s.
		h := memorySite(t, socket.Config{IdleTimeout: 2 * time.Second}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		stream := masked(text(strings.Repeat("x", 53)))
		for i := range stream {
			c.WriteBytes(stream[i : i+1])
			time.Sleep(time.Second)
		}
		wantMessage(t, c, rawclient.OpText, strings.Repeat("x", 53))
	})
	bubble(t, "many slow messages are many", func(t *testing.T) {
		h := memorySite(t, socket.Config{MessageTimeout: 10 * time.Second, PingInterval: -1}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		stream := masked(text("a"), text("b"), text("c"))
		for i := range stream {
			c.WriteBytes(stream[i : i+1])
			time.Sleep(time.Second) // 7 s each
		}
		for _, want := range []string{"a", "b", "c"} {
			wantMessage(t, c, rawclient.OpText, want)
		}
	})
}

// Text is UTF-8, over all its fragments (RFC 6455 section 8.1).
func TestServer_checksUTF8(t *testing.T) {
	f := func(opcode byte, fin bool, p string) rawclient.Frame {
		return rawclient.Frame{Fin: fin, Opcode: opcode, Payload: []byte(p)}
	}
	tests := []struct {
		name   string
		frames []rawclient.Frame
		want   string // echoed; "": 1007
		skip   bool
	}{
		{"152", []rawclient.Frame{f(1, true, "\xE2\x82\x28")}, "", false},
		{"153 invalid across a boundary", []rawclient.Frame{f(1, false, "\xE2"), f(0, true, "\x82\x28")}, "", false},
		{"154 valid across a boundary", []rawclient.Frame{f(1, false, "\xE2\x82"), f(0, true, "\xAC")}, "€", false},
		{"154 across three", []rawclient.Frame{f(1, false, "\xF0"), f(0, false, "\x9F"), f(0, false, ""), f(0, true, "\x98\x80")}, "\U0001F600", false},
		{"155 158 unchecked", []rawclient.Frame{f(1, true, "\xFF\xFF\xFF\xFF")}, "\xFF\xFF\xFF\xFF", true},
		{"156 binary", []rawclient.Frame{f(2, true, "\xE2\x82\x28")}, "\xE2\x82\x28", false},
		{"156 binary in fragments", []rawclient.Frame{f(2, false, "\xE2"), f(0, true, "\x82\x28")}, "\xE2\x82\x28", false},
		{"ends inside a rune", []rawclient.Frame{f(1, true, "ab\xE2\x82")}, "", false},
		{"ends inside a rune, empty last", []rawclient.Frame{f(1, false, "ab\xE2\x82"), f(0, true, "")}, "", false},
	}
	for _, vector := range []string{"\xC2A", "\xE1A", "\xE0A", "\xEDA", "\xF0A", "\xF1A", "\xF4A", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80"} {
		tests = append(tests, struct {
			name   string
			frames []rawclient.Frame
			want   string
			skip   bool
		}{fmt.Sprintf("31 % x", vector), []rawclient.Frame{f(1, true, vector)}, "", false})
		if len(vector) > 1 {
			tests = append(tests, struct {
				name   string
				frames []rawclient.Frame
				want   string
				skip   bool
			}{fmt.Sprintf("31 % x in fragments", vector), []rawclient.Frame{f(1, false, vector[:1]), f(0, true, vector[1:])}, "", false})
		}
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			hd := echo()
			if test.skip { // what a handler pushes is checked all the same: it goes back as binary
				hd = &handler{in: func(_ context.Context, m websock.Message) websock.Result {
					return websock.Push(websock.Binary(m.Data))
				}}
			}
			h := memorySite(t, socket.Config{SkipUTF8Check: test.skip}, func() websock.Handler { return hd })
			c := h.connect(rawclient.HandshakeOptions{})
			c.Write(test.frames...)
			if test.want == "" {
				wantClosed(t, c, 1007)
				return
			}
			if _, p, err := c.ReadMessage(); err != nil || string(p) != test.want {
				t.Fatalf("got %q, %v, want %q", p, err, test.want)
			}
			goodbye(t, c)
		})
	}
	bubble(t, "159 a close reason is checked always", func(t *testing.T) {
		h := memorySite(t, socket.Config{SkipUTF8Check: true}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Write(f(8, true, "\x03\xE8\xC2\x41"))
		wantClosed(t, c, 1007)
	})
}
