package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/socket/internal/wire"
)

const (
	opCont, opText, opBinary, opClose, opPing, opPong = 0, 1, 2, 8, 9, 10

	mb = 1_000_000
)

// readCase is bytes from a client and what becomes of them. Those of a server, which differ in the mask only, become the
// same of a Conn that is a client. Numbers are those of the test inventory.
type readCase struct {
	name    string
	input   []byte
	options wire.Options // MaxMessageSize 0: 10 MB
	deflate bool
	want    []string // messages, pings and pongs, in order
	end     string   // the start of the verdict
}

func str(n int) string { return strings.Repeat("*", n) }

func limit(n int64) wire.Options { return wire.Options{MaxMessageSize: n} }

// header16 and header64 are headers with a length in that form, whatever it is.
func header16(b0, mask byte, n uint16) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{b0, mask | 126}, n), rawclient.DefaultMask[:]...)
}

func header64(b0, mask byte, n uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{b0, mask | 127}, n), rawclient.DefaultMask[:]...)
}

func closeFrame(code uint16, reason string) []byte {
	return frame(fin, opClose, string(rawclient.ClosePayload(code, reason)))
}

func TestNext_frames(t *testing.T) { // RFC 6455 section 5.2
	runReadCases(t, []readCase{
		{name: "60 RSV3", input: frame(fin|rsv3, opText, ""), end: "1002 unsupported RSV flags 01"},
		{name: "61 RSV2", input: frame(fin|rsv2, opText, ""), end: "1002 unsupported RSV flags 10"},
		{name: "60, 61 RSV2 and RSV3 with deflate", input: frame(fin|rsv1|rsv2|rsv3, opText, ""), deflate: true,
			end: "1002 unsupported RSV flags 11"},
		{name: "62 text of 2", input: frame(fin, opText, "OK"), want: []string{textEvent("OK")}, end: "EOF"},
		{name: "63 text of 10", input: frame(fin, opText, str(10)), want: []string{textEvent(str(10))}, end: "EOF"},
		{name: "64 text of 125, largest 7 bit", input: frame(fin, opText, str(125)), want: []string{textEvent(str(125))}, end: "EOF"},
		{name: "65 text of 126, 16 bit", input: frame(fin, opText, str(126)), want: []string{textEvent(str(126))}, end: "EOF"},
		{name: "66 text of 127", input: frame(fin, opText, str(127)), want: []string{textEvent(str(127))}, end: "EOF"},
		{name: "67 text of 16000", input: frame(fin, opText, str(16000)), want: []string{textEvent(str(16000))}, end: "EOF"},
		{name: "65535, largest 16 bit", input: frame(fin, opBinary, str(65535)), want: []string{binaryEvent(str(65535))}, end: "EOF"},
		{name: "65536, 64 bit", input: frame(fin, opBinary, str(65536)), want: []string{binaryEvent(str(65536))}, end: "EOF"},
		{name: "68 text of 1000000", input: frame(fin, opText, str(mb)), want: []string{textEvent(str(mb))}, end: "EOF"},
		{name: "69 125 over 124", input: header(fin, opText, 125), options: limit(124),
			end: "1009 message of 125 bytes exceeds Config.MaxMessageSize 124"},
		{name: "70 16000 over 15999", input: header(fin, opText, 16000), options: limit(15999),
			end: "1009 message of 16000 bytes exceeds Config.MaxMessageSize 15999"},
		{name: "71 1000000 over 999999", input: header(fin, opText, mb), options: limit(999999),
			end: "1009 message of 1000000 bytes exceeds Config.MaxMessageSize 999999"},
		{name: "72 the limit counts payload, not header", input: frame(fin, opText, str(100)), options: limit(100),
			want: []string{textEvent(str(100))}, end: "EOF"},
		{name: "73 unmasked, with two bytes", input: []byte{0x81, 0x02}, end: "1002 client frame without mask"},
		{name: "74 unmasked 16 bit, with two bytes", input: []byte{0x81, 126}, end: "1002 client frame without mask"},
		{name: "75 unmasked 64 bit, with two bytes", input: []byte{0x81, 127}, end: "1002 client frame without mask"},
		{name: "76 unmasked wins over size", input: header16(0x81, 0, 500), options: limit(100), end: "1002 client frame without mask"},
		{name: "76 unmasked wins over RSV and opcode", input: []byte{0xFF, 0x02}, end: "1002 client frame without mask"},
		{name: "unmasked ping", input: []byte{0x89, 0x00}, end: "1002 client frame without mask"},
		{name: "unmasked close", input: []byte{0x88, 0x00}, end: "1002 client frame without mask"},
		{name: "77 one byte", input: []byte{0x81}, end: "EOF"},
		{name: "78 truncated payload", input: frame(fin, opText, "hello")[:8], end: "EOF"},
		{name: "79 what follows is the next frame", input: join(frame(fin, opText, "a"), []byte{0x81}), want: []string{textEvent("a")}, end: "EOF"},
		{name: "80 opcode 15", input: frame(fin, 15, ""), end: "1002 unknown opcode 15"},
		{name: "80 opcode 15, from the header", input: frame(fin, 15, "abc")[:2], end: "1002 unknown opcode 15"},
		{name: "80 opcode 3", input: frame(fin, 3, "x"), end: "1002 unknown opcode 3"},
		{name: "80 opcode 7 without FIN", input: frame(0, 7, ""), end: "1002 unknown opcode 7"},
		{name: "80 opcode 11", input: frame(fin, 11, ""), end: "1002 unknown opcode 11"},
		{name: "84, 81 text in two fragments", input: join(frame(0, opText, "a"), frame(fin, opCont, "b")), want: []string{textEvent("ab")}, end: "EOF"},
		{name: "87, 82, 81 binary in three fragments", input: join(frame(0, opBinary, "a"), frame(0, opCont, "b"), frame(fin, opCont, "c")),
			want: []string{binaryEvent("abc")}, end: "EOF"},
		{name: "88 binary", input: frame(fin, opBinary, "\x00\xff"), want: []string{binaryEvent("\x00\xff")}, end: "EOF"},
		{name: "85 empty text", input: frame(fin, opText, ""), want: []string{textEvent("")}, end: "EOF"},
		{name: "83 RSV1 on continuation", input: join(frame(0, opText, "a"), frame(fin|rsv1, opCont, "b")), end: "1002 compressed continuation frame (RFC 7692"},
		{name: "83 RSV1 on continuation with deflate", deflate: true,
			input: join(frame(rsv1, opText, "a"), frame(fin|rsv1, opCont, "b")), end: "1002 compressed continuation frame (RFC 7692"},
		{name: "169 RSV1 on text, not negotiated", input: frame(fin|rsv1, opText, "a"), end: "1002 RSV1 set, but permessage-deflate"},
		{name: "169 RSV1 on a first fragment, not negotiated", input: frame(rsv1, opBinary, "a"), end: "1002 RSV1 set, but permessage-deflate"},
		{name: "110 64 bit length, highest bit set", input: header64(0x81, 0x80, 1<<63), end: "1002 64 bit length 0x8000000000000000"},
		{name: "110 64 bit length, all bits set, no limit", input: header64(0x82, 0x80, 1<<64-1), options: limit(-1), end: "1002 64 bit length 0xffffffffffffffff"},
		{name: "110 largest 64 bit length", input: header64(0x82, 0x80, 1<<63-1), end: "1009 message of 9223372036854775807 bytes exceeds"},
		{name: "length 125 in 16 bits", input: header16(0x81, 0x80, 125), end: "1002 length 125 not in its shortest form"},
		{name: "length 0 in 16 bits", input: header16(0x81, 0x80, 0), end: "1002 length 0 not in its shortest form"},
		{name: "length 65535 in 64 bits", input: header64(0x81, 0x80, 65535), end: "1002 length 65535 not in its shortest form"},
		{name: "125 OK, mask 0", input: rawclient.AppendFrame(nil, rawclient.Frame{Fin: true, Opcode: opText, Masked: true, Payload: []byte("OK")}, [4]byte{}),
			want: []string{textEvent("OK")}, end: "EOF"},
		{name: "126, 127 frames in a row", input: join(frame(fin, opText, "one"), frame(fin, opBinary, "two"), frame(fin, opText, str(70_000))),
			want: []string{textEvent("one"), binaryEvent("two"), textEvent(str(70_000))}, end: "EOF"},
		{name: "123, 128 the RFC's Hello", input: unhex("818537fa213d7f9f4d5158"), want: []string{textEvent("Hello")}, end: "EOF"},
		{name: "no limit", input: frame(fin, opBinary, str(11*mb)), options: limit(-1), want: []string{binaryEvent(str(11 * mb))}, end: "EOF"},
		{name: "132 2000010 over 2000000", input: frame(fin, opText, str(2_000_010)), options: limit(2_000_000),
			end: "1009 message of 2000010 bytes exceeds Config.MaxMessageSize 2000000"},
	})
}

func TestNext_controlFrames(t *testing.T) { // RFC 6455 section 5.5
	reason := str(123)
	runReadCases(t, []readCase{
		{name: "90 close 1000 with 123 bytes", input: closeFrame(1000, reason), end: "remote 1000 " + reason},
		{name: "91 close code only", input: closeFrame(1000, ""), end: "remote 1000"},
		{name: "92, 284 close empty", input: frame(fin, opClose, ""), end: "remote 1005"},
		{name: "93, 288 close of 1 byte", input: frame(fin, opClose, "\x03"), end: "1002 close payload of one byte"},
		{name: "94 close of 126 bytes, from the header", input: frame(fin, opClose, str(126))[:2], end: "1002 close payload of more than 125 bytes"},
		{name: "95 close without FIN", input: frame(0, opClose, "\x03\xe8"), end: "1002 fragmented close frame"},
		{name: "96 close with RSV1", input: frame(fin|rsv1, opClose, "\x03\xe8"), deflate: true, end: "1002 compressed close frame (RFC 7692"},
		{name: "97 close with RSV1, no FIN", input: frame(rsv1, opClose, "\x03\xe8"), deflate: true, end: "1002 compressed close frame (RFC 7692"},
		{name: "98 ping of 125", input: frame(fin, opPing, str(125)), want: []string{pingEvent(str(125))}, end: "EOF"},
		{name: "99 ping empty", input: frame(fin, opPing, ""), want: []string{pingEvent("")}, end: "EOF"},
		{name: "100 ping of 126, from the header", input: frame(fin, opPing, str(126))[:2], end: "1002 ping payload of more than 125 bytes"},
		{name: "101 ping without FIN", input: frame(0, opPing, ""), end: "1002 fragmented ping frame"},
		{name: "102 ping with RSV1", input: frame(fin|rsv1, opPing, ""), deflate: true, end: "1002 compressed ping frame"},
		{name: "103 ping with RSV1, no FIN", input: frame(rsv1, opPing, ""), deflate: true, end: "1002 compressed ping frame"},
		{name: "104 pong of 125", input: frame(fin, opPong, str(125)), want: []string{pongEvent(str(125))}, end: "EOF"},
		{name: "105 pong empty", input: frame(fin, opPong, ""), want: []string{pongEvent("")}, end: "EOF"},
		{name: "106 pong of 126, from the header", input: frame(fin, opPong, str(126))[:2], end: "1002 pong payload of more than 125 bytes"},
		{name: "107 pong without FIN", input: frame(0, opPong, ""), end: "1002 fragmented pong frame"},
		{name: "108 pong with RSV1", input: frame(fin|rsv1, opPong, ""), end: "1002 compressed pong frame"},
		{name: "109 pong with RSV1, no FIN", input: frame(rsv1, opPong, ""), end: "1002 compressed pong frame"},
		{name: "a hundred pings", input: bytes.Repeat(frame(fin, opPing, str(125)), 100), want: slices.Repeat([]string{pingEvent(str(125))}, 100), end: "EOF"},
		{name: "159 close reason not UTF-8", input: closeFrame(1000, "\xc2\x41"), end: "1007 close reason not UTF-8"},
		{name: "159 close reason not UTF-8, text unchecked", input: closeFrame(1000, "\xc2\x41"), options: wire.Options{SkipUTF8Check: true}, end: "1007 close reason not UTF-8"},
		{name: "159 close reason ends inside a rune", input: closeFrame(1000, "\xe2\x82"), end: "1007 close reason not UTF-8"},
		{name: "289 nothing after a close counts", input: join(closeFrame(1000, ""), frame(fin, opText, "late"), []byte{0xff}), end: "remote 1000"},
	})
}

func TestNext_closeCodes(t *testing.T) { // RFC 6455 section 7.4
	var cases []readCase
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, readCase{name: fmt.Sprintf("285, 287 %d", code), input: closeFrame(code, "why"), end: fmt.Sprintf("remote %d why", code)})
	}
	for _, code := range []uint16{0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, readCase{name: fmt.Sprintf("286 %d", code), input: closeFrame(code, ""), end: fmt.Sprintf("1002 close code %d ", code)})
	}
	runReadCases(t, cases)
}

func TestNext_fragments(t *testing.T) { // RFC 6455 section 5.4
	part := str(10_000)
	runReadCases(t, []readCase{
		{name: "134 text in three", input: join(frame(0, opText, part), frame(0, opCont, part), frame(fin, opCont, part)), want: []string{textEvent(part + part + part)}, end: "EOF"},
		{name: "135 binary in three", input: join(frame(0, opBinary, part), frame(0, opCont, part), frame(fin, opCont, part)), want: []string{binaryEvent(part + part + part)}, end: "EOF"},
		{name: "136 last one empty", input: join(frame(0, opText, part), frame(0, opCont, part), frame(fin, opCont, "")), want: []string{textEvent(part + part)}, end: "EOF"},
		{name: "137 empty in the middle", input: join(frame(0, opText, "a"), frame(0, opCont, ""), frame(0, opCont, ""), frame(fin, opCont, "b"), frame(fin, opText, "c")),
			want: []string{textEvent("ab"), textEvent("c")}, end: "EOF"},
		{name: "137 all empty", input: join(frame(0, opText, ""), frame(0, opCont, ""), frame(fin, opCont, ""), frame(fin, opBinary, "x")),
			want: []string{textEvent(""), binaryEvent("x")}, end: "EOF"},
		{name: "137 first empty", input: join(frame(0, opText, ""), frame(fin, opCont, "late")), want: []string{textEvent("late")}, end: "EOF"},
		{name: "138 third fragment too much", input: join(frame(0, opText, str(999_990)), frame(0, opCont, str(999_990)), frame(0, opCont, str(999_990))), options: limit(2_000_000),
			end: "1009 message of 2999970 bytes exceeds Config.MaxMessageSize 2000000"},
		{name: "139 last fragment too much", input: join(frame(0, opText, str(999_990)), frame(0, opCont, str(999_990)), frame(fin, opCont, str(999_990))), options: limit(2_000_000),
			end: "1009 message of 2999970 bytes exceeds Config.MaxMessageSize 2000000"},
		{name: "141 ping between fragments", input: join(frame(0, opText, "AB"), frame(fin, opPing, "OK"), frame(fin, opCont, "CD")), want: []string{pingEvent("OK"), textEvent("ABCD")}, end: "EOF"},
		{name: "142 pong between fragments", input: join(frame(0, opText, "AB"), frame(fin, opPong, "OK"), frame(fin, opCont, "CD")), want: []string{pongEvent("OK"), textEvent("ABCD")}, end: "EOF"},
		{name: "143 close between fragments", input: join(frame(0, opText, "AB"), closeFrame(1000, ""), frame(fin, opCont, "CD")), end: "remote 1000"},
		{name: "144 continuation without start", input: frame(fin, opCont, "x"), end: "1002 unexpected continuation frame (RFC 6455 section 5.4)"},
		{name: "144 continuation after a whole message", input: join(frame(fin, opText, "a"), frame(0, opCont, "x")), want: []string{textEvent("a")}, end: "1002 unexpected continuation frame"},
		{name: "145 text inside", input: join(frame(0, opText, "a"), frame(fin, opText, "b")), end: "1002 unexpected text frame inside a fragmented message (RFC 6455 section 5.4)"},
		{name: "146 binary inside", input: join(frame(0, opText, "a"), frame(0, opBinary, "b")), end: "1002 unexpected binary frame inside a fragmented message"},
		{name: "147 three in a row", input: join(frame(0, opText, "Hello"), frame(0, opCont, "Hello"), frame(fin, opCont, "Hello")), want: []string{textEvent("HelloHelloHello")}, end: "EOF"},
		{name: "148 limit 8, frame of 10", input: frame(fin, opBinary, str(10)), options: limit(8), end: "1009 message of 10 bytes exceeds Config.MaxMessageSize 8"},
		{name: "149 limit 8, 5 and last 5", input: join(frame(0, opBinary, str(5)), frame(fin, opCont, str(5))), options: limit(8), end: "1009 message of 10 bytes"},
		{name: "150 limit 8, 5 and middle 5", input: join(frame(0, opBinary, str(5)), frame(0, opCont, str(5))), options: limit(8), end: "1009 message of 10 bytes"},
		{name: "150 limit 8, 4 and 4, and again", input: join(frame(0, opBinary, str(4)), frame(fin, opCont, str(4)), frame(0, opBinary, str(4)), frame(fin, opCont, str(4))), options: limit(8),
			want: []string{binaryEvent(str(8)), binaryEvent(str(8))}, end: "EOF"},
		{name: "151 131000 fragments of one byte", input: join(frame(0, opBinary, "*"), bytes.Repeat(frame(0, opCont, "*"), 131_000), frame(fin, opCont, "")), options: limit(200_000),
			want: []string{binaryEvent(str(131_001))}, end: "EOF"},
		{name: "151 131000 fragments of one byte of text", input: join(frame(0, opText, "*"), bytes.Repeat(frame(0, opCont, "*"), 131_000), frame(fin, opCont, "")), options: limit(200_000),
			want: []string{textEvent(str(131_001))}, end: "EOF"},
		{name: "137 131000 empty fragments", input: join(frame(0, opText, "a"), bytes.Repeat(frame(0, opCont, ""), 131_000), frame(fin, opCont, "b")),
			want: []string{textEvent("ab")}, end: "EOF"},
	})
}

func TestNext_utf8(t *testing.T) { // RFC 6455 section 8.1
	cases := []readCase{
		{name: "152 E2 82 28", input: frame(fin, opText, "\xe2\x82\x28"), end: "1007 text message not UTF-8 (RFC 6455 section 8.1)"},
		{name: "153 split E2, 82 28", input: join(frame(0, opText, "\xe2"), frame(fin, opCont, "\x82\x28")), end: "1007 text"},
		{name: "154 split E2 82, AC", input: join(frame(0, opText, "\xe2\x82"), frame(fin, opCont, "\xac")), want: []string{textEvent("€")}, end: "EOF"},
		{name: "154 split in single bytes", input: join(frame(0, opText, "\xf0"), frame(0, opCont, "\x9f"), frame(0, opCont, ""), frame(fin, opPing, ""), frame(0, opCont, "\x98"), frame(fin, opCont, "\x80")),
			want: []string{pingEvent(""), textEvent("😀")}, end: "EOF"},
		{name: "155, 158 not checked", input: frame(fin, opText, "\xe2\x82\x28"), options: wire.Options{SkipUTF8Check: true}, want: []string{textEvent("\xe2\x82\x28")}, end: "EOF"},
		{name: "156 binary is not checked", input: frame(fin, opBinary, "\xff\xff"), want: []string{binaryEvent("\xff\xff")}, end: "EOF"},
		{name: "157 inflated", input: frame(fin|rsv1, opText, string(rawclient.Deflate([]byte("\xe2\x82\x28")))), deflate: true, end: "1007 text"},
		{name: "157 inflated, ends inside a rune", input: frame(fin|rsv1, opText, string(rawclient.Deflate([]byte("ok\xe2\x82")))), deflate: true, end: "1007 text"},
		{name: "157 inflated, not checked", input: frame(fin|rsv1, opText, string(rawclient.Deflate([]byte("\xff")))), deflate: true, options: wire.Options{SkipUTF8Check: true},
			want: []string{textEvent("\xff")}, end: "EOF"},
		{name: "ends inside a rune", input: frame(fin, opText, "ok\xe2\x82"), end: "1007 text"},
		{name: "lone continuation byte", input: frame(fin, opText, "\x80"), end: "1007 text"},
		{name: "three continuation bytes at the end", input: frame(0, opText, "a\x80\x80\x80"), end: "1007 text"},
	}
	// Vectors that streaming validators have let through, and Autobahn's. They
	// stand at the end of an unfinished message: refused at the bad byte, though
	// neither frame nor message is complete.
	for _, bad := range []string{"C241", "E141", "E041", "ED41", "F041", "F141", "F441", "EDA080", "EDBFBF", "F490", "F4908080",
		"C080", "C1BF", "E080", "E09F80", "F080", "F8888080", "FF", "FE", "F5", "80", "E28228"} {
		p := string(unhex(bad))
		whole := frame(fin, opText, "ok κόσμε"+p+"tail")
		cases = append(cases,
			readCase{name: "fail fast in a fragment " + bad, input: frame(0, opText, p), end: "1007 text"},
			readCase{name: "fail fast in an unfinished frame " + bad, input: whole[:len(whole)-4], end: "1007 text"},
		)
	}
	for _, good := range []string{"€", "\uFFFF", "\U0010FFFF", "\uD7FF", "\uE000", "\x00", "\x7f", "\u0080", "\u0800", "\U00010000"} {
		cases = append(cases, readCase{name: fmt.Sprintf("legal %X", good), input: frame(fin, opText, good), want: []string{textEvent(good)}, end: "EOF"})
	}
	runReadCases(t, cases)
}

func TestNext_compression(t *testing.T) { // RFC 7692 sections 6 and 7.2
	aaa := string(unhex("4a4c1c05a360140c770000")) // 1000 times "a"
	a1000 := strings.Repeat("a", 1000)
	noise := noise(144_000)
	runReadCases(t, []readCase{
		{name: "160 text", deflate: true, input: frame(fin|rsv1, opText, aaa), want: []string{textEvent(a1000)}, end: "EOF"},
		{name: "161 binary", deflate: true, input: frame(fin|rsv1, opBinary, aaa), want: []string{binaryEvent(a1000)}, end: "EOF"},
		{name: "162 text in 4, 4 and 3", deflate: true, input: join(frame(rsv1, opText, aaa[:4]), frame(0, opCont, aaa[4:8]), frame(fin, opCont, aaa[8:])), want: []string{textEvent(a1000)}, end: "EOF"},
		{name: "163 binary in 4, 4 and 3", deflate: true, input: join(frame(rsv1, opBinary, aaa[:4]), frame(0, opCont, aaa[4:8]), frame(fin, opCont, aaa[8:])), want: []string{binaryEvent(a1000)}, end: "EOF"},
		{name: "162 with empty and control frames between", deflate: true, input: join(frame(rsv1, opText, ""), frame(fin, opPing, "p"), frame(0, opCont, aaa), frame(0, opCont, ""), frame(fin, opCont, "")),
			want: []string{pingEvent("p"), textEvent(a1000)}, end: "EOF"},
		{name: "164 ping is not compressed", deflate: true, input: frame(fin, opPing, "OK"), want: []string{pingEvent("OK")}, end: "EOF"},
		{name: "165 uncompressed text", deflate: true, input: join(frame(fin, opText, "plain"), frame(fin|rsv1, opText, aaa), frame(fin, opText, "plain")),
			want: []string{textEvent("plain"), textEvent(a1000), textEvent("plain")}, end: "EOF"},
		{name: "167 10 MB of a, limit 1 MB", deflate: true, input: frame(fin|rsv1, opText, deflated(strings.Repeat("a", 10*mb))), options: limit(mb),
			end: "1009 message inflates to more than Config.MaxMessageSize 1000000"},
		{name: "167 bomb in an unfinished message", deflate: true, input: frame(rsv1, opText, deflated(strings.Repeat("a", 10*mb))), options: limit(mb),
			end: "1009 message inflates to more than Config.MaxMessageSize 1000000"},
		{name: "168 144000 bytes", deflate: true, input: frame(fin|rsv1, opBinary, deflated(noise)), want: []string{binaryEvent(noise)}, end: "EOF"},
		{name: "exactly the limit", deflate: true, input: frame(fin|rsv1, opText, aaa), options: limit(1000), want: []string{textEvent(a1000)}, end: "EOF"},
		{name: "one over the limit", deflate: true, input: frame(fin|rsv1, opText, aaa), options: limit(999), end: "1009 message inflates"},
		{name: "the wire may need more than the message", deflate: true, input: frame(fin|rsv1, opBinary, deflated(noise)), options: limit(144_000), want: []string{binaryEvent(noise)}, end: "EOF"},
		{name: "wire allowance, from the header", deflate: true, input: header(fin|rsv1, opBinary, 1_002_025), options: limit(mb),
			end: "1009 compressed message of 1002025 bytes exceeds 1002024, what Config.MaxMessageSize 1000000 allows"},
		{name: "no limit", deflate: true, input: frame(fin|rsv1, opText, deflated(strings.Repeat("a", 11*mb))), options: limit(-1), want: []string{textEvent(strings.Repeat("a", 11*mb))}, end: "EOF"},
		{name: "170 garbage", deflate: true, input: frame(fin|rsv1, opText, "\x01\x02\x03"), end: "1007 message does not inflate (RFC 7692 section 7.2.2)"},
		{name: "170 reserved block type", deflate: true, input: frame(rsv1, opText, "\x06"), end: "1007 message does not inflate"},
		{name: "truncated", deflate: true, input: frame(fin|rsv1, opBinary, aaa[:6]), end: "1007 message does not inflate"},
		{name: "171 limit 8, 100 zero bytes", deflate: true, input: frame(fin|rsv1, opBinary, deflated(string(make([]byte, 100)))), options: limit(8), end: "1009 message inflates"},
		{name: "172 three chunks of 50, limit 100", deflate: true, options: limit(100), end: "1009 message inflates",
			input: join(frame(rsv1, opBinary, flushed(noise[:50])), frame(0, opCont, flushed(noise[:50])), frame(fin, opCont, flushed(noise[:50])))},
		{name: "172 two chunks of 50, limit 100", deflate: true, options: limit(100), want: []string{binaryEvent(noise[:50] + noise[:50])}, end: "EOF",
			input: join(frame(rsv1, opBinary, flushed(noise[:50])), frame(fin, opCont, deflated(noise[:50])))},
		{name: "174 empty message, payload 00", deflate: true, input: frame(fin|rsv1, opText, "\x00"), want: []string{textEvent("")}, end: "EOF"},
		{name: "174 empty message, payload 02 00", deflate: true, input: frame(fin|rsv1, opText, "\x02\x00"), want: []string{textEvent("")}, end: "EOF"},
		{name: "176 empty message, no payload", deflate: true, input: join(frame(fin|rsv1, opText, ""), frame(fin, opText, "next")), want: []string{textEvent(""), textEvent("next")}, end: "EOF"},
		{name: "176 empty message, no payload in fragments", deflate: true, input: join(frame(rsv1, opText, ""), frame(0, opCont, ""), frame(fin, opCont, ""), frame(fin, opText, "next")),
			want: []string{textEvent(""), textEvent("next")}, end: "EOF"},
		{name: "RFC 7692 section 7.2.3.1", deflate: true, input: frame(fin|rsv1, opText, string(unhex("f248cdc9c90700"))), want: []string{textEvent("Hello")}, end: "EOF"},
		{name: "RFC 7692 section 7.2.3.3, no compression", deflate: true, input: frame(fin|rsv1, opText, string(unhex("000500faff48656c6c6f00"))), want: []string{textEvent("Hello")}, end: "EOF"},
		{name: "RFC 7692 section 7.2.3.4, BFINAL", deflate: true, input: join(frame(fin|rsv1, opText, string(unhex("f348cdc9c9070000"))), frame(fin, opText, "next")),
			want: []string{textEvent("Hello"), textEvent("next")}, end: "EOF"},
		{name: "BFINAL and nothing after it", deflate: true, input: join(frame(fin|rsv1, opText, string(unhex("f348cdc9c90700"))), frame(fin, opText, "next")),
			want: []string{textEvent("Hello"), textEvent("next")}, end: "EOF"},
		{name: "BFINAL in its own fragment", deflate: true, input: join(frame(rsv1, opText, string(unhex("f348cdc9c90700"))), frame(0, opCont, "\x00"), frame(fin, opCont, ""), frame(fin, opText, "next")),
			want: []string{textEvent("Hello"), textEvent("next")}, end: "EOF"},
		{name: "BFINAL and more data", deflate: true, input: frame(fin|rsv1, opText, string(unhex("f348cdc9c90700f248cdc9c90700"))),
			end: "1007 compressed message goes on after its last block (RFC 7692 section 7.2.3.4)"},
		{name: "RFC 7692 section 7.2.3.5, two blocks", deflate: true, input: frame(fin|rsv1, opText, string(unhex("f248050000 00ffffcac9c90700"))), want: []string{textEvent("Hello")}, end: "EOF"},
		{name: "the window does not outlive the message", deflate: true, end: "1007 message does not inflate", want: []string{textEvent("Hello")},
			input: join(frame(fin|rsv1, opText, string(unhex("f248cdc9c90700"))), frame(fin|rsv1, opText, string(unhex("f200110000"))))},
		{name: "143 close inside a compressed message", deflate: true, input: join(frame(rsv1, opText, aaa[:4]), closeFrame(1001, "")), end: "remote 1001"},
		{name: "145 text inside a compressed message", deflate: true, input: join(frame(rsv1, opText, aaa[:4]), frame(fin, opText, "")), end: "1002 unexpected text frame"},
	})
}

// TestNext_masks holds unmasking to RFC 6455 section 5.3 (inventory 124).
func TestNext_masks(t *testing.T) {
	for _, key := range [][4]byte{{}, {0, 0, 0, 1}, {1, 2, 3, 4}, {0x80}, {255, 255, 255, 255}} {
		var input []byte
		var want []string
		for n := range 66 {
			p := noise(n)
			want = append(want, binaryEvent(p))
			input = rawclient.AppendFrame(input, rawclient.Frame{Fin: true, Opcode: opBinary, Masked: true, Payload: []byte(p)}, key)
		}
		runReadCases(t, []readCase{{name: fmt.Sprintf("124 %x", key), input: input, want: want, end: "EOF"}})
	}
}

// TestNext_readsLarge: a connection that cannot wait without a buffer is read in
// small pieces between frames only.
func TestNext_readsLarge(t *testing.T) {
	for size, most := range map[int]int{10: 1, 50: 1, 1000: 2, 16 << 10: 2, 1 << 20: 30} {
		conn := &script{chunks: [][]byte{frame(fin, opBinary, str(size))}}
		c := accept(t, conn, limit(10*mb), false)
		if m, err := c.Next(); err != nil || len(m.Data) != size {
			t.Fatalf("%d bytes: %v, %v", size, m, err)
		}
		if conn.reads > most {
			t.Errorf("a message of %d bytes took %d reads, want at most %d", size, conn.reads, most)
		}
	}
}

// runReadCases reads each input in both roles, cut in each way, over connections that are waited for in each way.
func runReadCases(t *testing.T, cases []readCase) {
	for _, tc := range cases {
		if tc.options.MaxMessageSize == 0 {
			tc.options.MaxMessageSize = 10 * mb
		}
		t.Run(tc.name, tc.run)
		t.Run("from a server: "+tc.name, func(t *testing.T) {
			tc.options.Client = true
			tc.input = fromServer(tc.input)
			tc.end = strings.Replace(tc.end, "client frame without mask", "server frame with mask", 1)
			tc.run(t)
		})
	}
}

func (tc readCase) run(t *testing.T) {
	for cut, chunks := range chops(tc.input) {
		plain := &script{chunks: slices.Clone(chunks)}
		waiting := &waitingScript{script{chunks: slices.Clone(chunks)}}
		for kind, conn := range map[string]net.Conn{"plain": plain, "waiting": waiting} {
			c := accept(t, conn, tc.options, tc.deflate)
			got, err := readAll(c)
			if !slices.Equal(got, tc.want) {
				t.Errorf("%s, %s:\ninput %s\ngot   %s\nwant  %s\nend   %v", cut, kind, show(tc.input), got, tc.want, err)
			}
			if end := verdict(err); !strings.HasPrefix(end, tc.end) {
				t.Errorf("%s, %s:\ninput %s\nended %q\nwant  %q", cut, kind, show(tc.input), end, tc.end)
			}
			if _, again := c.Next(); again != err {
				t.Errorf("%s, %s: a second Next returned %v, want %v again", cut, kind, again, err)
			}
		}
	}
}

func header(flags, opcode byte, length uint64) []byte {
	return rawclient.AppendHeader(nil, rawclient.Frame{Fin: flags&fin != 0, RSV: flags & 7, Opcode: opcode, Masked: true}, length, rawclient.DefaultMask)
}

func unhex(s string) []byte {
	p, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return p
}

func show(p []byte) string {
	if len(p) > 60 {
		return fmt.Sprintf("%x... (%d bytes)", p[:60], len(p))
	}
	return fmt.Sprintf("%x", p)
}

func deflated(s string) string { return string(rawclient.Deflate([]byte(s))) }

// flushed is s deflated and flushed, with the flush left in: more may follow.
func flushed(s string) string { return deflated(s) + "\x00\x00\xff\xff" }

// noise is n bytes that do not compress, the same each time.
func noise(n int) string {
	p := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range p {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		p[i] = byte(x)
	}
	return string(p)
}

// TestOpener_Open_early: a server may have read more than we read at once.
func TestOpener_Open_early(t *testing.T) {
	for _, cut := range []int{0, 1, 3, 70, 130} {
		frames := join(frame(fin, opText, str(30_000)), frame(fin, opPing, str(125)), frame(fin, opText, "end"))
		conn := new(script)
		if cut > 0 {
			conn.chunks = [][]byte{frames[len(frames)-cut:]}
		}
		c := wire.NewOpener(wire.Options{MaxMessageSize: mb}).Open(conn, "", false, frames[:len(frames)-cut])
		got, err := readAll(c)
		want := []string{textEvent(str(30_000)), pingEvent(str(125)), textEvent("end")}
		if strings.Join(got, " ") != strings.Join(want, " ") || verdict(err) != "EOF" {
			t.Errorf("%d bytes come later: got %s, %v; want %s", cut, got, err, want)
		}
	}
}
