package wire_test

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/socket/internal/wire"
)

// FuzzInflate: a compressed message is judged the same, and becomes the same, whether it has come whole, so that it may be
// inflated as small messages are, or comes in two reads or two frames, so that it is not. Control frames may stand between.
func FuzzInflate(f *testing.F) {
	for _, p := range []string{
		"", "\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", // RFC 7692 section 7.2.3
		"\x00\x05\x00\xfa\xffHello\x00", "\xf2\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", "\x06", "\x02\x04\x00",
		deflated("héllo"), deflated("\xe2\x82"), deflated(str(1000)), deflated(noise(700)), deflated(strings.Repeat("a", 70_000)),
		deflated(noise(300))[:200],
	} {
		for _, most := range []int{-1, 0, 4, 5, 1000, 1 << 16} {
			f.Add([]byte(p), most, true, uint64(len(p)))
			f.Add([]byte(p), most, false, uint64(len(p)))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte, most int, text bool, seed uint64) {
		op := byte(opBinary)
		if text {
			op = opText
		}
		most = max(most, -1)
		o := wire.Options{MaxMessageSize: int64(most), MaxRatio: 1000}
		after := frame(fin, opBinary, "after")
		read := func(client bool, chunks ...[]byte) string {
			o := o
			o.Client = client
			got, err := readAll(accept(t, &script{chunks: chunks}, o, true))
			return strings.Join(append(got, verdict(err)), "; ")
		}
		one := frame(fin|rsv1, op, string(payload))
		whole := join(one, after)
		split := len(one) - min(1, len(payload))
		first := read(false, whole[:split], whole[split:])
		want := read(false, whole[:split], whole[split:])
		if first != want {
			return // klauspost/compress uses a distance code of the message before where a block has none
		}
		if got := read(false, whole); got != want {
			t.Errorf("payload %s, at most %d:\nin one read  %s\nin two reads %s", show(payload), most, got, want)
		}
		if got := read(true, fromServer(whole)); got != want {
			t.Errorf("payload %s, at most %d:\nto a client  %s\nin two reads %s", show(payload), most, got, want)
		}
		if got := read(false, join(frame(rsv1, op, ""), frame(fin, opCont, string(payload)), after)); got != want && len(payload) > 0 {
			t.Errorf("payload %s, at most %d:\nafter an empty frame  %s\nin two reads          %s", show(payload), most, got, want)
		}
		at := int(seed % uint64(len(payload)+1))
		ping := frame(fin, opPing, "p")
		got := read(false, join(frame(rsv1, op, string(payload[:at])), ping, frame(fin, opCont, string(payload[at:])), after))
		// What is wrong in the first frame is found before the ping, and before the second one is known to be too large.
		if got = strings.Replace(got, pingEvent("p")+"; ", "", 1); got != want && (code(got) != code(want) && !strings.Contains(want, "compressed message of")) {
			t.Errorf("payload %s, at most %d, cut at %d:\nin two frames %s\nin two reads  %s", show(payload), most, at, got, want)
		}
	})
}

// code is the first word of what read says of a message that is refused.
func code(s string) string { return strings.SplitN(s, " ", 2)[0] }
