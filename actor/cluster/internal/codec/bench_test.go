package codec_test

import (
	"testing"

	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/websock"
)

// chat is a message as applications have them.
type chat struct {
	Room string `json:"room"`
	User string `json:"user"`
	Text string `json:"text"`
	Seq  int    `json:"seq"`
}

func BenchmarkValue(b *testing.B) {
	register := func(t *codec.Types) {
		registerAll(t)
		codec.Register[chat](t, "chat")
		codec.Register[seat](t, "seat")
	}
	p := connect(b, register, register)
	for _, bb := range []struct {
		name string
		v    any
	}{
		{"message of 64 B", websock.Binary(make([]byte, 64))},
		{"PID", spawn(b, p.a)},
		{"struct, JSON", chat{"lobby", "ann", "hello, all of you", 12345}},
		{"struct with a PID, JSON", seat{spawn(b, p.a), 3}},
		{"struct, AppendBinary", point{1, 2}},
	} {
		b.Run("encode "+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 256)
			for b.Loop() {
				if _, err := p.enc.AppendValue(buf, bb.v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("decode "+bb.name, func(b *testing.B) {
			b.ReportAllocs()
			buf, err := p.enc.AppendValue(nil, bb.v)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := p.dec.Value(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
