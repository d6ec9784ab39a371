package socket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// The cases of Autobahn's fuzzing client and fuzzing server against an echo handler, group by group, by the numbers that
// its report shows. Its own run is against examples/echo; these say the same without it, and stricter: the bytes are
// checked, and where Autobahn takes several endings for good there is one.

// autobahn is one case.
type autobahn struct {
	id     string
	frames []rawclient.Frame
	chop   int // bytes per write; 0: each frame is one write; -1: all in one
	want   []string
	code   int // of the Close that the echo sends; 0: its peer closes with 1000
	empty  bool
}

func msg(opcode byte, p string) rawclient.Frame {
	return rawclient.Frame{Fin: true, Opcode: opcode, Payload: []byte(p)}
}

func part(opcode byte, p string) rawclient.Frame {
	return rawclient.Frame{Opcode: opcode, Payload: []byte(p)}
}

// told is how a frame of the echo is told in want.
func told(opcode byte, p string) string { return fmt.Sprintf("%x:%s", opcode, p) }

// runAutobahn runs each case against an echo in both roles: as a server's socket, and as that of a client, whose peer is a
// server written by hand. They differ in the masks, and in who ends TCP.
func runAutobahn(t *testing.T, tests []autobahn) {
	inBothRoles(t, func(t *testing.T, open opener) {
		for _, test := range tests {
			bubble(t, test.id, func(t *testing.T) {
				test.run(t, open(t, underTest{h: echo(), maxMessageSize: 20_000_000}))
			})
		}
	})
}

func (test autobahn) run(t *testing.T, c *tested) {
	background(t, func() {
		switch {
		case test.chop == 0:
			for _, f := range test.frames {
				if c.Write(f) != nil {
					return
				}
			}
		default:
			stream := c.stream(test.frames...)
			n := test.chop
			if n < 0 {
				n = len(stream)
			}
			for ; len(stream) > 0; stream = stream[min(n, len(stream)):] {
				if c.WriteBytes(stream[:min(n, len(stream))]) != nil {
					return
				}
			}
		}
		if test.code == 0 && !test.empty {
			c.Close(1000, "")
		}
	})
	for i, want := range test.want {
		op, p, err := c.ReadMessage()
		if got := told(op, string(p)); err != nil || got != want {
			t.Fatalf("message %d of %d: got %.100q, error %v; want %.100q", i+1, len(test.want), got, err, want)
		}
	}
	code := test.code
	if code == 0 && !test.empty {
		code = 1000
	}
	c.wantEnd(t, uint16(code))
}

func TestAutobahn_1_framing(t *testing.T) {
	var tests []autobahn
	for _, opcode := range []byte{rawclient.OpText, rawclient.OpBinary} {
		for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			p := strings.Repeat("*", n)
			if opcode == rawclient.OpBinary {
				p = strings.Repeat("\xfe", n)
			}
			chop := 0
			if i == 7 {
				chop = 997
			}
			tests = append(tests, autobahn{id: fmt.Sprintf("1.%d.%d", opcode, i+1), frames: []rawclient.Frame{msg(opcode, p)}, chop: chop, want: []string{told(opcode, p)}})
		}
	}
	runAutobahn(t, tests)
}

func TestAutobahn_2_pings(t *testing.T) {
	p125 := strings.Repeat("\xfe", 125)
	var ten []rawclient.Frame
	var pongs []string
	for i := range 10 {
		p := fmt.Sprintf("payload-%d", i)
		ten = append(ten, msg(9, p))
		pongs = append(pongs, told(10, p))
	}
	runAutobahn(t, []autobahn{
		{id: "2.1", frames: []rawclient.Frame{msg(9, "")}, want: []string{told(10, "")}},
		{id: "2.2", frames: []rawclient.Frame{msg(9, "Hello, world!")}, want: []string{told(10, "Hello, world!")}},
		{id: "2.3", frames: []rawclient.Frame{msg(9, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}, want: []string{told(10, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")}},
		{id: "2.4", frames: []rawclient.Frame{msg(9, p125)}, want: []string{told(10, p125)}},
		{id: "2.5", frames: []rawclient.Frame{msg(9, p125+"\xfe")}, code: 1002},
		{id: "2.6", frames: []rawclient.Frame{msg(9, p125)}, chop: 1, want: []string{told(10, p125)}},
		{id: "2.7", frames: []rawclient.Frame{msg(10, "")}},
		{id: "2.8", frames: []rawclient.Frame{msg(10, "unsolicited pong payload")}},
		{id: "2.9", frames: []rawclient.Frame{msg(10, "unsolicited"), msg(9, "ping")}, want: []string{told(10, "ping")}},
		{id: "2.10", frames: ten, want: pongs},
		{id: "2.11", frames: ten, chop: 1, want: pongs},
	})
}

func TestAutobahn_3_reservedBits(t *testing.T) {
	rsv := func(n uint8, f rawclient.Frame) rawclient.Frame { f.RSV = n; return f }
	hello := msg(1, "Hello, world!")
	echoed := []string{told(1, "Hello, world!")}
	runAutobahn(t, []autobahn{
		{id: "3.1", frames: []rawclient.Frame{rsv(1, hello)}, code: 1002},
		{id: "3.2", frames: []rawclient.Frame{hello, rsv(2, hello), msg(9, "")}, want: echoed, code: 1002},
		{id: "3.3", frames: []rawclient.Frame{hello, rsv(3, hello), msg(9, "")}, chop: -1, want: echoed, code: 1002},
		{id: "3.4", frames: []rawclient.Frame{hello, rsv(4, hello), msg(9, "")}, chop: 1, want: echoed, code: 1002},
		{id: "3.5", frames: []rawclient.Frame{rsv(5, msg(2, "\x00\xff\xfe"))}, code: 1002},
		{id: "3.6", frames: []rawclient.Frame{rsv(6, msg(9, "Hello"))}, code: 1002},
		{id: "3.7", frames: []rawclient.Frame{rsv(7, msg(8, "\x03\xe8"))}, code: 1002},
	})
}

func TestAutobahn_4_opcodes(t *testing.T) {
	var tests []autobahn
	for group, first := range []byte{3, 11} {
		for i := range byte(5) {
			opcode := first + i
			id := fmt.Sprintf("4.%d.%d", group+1, i+1)
			hello := msg(1, "Hello, world!")
			echoed := []string{told(1, "Hello, world!")}
			switch i {
			case 0:
				tests = append(tests, autobahn{id: id, frames: []rawclient.Frame{msg(opcode, "")}, code: 1002})
			case 1:
				tests = append(tests, autobahn{id: id, frames: []rawclient.Frame{msg(opcode, "reserved opcode payload")}, code: 1002})
			case 2:
				tests = append(tests, autobahn{id: id, frames: []rawclient.Frame{hello, msg(opcode, ""), msg(9, "")}, want: echoed, code: 1002})
			case 3:
				tests = append(tests, autobahn{id: id, frames: []rawclient.Frame{hello, msg(opcode, "payload"), msg(9, "")}, chop: -1, want: echoed, code: 1002})
			default:
				tests = append(tests, autobahn{id: id, frames: []rawclient.Frame{hello, msg(opcode, "payload"), msg(9, "")}, chop: 1, want: echoed, code: 1002})
			}
		}
	}
	runAutobahn(t, tests)
}

func TestAutobahn_5_fragmentation(t *testing.T) {
	pong := told(10, "ping")
	joined := told(1, "fragment1fragment2")
	five := []rawclient.Frame{part(1, "fragment1"), part(0, "fragment2"), msg(9, "ping"), part(0, "fragment3"), part(0, "fragment4"), msg(9, "ping"), msg(0, "fragment5")}
	all := told(1, "fragment1fragment2fragment3fragment4fragment5")
	stray := func(first rawclient.Frame) []rawclient.Frame {
		return []rawclient.Frame{first, part(1, "fragment1"), msg(0, "fragment2")}
	}
	runAutobahn(t, []autobahn{
		{id: "5.1", frames: []rawclient.Frame{part(9, "fragment1"), msg(0, "fragment2")}, code: 1002},
		{id: "5.2", frames: []rawclient.Frame{part(10, "fragment1"), msg(0, "fragment2")}, code: 1002},
		{id: "5.3", frames: []rawclient.Frame{part(1, "fragment1"), msg(0, "fragment2")}, want: []string{joined}},
		{id: "5.4", frames: []rawclient.Frame{part(1, "fragment1"), msg(0, "fragment2")}, chop: -1, want: []string{joined}},
		{id: "5.5", frames: []rawclient.Frame{part(1, "fragment1"), msg(0, "fragment2")}, chop: 1, want: []string{joined}},
		{id: "5.6", frames: []rawclient.Frame{part(1, "fragment1"), msg(9, "ping"), msg(0, "fragment2")}, want: []string{pong, joined}},
		{id: "5.7", frames: []rawclient.Frame{part(1, "fragment1"), msg(9, "ping"), msg(0, "fragment2")}, chop: -1, want: []string{pong, joined}},
		{id: "5.8", frames: []rawclient.Frame{part(1, "fragment1"), msg(9, "ping"), msg(0, "fragment2")}, chop: 1, want: []string{pong, joined}},
		{id: "5.9", frames: []rawclient.Frame{msg(0, "non-continuation"), msg(1, "Hello")}, code: 1002},
		{id: "5.10", frames: []rawclient.Frame{msg(0, "non-continuation"), msg(1, "Hello")}, chop: -1, code: 1002},
		{id: "5.11", frames: []rawclient.Frame{msg(0, "non-continuation"), msg(1, "Hello")}, chop: 1, code: 1002},
		{id: "5.12", frames: []rawclient.Frame{part(0, "non-continuation"), msg(1, "Hello")}, code: 1002},
		{id: "5.13", frames: []rawclient.Frame{part(0, "non-continuation"), msg(1, "Hello")}, chop: -1, code: 1002},
		{id: "5.14", frames: []rawclient.Frame{part(0, "non-continuation"), msg(1, "Hello")}, chop: 1, code: 1002},
		{id: "5.15", frames: []rawclient.Frame{part(1, "fragment1"), msg(0, "fragment2"), part(0, "fragment3"), msg(1, "fragment4")}, chop: -1, want: []string{joined}, code: 1002},
		{id: "5.16", frames: stray(part(0, "fragment1")), code: 1002},
		{id: "5.17", frames: stray(msg(0, "fragment1")), code: 1002},
		{id: "5.18", frames: []rawclient.Frame{part(1, "fragment1"), msg(1, "fragment2")}, code: 1002},
		{id: "5.19", frames: five, want: []string{pong, pong, all}},
		{id: "5.20", frames: five, chop: -1, want: []string{pong, pong, all}},
	})
}

// utf8Vectors are those of groups 6.5 to 6.23, after Markus Kuhn's UTF-8 stress test.
var utf8Vectors = []struct {
	id    string
	p     string
	valid bool
}{
	{"6.5.1", "\xce\xba", true},
	{"6.5.2", "\xce\xba\xe1\xbd\xb9", true},
	{"6.5.3", "\xce\xba\xe1\xbd\xb9\xcf\x83", true},
	{"6.5.4", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc", true},
	{"6.5.5", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},
	{"6.6.1", "\xce", false},
	{"6.6.2", "\xce\xba", true},
	{"6.6.3", "\xce\xba\xe1", false},
	{"6.6.4", "\xce\xba\xe1\xbd", false},
	{"6.6.5", "\xce\xba\xe1\xbd\xb9", true},
	{"6.6.6", "\xce\xba\xe1\xbd\xb9\xcf", false},
	{"6.6.11", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true},
	{"6.7.1", "\x00", true},
	{"6.7.2", "\xc2\x80", true},
	{"6.7.3", "\xe0\xa0\x80", true},
	{"6.7.4", "\xf0\x90\x80\x80", true},
	{"6.8.1", "\xf8\x88\x80\x80\x80", false},
	{"6.8.2", "\xfc\x84\x80\x80\x80\x80", false},
	{"6.9.1", "\x7f", true},
	{"6.9.2", "\xdf\xbf", true},
	{"6.9.3", "\xef\xbf\xbf", true},
	{"6.9.4", "\xf4\x8f\xbf\xbf", true},
	{"6.10.1", "\xf7\xbf\xbf\xbf", false},
	{"6.10.2", "\xfb\xbf\xbf\xbf\xbf", false},
	{"6.10.3", "\xfd\xbf\xbf\xbf\xbf\xbf", false},
	{"6.11.1", "\xed\x9f\xbf", true},
	{"6.11.2", "\xee\x80\x80", true},
	{"6.11.3", "\xef\xbf\xbd", true},
	{"6.11.4", "\xf4\x8f\xbf\xbf", true},
	{"6.11.5", "\xf4\x90\x80\x80", false},
	{"6.12.1", "\x80", false},
	{"6.12.2", "\xbf", false},
	{"6.12.3", "\x80\xbf", false},
	{"6.12.4", "\x80\xbf\x80", false},
	{"6.12.8", "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\xbe", false},
	{"6.13.1", "\xc0 \xc1 \xc2 \xc3 ", false},
	{"6.13.2", "\xe0 \xe1 \xe2 \xe3 ", false},
	{"6.13.3", "\xf0 \xf1 \xf2 \xf3 ", false},
	{"6.13.4", "\xf8 \xf9 \xfa \xfb ", false},
	{"6.13.5", "\xfc \xfd ", false},
	{"6.14.1", "\xc0", false},
	{"6.14.2", "\xe0\x80", false},
	{"6.14.3", "\xf0\x80\x80", false},
	{"6.14.4", "\xf8\x80\x80\x80", false},
	{"6.14.5", "\xfc\x80\x80\x80\x80", false},
	{"6.14.6", "\xdf", false},
	{"6.14.7", "\xef\xbf", false},
	{"6.14.8", "\xf7\xbf\xbf", false},
	{"6.14.9", "\xfb\xbf\xbf\xbf", false},
	{"6.14.10", "\xfd\xbf\xbf\xbf\xbf", false},
	{"6.15.1", "\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf", false},
	{"6.16.1", "\xfe", false},
	{"6.16.2", "\xff", false},
	{"6.16.3", "\xfe\xfe\xff\xff", false},
	{"6.17.1", "\xc0\xaf", false},
	{"6.17.2", "\xe0\x80\xaf", false},
	{"6.17.3", "\xf0\x80\x80\xaf", false},
	{"6.17.4", "\xf8\x80\x80\x80\xaf", false},
	{"6.17.5", "\xfc\x80\x80\x80\x80\xaf", false},
	{"6.18.1", "\xc1\xbf", false},
	{"6.18.2", "\xe0\x9f\xbf", false},
	{"6.18.3", "\xf0\x8f\xbf\xbf", false},
	{"6.18.4", "\xf8\x87\xbf\xbf\xbf", false},
	{"6.18.5", "\xfc\x83\xbf\xbf\xbf\xbf", false},
	{"6.19.1", "\xc0\x80", false},
	{"6.19.2", "\xe0\x80\x80", false},
	{"6.19.3", "\xf0\x80\x80\x80", false},
	{"6.19.4", "\xf8\x80\x80\x80\x80", false},
	{"6.19.5", "\xfc\x80\x80\x80\x80\x80", false},
	{"6.20.1", "\xed\xa0\x80", false},
	{"6.20.2", "\xed\xad\xbf", false},
	{"6.20.3", "\xed\xae\x80", false},
	{"6.20.4", "\xed\xaf\xbf", false},
	{"6.20.5", "\xed\xb0\x80", false},
	{"6.20.6", "\xed\xbe\x80", false},
	{"6.20.7", "\xed\xbf\xbf", false},
	{"6.21.1", "\xed\xa0\x80\xed\xb0\x80", false},
	{"6.21.2", "\xed\xa0\x80\xed\xbf\xbf", false},
	{"6.21.8", "\xed\xaf\xbf\xed\xbf\xbf", false},
	{"6.22.1", "\xef\xbf\xbe", true},
	{"6.22.2", "\xef\xbf\xbf", true},
	{"6.22.3", "\xf0\x9f\xbf\xbe", true},
	{"6.22.34", "\xf4\x8f\xbf\xbf", true},
	{"6.23.1", "\xef\xbf\xb9", true},
	{"6.23.7", "\xef\xbf\xbf", true},
}

func TestAutobahn_6_utf8(t *testing.T) {
	hello := "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!"
	bad := "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64"
	// fragments cuts p into fragments of n bytes.
	fragments := func(p string, n int) (fs []rawclient.Frame) {
		for i := 0; i < len(p); i += n {
			f := part(0, p[i:min(i+n, len(p))])
			if i == 0 {
				f.Opcode = 1
			}
			f.Fin = i+n >= len(p)
			fs = append(fs, f)
		}
		return fs
	}
	tests := []autobahn{
		{id: "6.1.1", frames: []rawclient.Frame{msg(1, "")}, want: []string{told(1, "")}},
		{id: "6.1.2", frames: []rawclient.Frame{part(1, ""), part(0, ""), msg(0, "")}, want: []string{told(1, "")}},
		{id: "6.1.3", frames: []rawclient.Frame{part(1, ""), part(0, "middle frame payload"), msg(0, "")}, want: []string{told(1, "middle frame payload")}},
		{id: "6.2.1", frames: []rawclient.Frame{msg(1, hello)}, want: []string{told(1, hello)}},
		{id: "6.2.2", frames: fragments(hello, 12), want: []string{told(1, hello)}},
		{id: "6.2.3", frames: fragments(hello, 1), want: []string{told(1, hello)}},
		{id: "6.2.4", frames: fragments("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 1), want: []string{told(1, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5")}},
		{id: "6.3.1", frames: []rawclient.Frame{msg(1, bad)}, code: 1007},
		{id: "6.3.2", frames: fragments(bad, 1), code: 1007},
	}
	for _, v := range utf8Vectors {
		test := autobahn{id: v.id, frames: []rawclient.Frame{msg(1, v.p)}, code: 1007}
		if v.valid {
			test.code, test.want = 0, []string{told(1, v.p)}
		}
		tests = append(tests, test)
		test.id, test.frames = v.id+" in fragments", fragments(v.p, 1)
		tests = append(tests, test)
		test.id, test.frames, test.chop = v.id+" byte by byte", []rawclient.Frame{msg(1, v.p)}, 1
		tests = append(tests, test)
	}
	runAutobahn(t, tests)
}

// Group 6.4: the echo fails as soon as it can know, and does not wait for the rest of the message.
func TestAutobahn_6_4_failsFast(t *testing.T) {
	const (
		valid = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
		wrong = "\xf4\x90\x80\x80" // known by its second byte
	)
	inBothRoles(t, func(t *testing.T, open opener) {
		for _, test := range []struct {
			id     string
			frames []rawclient.Frame
			good   int // payload bytes of the last frame that are good so far
			wrong  int // and those after them from which on nothing mends it
		}{
			{"6.4.1 fragments", []rawclient.Frame{part(1, valid), part(0, wrong)}, 0, 4},
			{"6.4.2 fragments, as early as possible", []rawclient.Frame{part(1, valid+"\xf4"), part(0, "\x90")}, 0, 1},
			{"6.4.3 chopped", []rawclient.Frame{msg(1, valid+wrong+"edited")}, len(valid), 4},
			{"6.4.4 chopped, as early as possible", []rawclient.Frame{msg(1, valid+wrong+"edited")}, len(valid) + 1, 1},
		} {
			bubble(t, test.id, func(t *testing.T) {
				c := open(t, underTest{h: echo()})
				last := test.frames[len(test.frames)-1]
				all := c.stream(test.frames...)
				good := len(all) - len(last.Payload) + test.good
				c.WriteBytes(all[:good])
				time.Sleep(time.Second)
				if c.ended() {
					t.Fatal("what is good so far has ended it")
				}
				start := time.Now()
				c.WriteBytes(all[good : good+test.wrong])
				c.wantCloseFrame(t, 1007)
				if d := time.Since(start); d != 0 {
					t.Errorf("failed after %v, want at once", d)
				}
			})
		}
	})
}

func TestAutobahn_7_closing(t *testing.T) {
	closing := func(code uint16, reason string) rawclient.Frame {
		return msg(8, string(rawclient.ClosePayload(code, reason)))
	}
	hello := told(1, "Hello World!")
	tests := []autobahn{
		{id: "7.1.1", frames: []rawclient.Frame{msg(1, "Hello World!")}, want: []string{hello}},
		{id: "7.1.2", frames: []rawclient.Frame{closing(1000, ""), closing(1000, "")}, chop: -1, code: 1000},
		{id: "7.1.3", frames: []rawclient.Frame{closing(1000, ""), msg(9, "")}, chop: -1, code: 1000},
		{id: "7.1.4", frames: []rawclient.Frame{closing(1000, ""), msg(1, "Hello World!")}, chop: -1, code: 1000},
		{id: "7.1.5", frames: []rawclient.Frame{part(1, "fragment1"), closing(1000, ""), msg(0, "fragment2")}, chop: -1, code: 1000},
		{id: "7.1.6", frames: []rawclient.Frame{msg(1, strings.Repeat("BAsd7&jh23", 26214)), msg(1, "Hello World!"), closing(1000, ""), msg(9, "")}, chop: -1,
			want: []string{told(1, strings.Repeat("BAsd7&jh23", 26214)), hello}, code: 1000},
		{id: "7.3.1", frames: []rawclient.Frame{msg(8, "")}, empty: true},
		{id: "7.3.2", frames: []rawclient.Frame{msg(8, "a")}, code: 1002},
		{id: "7.3.3", frames: []rawclient.Frame{closing(1000, "")}, code: 1000},
		{id: "7.3.4", frames: []rawclient.Frame{closing(1000, "Hello World!")}, code: 1000},
		{id: "7.3.5", frames: []rawclient.Frame{closing(1000, strings.Repeat("*", 123))}, code: 1000},
		{id: "7.3.6", frames: []rawclient.Frame{closing(1000, strings.Repeat("*", 124))}, code: 1002},
		{id: "7.5.1", frames: []rawclient.Frame{closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64")}, code: 1007},
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		tests = append(tests, autobahn{id: fmt.Sprintf("7.7.%d code %d", i+1, code), frames: []rawclient.Frame{closing(code, "")}, code: int(code)})
	}
	for _, code := range []uint16{1012, 1013, 1014} { // registered since, and legal here
		tests = append(tests, autobahn{id: fmt.Sprintf("code %d", code), frames: []rawclient.Frame{closing(code, "")}, code: int(code)})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		tests = append(tests, autobahn{id: fmt.Sprintf("7.9.%d code %d", i+1, code), frames: []rawclient.Frame{closing(code, "")}, code: 1002})
	}
	for i, code := range []uint16{5000, 65535} {
		tests = append(tests, autobahn{id: fmt.Sprintf("7.13.%d code %d", i+1, code), frames: []rawclient.Frame{closing(code, "")}, code: 1002})
	}
	runAutobahn(t, tests)
}

// Group 9, limits and performance, with sizes that suit a test: 16 MB become 1 MB, and counts are a tenth.
func TestAutobahn_9_large(t *testing.T) {
	big := strings.Repeat("BAsd7&jh23", 100_000)
	var tests []autobahn
	for _, opcode := range []byte{1, 2} {
		p := big
		if opcode == 2 {
			p = strings.Repeat("\x00\xfe\x23\xfa\xf0", 200_000)
		}
		for i, n := range []int{64 << 10, 256 << 10, 1_000_000} {
			tests = append(tests, autobahn{id: fmt.Sprintf("9.%d.%d", opcode, i+1), frames: []rawclient.Frame{msg(opcode, p[:n])}, want: []string{told(opcode, p[:n])}})
		}
		for i, n := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10} { // 9.3 and 9.4: in fragments
			whole := p[:512<<10]
			if n < 1<<10 {
				whole = p[:64<<10]
			}
			var fs []rawclient.Frame
			for at := 0; at < len(whole); at += n {
				f := part(0, whole[at:min(at+n, len(whole))])
				if at == 0 {
					f.Opcode = opcode
				}
				f.Fin = at+n >= len(whole)
				fs = append(fs, f)
			}
			tests = append(tests, autobahn{id: fmt.Sprintf("9.%d.%d fragments of %d", opcode+2, i+1, n), frames: fs, chop: -1, want: []string{told(opcode, whole)}})
		}
		for i, n := range []int{64, 128, 256, 512, 1024, 2048} { // 9.5 and 9.6: chopped
			tests = append(tests, autobahn{id: fmt.Sprintf("9.%d.%d chopped to %d", opcode+4, i+1, n), frames: []rawclient.Frame{msg(opcode, p[:256<<10])}, chop: n, want: []string{told(opcode, p[:256<<10])}})
		}
		for i, n := range []int{0, 16, 64, 256, 1024, 4096} { // 9.7 and 9.8: one after the other
			var fs []rawclient.Frame
			var want []string
			for range 100 {
				fs = append(fs, msg(opcode, p[:n]))
				want = append(want, told(opcode, p[:n]))
			}
			tests = append(tests, autobahn{id: fmt.Sprintf("9.%d.%d 100 of %d bytes", opcode+6, i+1, n), frames: fs, want: want})
		}
	}
	runAutobahn(t, tests)
}

func TestAutobahn_10_autoFragment(t *testing.T) {
	p := strings.Repeat("*", 65536)
	var fs []rawclient.Frame
	for i := 0; i < len(p); i += 1300 {
		f := part(0, p[i:min(i+1300, len(p))])
		if i == 0 {
			f.Opcode = 1
		}
		f.Fin = i+1300 >= len(p)
		fs = append(fs, f)
	}
	runAutobahn(t, []autobahn{{id: "10.1.1", frames: fs, want: []string{told(1, p)}}})
}

// Groups 12 and 13: messages of all sizes under permessage-deflate, of several kinds of data, whole and in fragments, and
// with each offer of group 13.
func TestAutobahn_12_13_compression(t *testing.T) {
	random := make([]byte, 128<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	kinds := map[string][]byte{
		"12.1 json":   []byte(strings.Repeat(`{"AutobahnPython": {"1.1.1": {"behavior": "OK", "duration": 2}},`, 2100)),
		"12.2 lena":   random,
		"12.3 bible":  []byte(strings.Repeat("In the beginning God created the heaven and the earth. ", 2500)),
		"12.4 faust":  []byte(strings.Repeat("Habe nun, ach! Philosophie, Juristerei und Medizin ", 2700)),
		"12.5 poetry": bytes.Repeat([]byte("Οὐχὶ ταὐτὰ παρίσταταί μοι γιγνώσκειν "), 2000),
	}
	sizes := []int{16, 64, 256, 1 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10}
	run := func(t *testing.T, c *tested, offer string, data []byte, negotiated bool, n int) {
		if c.Extensions.Deflate != negotiated {
			t.Fatalf("offer %q: negotiated %+v, want deflate: %v", offer, c.Extensions, negotiated)
		}
		for _, size := range sizes {
			p := data[:min(size, len(data))]
			for i := range n {
				f := rawclient.Frame{Fin: true, Opcode: 2, Payload: p}
				if negotiated {
					f = compressed(2, rawclient.Deflate(p))
				}
				fs := []rawclient.Frame{f}
				if i%2 == 1 { // in fragments of 256 bytes or so
					fs = nil
					step := max(256, len(f.Payload)/7)
					for at := 0; at < len(f.Payload); at += step {
						g := rawclient.Frame{Payload: f.Payload[at:min(at+step, len(f.Payload))], Fin: at+step >= len(f.Payload)}
						if at == 0 {
							g.Opcode, g.RSV = f.Opcode, f.RSV
						}
						fs = append(fs, g)
					}
				}
				wrote := make(chan error, 1)
				go func() { wrote <- c.Write(fs...) }()
				op, got, err := c.ReadMessage()
				if err != nil || op != 2 || !bytes.Equal(got, p) {
					t.Fatalf("offer %q, %d bytes: got opcode %d, %d bytes, error %v", offer, size, op, len(got), err)
				}
				if err := <-wrote; err != nil {
					t.Fatalf("write: %v", err)
				}
			}
		}
		c.Close(1000, "")
		c.wantEnd(t, 1000)
	}
	inBothRoles(t, func(t *testing.T, open opener) {
		for id, data := range kinds {
			bubble(t, id, func(t *testing.T) {
				const offer = "permessage-deflate"
				c := open(t, underTest{h: echo(), maxMessageSize: 20_000_000, offer: offer})
				run(t, c, offer, data, true, 6)
			})
		}
	})
	// What a client is offered it has asked for, so group 13 is the server's: what it makes of each offer.
	offers := []struct {
		id, offer  string
		negotiated bool
	}{
		{"13.1", "permessage-deflate", true},
		{"13.2", "permessage-deflate; client_no_context_takeover; server_no_context_takeover", true},
		{"13.3 declined", "permessage-deflate; server_max_window_bits=9", false},
		{"13.4", "permessage-deflate; server_max_window_bits=15", true},
		{"13.5 declined", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9", false},
		{"13.6", "permessage-deflate; server_no_context_takeover; server_max_window_bits=15", true},
		{"13.7 the third offer", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_max_window_bits=9, permessage-deflate", true},
		{"client bits", "permessage-deflate; client_max_window_bits", true},
		{"client 9 bits", "permessage-deflate; client_max_window_bits=9; client_no_context_takeover", true},
	}
	for _, test := range offers {
		bubble(t, test.id, func(t *testing.T) {
			c := asServer(t, underTest{h: echo(), maxMessageSize: 20_000_000, offer: test.offer})
			run(t, c, test.offer, kinds["12.3 bible"], test.negotiated, 2)
		})
	}
}

// Group 7.1 once more: nothing is read into the handler after the peer's Close, or after ours.
func TestAutobahn_7_nothingAfterTheClose(t *testing.T) {
	bubble(t, "289", func(t *testing.T) {
		hd := &controlHandler{}
		h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Write(msg(1, "before"), msg(8, "\x03\xe8"), msg(1, "behind"), msg(9, "behind"), msg(8, "\x03\xe9"))
		wantClosed(t, c, 1000)
		c.Text("later")
		c.Conn().Close()
		h.wantEnds(1)
		if got, want := fmt.Sprint(hd.log()), fmt.Sprint([]string{"init", text3(1, "before"), "terminate"}); got != want {
			t.Errorf("callbacks: got %s, want %s", got, want)
		}
	})
	bubble(t, "290", func(t *testing.T) {
		hd := &controlHandler{}
		hd.in = func(context.Context, websock.Message) websock.Result { return websock.Close(4000, "done") }
		h := memorySite(t, socket.Config{}, func() websock.Handler { return hd })
		c := h.connect(rawclient.HandshakeOptions{})
		c.Write(msg(1, "before"), msg(1, "behind"), msg(9, "behind"))
		op, p, err := c.ReadMessage()
		if err != nil || op != 8 || codeOf(p) != 4000 {
			t.Fatalf("got opcode %d, %q, %v, want Close 4000", op, p, err)
		}
		c.Write(msg(1, "later"), msg(9, "later"))
		synctest.Wait()
		c.Close(4000, "")
		if _, err := c.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Errorf("after the Close: got %v, want io.EOF", err)
		}
		c.Conn().Close()
		h.wantEnds(1)
		if got, want := fmt.Sprint(hd.log()), fmt.Sprint([]string{"init", text3(1, "before"), "terminate"}); got != want {
			t.Errorf("callbacks: got %s, want %s", got, want)
		}
		if end := h.ends()[0]; end.Received == nil || end.Received.Code != 4000 || end.Sent == nil || end.Sent.Code != 4000 {
			t.Errorf("Closed: got sent %v, received %v, want 4000 both", end.Sent, end.Received)
		}
	})
}
