package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// What a client may offer, and what it is answered: always no_context_takeover for both sides, which Bandit says only when
// asked, and never client_max_window_bits.
func TestServer_negotiatesDeflate(t *testing.T) {
	const (
		answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
		bits15 = answer + "; server_max_window_bits=15"
	)
	tests := []struct {
		name  string
		offer string
		want  string
	}{
		{"43", "permessage-deflate", answer},
		{"44", "permessage-deflate; client_max_window_bits", answer},
		{"45", "permessage-deflate; client_max_window_bits=12", answer},
		{"smallest", "permessage-deflate; client_max_window_bits=8", answer},
		{"cannot be made smaller", "permessage-deflate; server_max_window_bits=12", ""},
		{"largest", "permessage-deflate; server_max_window_bits=15", bits15},
		{"47", "permessage-deflate; server_no_context_takeover", answer},
		{"48", "permessage-deflate; client_no_context_takeover", answer},
		{"all parameters", "permessage-deflate; client_max_window_bits=15; server_max_window_bits=15; client_no_context_takeover; server_no_context_takeover", bits15},
		{"the second offer", "permessage-deflate; server_max_window_bits=99, permessage-deflate; client_max_window_bits", answer},
		{"fallback of a small window", "permessage-deflate; server_max_window_bits=10, permessage-deflate", answer},
		{"after another extension", "x-webkit-deflate-frame, permessage-deflate", answer},
		{"51", "not-a-real-extension", ""},
		{"52", "permessage-deflate; this_is_not_an_option", ""},
		{"53", "permessage-deflate; client_max_window_bits; client_max_window_bits", ""},
		{"54", "permessage-deflate; server_max_window_bits", ""},
		{"57", "permessage-deflate; max_inflate_ratio=5", ""},
		{"58 12abc", "permessage-deflate; server_max_window_bits=12abc", ""},
		{"a=b=c", "permessage-deflate; a=b=c", ""},
		{"x=", "permessage-deflate; x=", ""},
		{"takeover with a value", "permessage-deflate; server_no_context_takeover=1", ""},
		{"too small", "permessage-deflate; client_max_window_bits=7", ""},
		{"too large", "permessage-deflate; client_max_window_bits=16", ""},
		{"leading zero", "permessage-deflate; client_max_window_bits=08", ""},
		{"quoted", `permessage-deflate; client_max_window_bits="10"`, answer},
		{"quote never closed", `permessage-deflate; client_max_window_bits="10`, ""},
		{"empty list", ", ,", ""},
		{"Cowboy's old one", "x-webkit-deflate-frame", ""},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			h := memorySite(t, socket.Config{Compression: socket.Compression{On: true, Threshold: -1}}, func() websock.Handler { return echo() })
			c, resp, err := h.shake(rawclient.HandshakeOptions{Offer: test.offer})
			if c == nil {
				t.Fatalf("offer %q: response %+v, error %v, want 101", test.offer, resp, err)
			}
			defer c.Conn().Close()
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != test.want {
				t.Errorf("offer %q: got %q, want %q", test.offer, got, test.want)
			}
			for _, info := range h.srv.Sockets() {
				if info.Compressed != (test.want != "") {
					t.Errorf("offer %q: ConnInfo.Compressed is %v", test.offer, info.Compressed)
				}
			}
			c.Text(strings.Repeat("hello ", 100))
			f, err := c.ReadFrame()
			if err != nil || (f.RSV == rawclient.RSV1) != (test.want != "") {
				t.Errorf("offer %q: got %v, error %v; want it compressed: %v", test.offer, f, err, test.want != "")
			}
		})
	}
	bubble(t, "not enabled", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		c, resp, _ := h.shake(rawclient.HandshakeOptions{Deflate: true})
		defer c.Conn().Close()
		if got := resp.Header.Values("Sec-WebSocket-Extensions"); len(got) != 0 {
			t.Errorf("Sec-WebSocket-Extensions: got %q, want none", got)
		}
		wantEcho(t, c, strings.Repeat("a", 1000))
		goodbye(t, c)
	})
	bubble(t, "not asked for", func(t *testing.T) {
		h := memorySite(t, socket.Config{Compression: socket.Compression{On: true}}, func() websock.Handler { return echo() })
		c, resp, _ := h.shake(rawclient.HandshakeOptions{})
		defer c.Conn().Close()
		if got := resp.Header.Values("Sec-WebSocket-Extensions"); len(got) != 0 {
			t.Errorf("Sec-WebSocket-Extensions: got %q, want none", got)
		}
		wantEcho(t, c, strings.Repeat("a", 1000))
		goodbye(t, c)
	})
}

// thousandA inflates to 1000 times "a".
var thousandA = []byte{0x4A, 0x4C, 0x1C, 0x05, 0xA3, 0x60, 0x14, 0x0C, 0x77, 0x00, 0x00}

func compressed(opcode byte, p []byte) rawclient.Frame {
	return rawclient.Frame{Fin: true, RSV: rawclient.RSV1, Opcode: opcode, Payload: p}
}

// deflating starts a site whose sockets compress.
func deflating(t *testing.T, cfg socket.Config, newHandler func() websock.Handler) *rawclient.Client {
	t.Helper()
	cfg.Compression.On = true
	h := memorySite(t, cfg, newHandler)
	return h.connect(rawclient.HandshakeOptions{Deflate: true})
}

// What is compressed, and what is not, in both directions.
func TestServer_deflatesAndInflates(t *testing.T) {
	a1000 := strings.Repeat("a", 1000)
	newEcho := func() websock.Handler { return echo() }
	// wantFrame reads one frame, which must be compressed or not, and checks what is in it.
	wantFrame := func(t *testing.T, c *rawclient.Client, opcode byte, want string, isCompressed bool) rawclient.Frame {
		t.Helper()
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("got error %v, want %d bytes", err, len(want))
		}
		p := f.Payload
		if f.RSV&rawclient.RSV1 != 0 {
			if p, err = rawclient.Inflate(p); err != nil {
				t.Fatalf("frame %v does not inflate: %v", f, err)
			}
		}
		if !f.Fin || f.Opcode != opcode || (f.RSV == rawclient.RSV1) != isCompressed || string(p) != want {
			t.Fatalf("got %v with %.40q, want opcode %d with %.40q, compressed: %v", f, p, opcode, want, isCompressed)
		}
		return f
	}
	for _, opcode := range []byte{rawclient.OpText, rawclient.OpBinary} {
		bubble(t, fmt.Sprintf("160 161 opcode %d", opcode), func(t *testing.T) {
			c := deflating(t, socket.Config{}, newEcho)
			c.Write(compressed(opcode, thousandA))
			if f := wantFrame(t, c, opcode, a1000, true); len(f.Payload) > 30 {
				t.Errorf("1000 times a: got %d bytes, want it small", len(f.Payload))
			}
			goodbye(t, c)
		})
		bubble(t, fmt.Sprintf("162 163 fragments, opcode %d", opcode), func(t *testing.T) {
			c := deflating(t, socket.Config{}, newEcho)
			c.Write(rawclient.Frame{RSV: rawclient.RSV1, Opcode: opcode, Payload: thousandA[:4]})
			c.Write(rawclient.Frame{Payload: thousandA[4:8]}, rawclient.Frame{Opcode: rawclient.OpPing, Fin: true, Payload: []byte("between")})
			wantFrame(t, c, rawclient.OpPong, "between", false)
			c.Write(rawclient.Frame{Fin: true, Payload: thousandA[8:]})
			wantFrame(t, c, opcode, a1000, true)
			goodbye(t, c)
		})
	}
	bubble(t, "control frames are never compressed", func(t *testing.T) {
		c := deflating(t, socket.Config{Compression: socket.Compression{Threshold: -1}}, func() websock.Handler {
			return &controlHandler{control: func(_ context.Context, m websock.Message) websock.Result {
				return websock.Push(websock.Ping(m.Data), websock.Pong(m.Data), websock.Text(a1000), websock.Ping(nil))
			}}
		})
		p := strings.Repeat("p", 125)
		c.Ping([]byte(p))
		wantFrame(t, c, rawclient.OpPong, p, false)
		wantFrame(t, c, rawclient.OpPing, p, false)
		wantFrame(t, c, rawclient.OpPong, p, false)
		wantFrame(t, c, rawclient.OpText, a1000, true)
		wantFrame(t, c, rawclient.OpPing, "", false)
		goodbye(t, c)
	})
	bubble(t, "mixed", func(t *testing.T) {
		c := deflating(t, socket.Config{}, newEcho)
		for range 3 {
			c.Text(a1000)
			wantFrame(t, c, rawclient.OpText, a1000, true)
			c.Write(compressed(rawclient.OpText, thousandA))
			wantFrame(t, c, rawclient.OpText, a1000, true)
			c.Text("small")
			wantFrame(t, c, rawclient.OpText, "small", false)
			c.Write(compressed(rawclient.OpText, rawclient.Deflate([]byte("small"))))
			wantFrame(t, c, rawclient.OpText, "small", false)
		}
		goodbye(t, c)
	})
	thresholds := []struct {
		threshold, size int
		compressed      bool
	}{
		{0, 511, false}, {0, 512, true}, {100, 99, false}, {100, 100, true}, {-1, 200, true},
		{1 << 20, 100_000, false},
		{-1, 0, false}, // 174: what does not become shorter goes as it is
		{-1, 1, false},
	}
	for _, test := range thresholds {
		bubble(t, fmt.Sprintf("threshold %d, %d bytes", test.threshold, test.size), func(t *testing.T) {
			c := deflating(t, socket.Config{Compression: socket.Compression{Threshold: test.threshold}}, newEcho)
			p := strings.Repeat("a", test.size)
			c.Text(p)
			wantFrame(t, c, rawclient.OpText, p, test.compressed)
			goodbye(t, c)
		})
	}
	for level := 1; level <= 9; level++ { // 166; there is no level 0
		bubble(t, fmt.Sprintf("level %d", level), func(t *testing.T) {
			c := deflating(t, socket.Config{Compression: socket.Compression{Level: level}}, newEcho)
			p := strings.Repeat("the quick brown fox ", 5000)
			c.Write(compressed(rawclient.OpText, rawclient.Deflate([]byte(p))))
			wantFrame(t, c, rawclient.OpText, p, true)
			goodbye(t, c)
		})
	}
	bubble(t, "what cannot be compressed is sent as it is", func(t *testing.T) {
		c := deflating(t, socket.Config{}, newEcho)
		p := make([]byte, 100_000)
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		c.Write(compressed(rawclient.OpBinary, rawclient.Deflate(p)))
		wantFrame(t, c, rawclient.OpBinary, string(p), false)
		goodbye(t, c)
	})
	bubble(t, "no context is taken over", func(t *testing.T) {
		c := deflating(t, socket.Config{}, newEcho)
		p := strings.Repeat("some words that repeat, ", 50)
		var sizes []int
		for range 3 {
			c.Write(compressed(rawclient.OpText, rawclient.Deflate([]byte(p))))
			sizes = append(sizes, len(wantFrame(t, c, rawclient.OpText, p, true).Payload))
		}
		if sizes[0] != sizes[1] || sizes[1] != sizes[2] {
			t.Errorf("three equal messages: got %v bytes, want equal sizes", sizes)
		}
		goodbye(t, c)
	})
	empties := []struct {
		name string
		p    []byte
	}{
		{"00, RFC 7692 section 7.2.3.6", []byte{0}},
		{"no payload", nil},
		{"a final block and its end", []byte{0x01, 0x00, 0x00, 0xff, 0xff, 0x00}},
	}
	for _, test := range empties {
		bubble(t, "empty message as "+test.name, func(t *testing.T) {
			c := deflating(t, socket.Config{}, newEcho)
			c.Write(compressed(rawclient.OpText, test.p))
			wantFrame(t, c, rawclient.OpText, "", false)
			c.Write(rawclient.Frame{RSV: rawclient.RSV1, Opcode: rawclient.OpText}, rawclient.Frame{}, rawclient.Frame{Fin: true, Payload: test.p})
			wantFrame(t, c, rawclient.OpText, "", false)
			goodbye(t, c)
		})
	}
	bubble(t, "two blocks, the first final", func(t *testing.T) {
		// RFC 7692 section 7.2.3.4: DEFLATE blocks with BFINAL are legal; what follows the final one is not read.
		c := deflating(t, socket.Config{}, newEcho)
		c.Write(compressed(rawclient.OpText, []byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}))
		wantFrame(t, c, rawclient.OpText, "Hello", false)
		goodbye(t, c)
	})
	bubble(t, "section 7.2.3.3: a stored block", func(t *testing.T) {
		c := deflating(t, socket.Config{}, newEcho)
		c.Write(compressed(rawclient.OpText, []byte{0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00}))
		wantFrame(t, c, rawclient.OpText, "Hello", false)
		goodbye(t, c)
	})
	bubble(t, "every end with compression on", func(t *testing.T) {
		c := deflating(t, socket.Config{}, func() websock.Handler {
			return &handler{in: func(context.Context, websock.Message) websock.Result {
				return websock.StopWith(errors.New("boom"), websock.CloseDetail{Code: 4001}, websock.Text(a1000))
			}}
		})
		c.Text("go")
		wantFrame(t, c, rawclient.OpText, a1000, true)
		wantClosed(t, c, 4001)
	})
}

// What does not inflate, or inflates to too much, ends with its code.
func TestServer_refusesBadDeflate(t *testing.T) {
	const limit = 1000
	over := rawclient.Deflate(bytes.Repeat([]byte("a"), limit+1))
	endless := rawclient.Deflate(bytes.Repeat([]byte("ab"), 1<<20))
	endless = endless[:len(endless)-100]
	exact := rawclient.Deflate(bytes.Repeat([]byte("a"), limit))
	random := make([]byte, limit)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	fragmented := func(p []byte, n int, final bool) (frames []rawclient.Frame) {
		for i := 0; i < len(p); i += n {
			f := rawclient.Frame{Payload: p[i:min(i+n, len(p))]}
			if i == 0 {
				f.RSV, f.Opcode = rawclient.RSV1, rawclient.OpBinary
			}
			f.Fin = final && i+n >= len(p)
			frames = append(frames, f)
		}
		return frames
	}
	tests := []struct {
		name   string
		frames []rawclient.Frame
		code   uint16 // 0: it is echoed
	}{
		{"exactly the limit", []rawclient.Frame{compressed(2, exact)}, 0},
		{"exactly the limit, does not compress", []rawclient.Frame{compressed(2, rawclient.Deflate(random))}, 0},
		{"exactly the limit, in fragments", fragmented(exact, 3, true), 0},
		{"one more", []rawclient.Frame{compressed(2, over)}, 1009},
		{"one more, in fragments", fragmented(over, 3, true), 1009},
		{"far more, and never the end", fragmented(endless, 100, false), 1009},
		{"declares more than any of that size", []rawclient.Frame{compressed(2, make([]byte, limit+limit/1000+1024+1))}, 1009},
		{"garbage", []rawclient.Frame{compressed(1, []byte{1, 2, 3})}, 1007},
		{"garbage at the end", []rawclient.Frame{compressed(1, append(bytes.Clone(thousandA[:10]), 0xff))}, 1007},
		{"truncated", []rawclient.Frame{compressed(1, thousandA[:5])}, 1007},
		{"a block type that is none", []rawclient.Frame{compressed(1, []byte{0x07, 0, 0, 0})}, 1007},
		{"a distance before the start", []rawclient.Frame{compressed(1, []byte{0x02, 0x02, 0x00, 0x00})}, 1007},
		{"not UTF-8", []rawclient.Frame{compressed(1, rawclient.Deflate([]byte{0xE2, 0x82, 0x28}))}, 1007},
		{"binary may be anything", []rawclient.Frame{compressed(2, rawclient.Deflate([]byte{0xE2, 0x82, 0x28}))}, 0},
		{"text ends inside a rune", []rawclient.Frame{compressed(1, rawclient.Deflate([]byte{0xE2, 0x82}))}, 1007},
		{"RSV1 on a continuation", []rawclient.Frame{{RSV: rawclient.RSV1, Opcode: 1, Payload: thousandA[:4]}, {Fin: true, RSV: rawclient.RSV1, Payload: thousandA[4:]}}, 1002},
		{"RSV1 on a ping", []rawclient.Frame{compressed(9, thousandA)}, 1002},
		{"RSV1 on a pong", []rawclient.Frame{compressed(10, nil)}, 1002},
		{"RSV1 on a Close", []rawclient.Frame{compressed(8, []byte{3, 0xe8})}, 1002},
		{"RSV2", []rawclient.Frame{{Fin: true, RSV: rawclient.RSV1 | rawclient.RSV2, Opcode: 1, Payload: thousandA}}, 1002},
	}
	for _, test := range tests {
		bubble(t, test.name, func(t *testing.T) {
			hd := echo()
			c := deflating(t, socket.Config{MaxMessageSize: limit}, func() websock.Handler { return hd })
			c.Write(test.frames...)
			if test.code == 0 {
				if _, _, err := c.ReadMessage(); err != nil {
					t.Fatalf("got %v, want the echo", err)
				}
				goodbye(t, c)
				return
			}
			wantClosed(t, c, test.code)
			synctest.Wait()
			var broken *websock.ProtocolError
			if got := hd.terminated(); len(got) != 1 || !errors.As(got[0], &broken) || broken.Code != websock.CloseCode(test.code) {
				t.Errorf("Terminate: got %v, want one *ProtocolError with %d", got, test.code)
			}
		})
	}
	bubble(t, "not negotiated", func(t *testing.T) {
		h := memorySite(t, socket.Config{}, func() websock.Handler { return echo() })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Write(compressed(1, thousandA))
		wantClosed(t, c, 1002)
	})
}

// A bomb costs no more than the limit allows, whatever it would inflate to.
func TestServer_boundsBombs(t *testing.T) {
	const limit = 256 << 10
	bomb := rawclient.Deflate(make([]byte, 64<<20)) // some 64 KB
	if len(bomb) > limit {
		t.Fatalf("the bomb has %d bytes, more than the limit: it proves nothing", len(bomb))
	}
	run := func(t *testing.T, frames ...rawclient.Frame) {
		c := deflating(t, socket.Config{MaxMessageSize: limit}, func() websock.Handler { return echo() })
		allocated := totalAlloc(func() {
			c.Write(frames...)
			wantClosed(t, c, 1009)
		})
		// Twice the limit for the doubling, and what client, pipe and pools take.
		if allocated > 8*limit {
			t.Errorf("a bomb of %d bytes that inflates to 64 MB: %d bytes allocated, limit %d", len(bomb), allocated, limit)
		}
	}
	bubble(t, "one frame", func(t *testing.T) { run(t, compressed(2, bomb)) })
	bubble(t, "one frame of text", func(t *testing.T) { run(t, compressed(1, bomb)) })
	bubble(t, "fragments", func(t *testing.T) {
		frames := []rawclient.Frame{{RSV: rawclient.RSV1, Opcode: 2, Payload: bomb[:1000]}}
		for p := bomb[1000:]; len(p) > 0; p = p[min(1000, len(p)):] {
			frames = append(frames, rawclient.Frame{Payload: p[:min(1000, len(p))]})
		}
		frames[len(frames)-1].Fin = true
		run(t, frames...)
	})
	bubble(t, "many small ones", func(t *testing.T) {
		// 100 messages of 100 KB each are within the limit and cost what they are.
		c := deflating(t, socket.Config{MaxMessageSize: limit}, func() websock.Handler { return plain{&handler{}} })
		p := rawclient.Deflate(make([]byte, 100<<10))
		allocated := totalAlloc(func() {
			for range 100 {
				c.Write(compressed(2, p))
			}
			goodbye(t, c)
		})
		if allocated > 100*400<<10 {
			t.Errorf("100 messages that inflate to 100 KB each: %d bytes allocated", allocated)
		}
	})
}

// totalAlloc is how many bytes the program allocates while f runs.
func totalAlloc(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A message compressed in many tiny fragments with silence between them is one message, until MessageTimeout.
func TestServer_inflatesWhatTrickles(t *testing.T) {
	bubble(t, "byte by byte", func(t *testing.T) {
		c := deflating(t, socket.Config{}, func() websock.Handler { return echo() })
		p := rawclient.AppendFrame(nil, func() rawclient.Frame { f := compressed(1, thousandA); f.Masked = true; return f }(), c.Mask)
		for i := range p {
			c.WriteBytes(p[i : i+1])
			time.Sleep(100 * time.Millisecond)
		}
		wantMessage(t, c, rawclient.OpText, strings.Repeat("a", 1000))
		goodbye(t, c)
	})
}
