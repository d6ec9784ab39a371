package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
	"github.com/troupe-dev/troupe/websock"
)

const fuzzLimit = 1 << 16

// cut splits p at random.
func cut(p []byte, seed uint64) (chunks [][]byte) {
	rng := rand.New(rand.NewPCG(seed, 0))
	most := 1 + int(seed%40)*int(seed%7+1)
	for len(p) > 0 {
		n := min(len(p), 1+rng.IntN(most))
		chunks = append(chunks, p[:n])
		p = p[n:]
	}
	return chunks
}

// FuzzRead gives arbitrary bytes to a connection, of a server or of a client. It must end, deliver no
// message over the limit or text that is not UTF-8, and drain. Without deflate
// it must say exactly what a reader says that has all bytes at once.
func FuzzRead(f *testing.F) {
	for _, p := range [][]byte{
		frame(fin, opText, "hello"),
		join(frame(0, opText, "AB"), frame(fin, opPing, "p"), frame(0, opCont, ""), frame(fin, opCont, "CD"), closeFrame(1000, "bye")),
		join(frame(fin|rsv1, opText, deflated(str(1000))), frame(fin|rsv1, opBinary, "\x00"), frame(fin|rsv1, opText, "")),
		join(frame(rsv1, opText, deflated("héllo")), frame(fin, opCont, "\x00")),
		frame(fin|rsv1, opText, string(unhex("f348cdc9c9070000"))),
		frame(fin|rsv1, opText, deflated(str(100_000))),
		frame(fin, opBinary, str(300)), frame(fin, opBinary, str(70_000))[:40],
		frame(0, opText, "\xe2\x82"), frame(fin, opText, "\xed\xa0\x80"),
		header64(0x81, 0x80, 1<<63), header64(0x82, 0x80, 1<<62), header16(0x81, 0x80, 1),
		{0x81, 0x01}, {0xff, 0xff}, frame(fin, opClose, "\x03"), closeFrame(1005, ""), closeFrame(1000, "\xff"), frame(0, opPing, ""),
		frame(fin, opCont, "x"), frame(fin, 3, ""), frame(fin|rsv2, opText, ""),
	} {
		f.Add(p, true, uint64(0), false)
		f.Add(p, false, uint64(39), false)
		f.Add(fromServer(p), true, uint64(0), true)
		f.Add(fromServer(p), false, uint64(39), true)
	}
	f.Fuzz(func(t *testing.T, input []byte, deflate bool, seed uint64, client bool) {
		conn := &script{chunks: cut(input, seed)}
		c := accept(t, conn, wire.Options{MaxMessageSize: fuzzLimit, Client: client}, deflate)
		var got []string
		c.SetHooks(hooks{nil, func(m websock.Message) bool {
			got = append(got, event(m))
			return true
		}})
		var end error
		for {
			m, err := c.Next()
			if err != nil {
				end = err
				break
			}
			if len(m.Data) > fuzzLimit || m.Opcode == websock.OpText && !utf8.Valid(m.Data) {
				t.Fatalf("input %s: delivered %v", show(input), m)
			}
			got = append(got, event(m))
		}
		if err := c.Linger(time.Time{}, 0); err != nil {
			t.Errorf("input %s: Linger: %v", show(input), err)
		}
		if deflate {
			return
		}
		want, wantEnd := reference(input, client)
		if !slices.Equal(got, want) || !strings.HasPrefix(verdict(end), wantEnd) {
			t.Errorf("input %s:\ngot  %s, %v\nwant %s, %s", show(input), got, end, want, wantEnd)
		}
	})
}

// reference reads a whole stream of uncompressed frames at once, straight from
// RFC 6455. It returns the events and the start of the verdict. client: we are the client, so there must be no masks.
func reference(p []byte, client bool) (events []string, end string) {
	var message []byte
	var opcode byte // of the open message
	for {
		if len(p) < 2 {
			return events, "EOF"
		}
		b0, b1 := p[0], p[1]
		op, isFin, size := b0&15, b0&0x80 != 0, uint64(b1&0x7f)
		control := op >= opClose
		switch {
		case b1&0x80 == 0 != client, b0&0x70 != 0, op > opBinary && op < opClose, op > opPong, control && (!isFin || size > 125):
			return events, "1002"
		}
		p = p[2:]
		switch {
		case size == 126 && len(p) < 2, size == 127 && len(p) < 8:
			return events, "EOF"
		case size == 126:
			if size, p = uint64(binary.BigEndian.Uint16(p)), p[2:]; size < 126 {
				return events, "1002"
			}
		case size == 127:
			if size, p = binary.BigEndian.Uint64(p), p[8:]; size < 65536 || size > 1<<63-1 {
				return events, "1002"
			}
		}
		mask := []byte{0, 0, 0, 0}
		switch {
		case client:
		case len(p) < 4:
			return events, "EOF"
		default:
			mask, p = p[:4], p[4:]
		}
		switch {
		case control:
		case op == opCont && opcode == 0, op != opCont && opcode != 0:
			return events, "1002"
		case uint64(len(message))+size > fuzzLimit:
			return events, "1009"
		}
		there := bytes.Clone(p[:min(size, uint64(len(p)))])
		for i := range there {
			there[i] ^= mask[i%4]
		}
		whole := uint64(len(there)) == size
		p = p[len(there):]
		if control {
			if !whole {
				return events, "EOF"
			}
			if op == opClose {
				return events, closeVerdict(there)
			}
			events = append(events, event(websock.Message{Opcode: websock.Opcode(op), Data: there}))
			continue
		}
		if op != opCont {
			opcode = op
		}
		message = append(message, there...)
		if opcode == opText && !canBecomeText(message, whole && isFin) {
			return events, "1007"
		}
		if !whole {
			return events, "EOF"
		}
		if isFin {
			events = append(events, event(websock.Message{Opcode: websock.Opcode(opcode), Data: message}))
			message, opcode = nil, 0
		}
	}
}

// canBecomeText decodes rune by rune.
func canBecomeText(p []byte, complete bool) bool {
	for len(p) > 0 {
		if !utf8.FullRune(p) {
			return !complete
		}
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			return false
		}
		p = p[n:]
	}
	return true
}

// closeVerdict is what RFC 6455 sections 5.5.1 and 7.4 say of a Close payload.
func closeVerdict(p []byte) string {
	switch {
	case len(p) == 0:
		return "remote 1005"
	case len(p) == 1:
		return "1002"
	}
	code := binary.BigEndian.Uint16(p)
	switch {
	case code < 1000, code >= 1004 && code <= 1006, code >= 1015 && code < 3000, code >= 5000:
		return "1002"
	case !utf8.Valid(p[2:]):
		return "1007"
	}
	return strings.TrimSpace(fmt.Sprintf("remote %d %s", code, p[2:]))
}

func FuzzClosePayload(f *testing.F) {
	for _, p := range []string{"", "\x03", "\x03\xe8", "\x03\xe8bye", "\x03\xed", "\x0b\xb8", "\x13\x87", "\x13\x88", "\x03\xe8\xc2\x41", "\x03\xe8\xe2\x82", "\xff\xff" + str(123)} {
		f.Add([]byte(p), uint64(0))
	}
	f.Fuzz(func(t *testing.T, payload []byte, seed uint64) {
		if len(payload) > 125 {
			payload = payload[:125]
		}
		c := accept(t, &script{chunks: cut(frame(fin, opClose, string(payload)), seed)}, wire.Options{}, false)
		_, err := c.Next()
		if want := closeVerdict(payload); !strings.HasPrefix(verdict(err), want) {
			t.Errorf("payload %x: got %v, want %s", payload, err, want)
		}
		_, received := c.CloseFrames()
		if remote, ok := errors.AsType[*websock.RemoteCloseError](err); ok != (received != nil) || ok && (received.Code != remote.Code || received.Reason != remote.Reason) {
			t.Errorf("payload %x: CloseFrames says %v, Next %v", payload, received, err)
		}
	})
}

// FuzzRoundTrip sends a message in any fragmentation, with pings between, and
// wants it back; then the other way. Both in both roles.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint64(1), uint32(0x37fa213d), false, true)
	f.Add([]byte(""), uint64(2), uint32(0), true, true)
	f.Add([]byte("κόσμε"), uint64(3), uint32(1), true, true)
	f.Add([]byte(str(700)), uint64(30), uint32(0xffffffff), true, false)
	f.Add([]byte(noise(500)), uint64(39), uint32(0x80), false, false)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, key uint32, deflate, text bool) {
		op := byte(opBinary)
		if text && utf8.Valid(data) {
			op = opText
		}
		mask := [4]byte(binary.BigEndian.AppendUint32(nil, key))
		payload, flags := data, uint8(0)
		if deflate {
			payload, flags = rawclient.Deflate(data), rawclient.RSV1
		}
		var input []byte
		var want []string
		first := op
		for i, part := range append(cut(payload, seed), nil) {
			input = rawclient.AppendFrame(input, rawclient.Frame{Opcode: first, RSV: flags, Masked: true, Payload: part}, mask)
			first, flags = opCont, 0
			if (seed+uint64(i))%5 == 0 {
				input = rawclient.AppendFrame(input, rawclient.Frame{Fin: true, Opcode: opPing, Masked: true, Payload: []byte("p")}, mask)
				want = append(want, pingEvent("p"))
			}
		}
		input = rawclient.AppendFrame(input, rawclient.Frame{Fin: true, Opcode: opCont, Masked: true}, mask)
		message := websock.Message{Opcode: websock.Opcode(op), Data: data}
		want = append(want, event(message))

		for _, asClient := range []bool{false, true} {
			if asClient {
				input = fromServer(input)
			}
			c := accept(t, &script{chunks: cut(input, seed>>8)}, wire.Options{MaxMessageSize: -1, Client: asClient}, deflate)
			got, err := readAll(c)
			if !slices.Equal(got, want) || err != io.EOF {
				t.Errorf("data %s, seed %d, mask %x, deflate %t, client %t:\ngot  %s, %v\nwant %s",
					show(data), seed, mask, deflate, asClient, got, err, want)
			}

			peer, c := connect(t, wire.Options{Client: asClient, Level: []int{1, 6}[seed%2]}, deflate)
			if err := errors.Join(c.Append(message), c.Flush()); err != nil {
				t.Fatal(err)
			}
			if gotOp, back, err := peer.ReadMessage(); err != nil || gotOp != op || !bytes.Equal(back, data) {
				t.Errorf("sent %s, client %t: the peer read %d %s, %v", show(data), asClient, gotOp, show(back), err)
			}
		}
	})
}

// FuzzSecondOpinion reads the same bytes by coder/websocket. It is less strict (text, the shortest form of a length,
// what stands after a compressed message), so it may read on where we refuse; what both read is the same, and without
// deflate it reads all that we do.
func FuzzSecondOpinion(f *testing.F) {
	for _, p := range [][]byte{
		frame(fin, opText, "hello"),
		join(frame(0, opText, "AB"), frame(fin, opPing, "p"), frame(0, opCont, ""), frame(fin, opCont, "CD"), frame(fin, opPong, ""), closeFrame(1000, "bye")),
		join(frame(fin|rsv1, opText, deflated(str(1000))), frame(fin|rsv1, opBinary, "\x00"), frame(fin, opText, "")),
		join(frame(rsv1, opText, deflated("héllo")), frame(fin, opCont, "\x00")),
		join(frame(fin, opBinary, str(300)), frame(fin, opBinary, str(70_000))),
		join(frame(0, opText, "\xe2\x82"), frame(fin, opCont, "\xac")),
		{0x81, 0x01}, frame(fin, opCont, "x"), frame(fin|rsv2, opText, ""), frame(fin, opClose, "\x03"),
	} {
		f.Add(p, true, uint64(0))
		f.Add(p, false, uint64(39))
	}
	f.Fuzz(func(t *testing.T, input []byte, deflate bool, seed uint64) {
		got, err := readAll(accept(t, &script{chunks: cut(input, seed)}, limit(-1), deflate))
		second := secondOpinion(t, input, deflate)
		both := min(len(got), len(second))
		if !slices.Equal(got[:both], second[:both]) || !deflate && both < len(got) {
			t.Errorf("input %s, deflate %t:\nwe read          %s, %v\ncoder/websocket  %s", show(input), deflate, got, err, second)
		}
	})
}
