package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

func originOf(t testing.TB, sys *actor.System) (node string, boot uint64) {
	t.Helper()
	node, boot, _ = host.Parts(spawn(t, sys))
	return node, boot
}

func TestValue_nativeTypesKeepTypeAndValue(t *testing.T) {
	p := connect(t, nil, nil)
	for _, v := range []any{
		nil, true, false,
		0, 1, -1, math.MaxInt, math.MinInt, int8(-128), int16(-32768), int32(math.MinInt32), int64(math.MinInt64),
		uint(math.MaxUint), uint8(255), uint16(65535), uint32(math.MaxUint32), uint64(math.MaxUint64),
		float32(1.5), 1.5, math.Inf(-1), math.MaxFloat64,
		"", "grüezi", "\xff\x00", []byte{}, []byte{0, 255},
		time.Duration(math.MinInt64), 90 * time.Minute,
	} {
		if got := p.value(t, v); !reflect.DeepEqual(got, v) {
			t.Errorf("sent %T %#v, got %T %#v", v, v, got, got)
		}
	}
	if got, ok := p.value(t, math.NaN()).(float64); !ok || !math.IsNaN(got) {
		t.Errorf("sent NaN, got %v", got)
	}
	if got := p.value(t, []byte(nil)); !reflect.DeepEqual(got, []byte{}) {
		t.Errorf("sent a nil []byte, got %#v, want an empty one", got)
	}
}

func TestValue_timeKeepsInstantAndOffset(t *testing.T) {
	p := connect(t, nil, nil)
	for _, want := range []time.Time{
		{},
		time.Date(2026, 11, 29, 3, 4, 5, 6, time.UTC),
		time.Date(1815, 6, 18, 11, 35, 0, 0, time.FixedZone("", 3600+17*60)),
	} {
		got, ok := p.value(t, want).(time.Time)
		_, wantOffset := want.Zone()
		_, gotOffset := got.Zone()
		if !ok || !got.Equal(want) || gotOffset != wantOffset {
			t.Errorf("sent %v, got %v", want, got)
		}
	}
}

func TestValue_message(t *testing.T) {
	p := connect(t, nil, nil)
	for _, want := range []websock.Message{
		websock.Text("grüezi"), websock.Binary([]byte{0, 255}), websock.Binary(nil), websock.Ping([]byte("p")), websock.Pong(nil),
		websock.Prepare(websock.Text("prepared")), {Opcode: 77, Data: []byte("not legal, which the socket says")},
	} {
		got, ok := p.value(t, want).(websock.Message)
		if !ok || !got.Equal(want) {
			t.Errorf("sent %v, got %v", want, got)
		}
	}
}

// A Delivery is not in the bytes: whoever knows it sends it beside them, and whoever does not reads a plain message.
func TestAppendValue_messageWithADelivery(t *testing.T) {
	p := connect(t, nil, nil)
	m := websock.Binary(make([]byte, maxMessage-2)) // as long as it may be
	want, err := p.enc.AppendValue(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	d := websock.Delivery{Key: "k", Volatile: true, Expires: time.Second}
	got, err := p.enc.AppendValue(nil, m.Deliver(d))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("with %+v it is %x, %v; want %x", d, got, err, want)
	}
}

func TestValue_pidBelongsToTheReceiver(t *testing.T) {
	p := connect(t, nil, nil)
	c := newSystem(t, "c")
	for name, send := range map[string]actor.PID{
		"nobody":            {},
		"of the sender":     spawn(t, p.a),
		"of the receiver":   mustParse(t, p.a, spawn(t, p.b).String()),
		"of a third":        mustParse(t, p.a, spawn(t, c).String()),
		"of another System": spawn(t, c),
	} {
		want := mustParse(t, p.b, send.String())
		if got := p.value(t, send); got != want {
			t.Errorf("%s: sent %v, got %v; want == what ParsePID gives", name, send, got)
		}
	}
	own := spawn(t, p.b)
	if got := p.value(t, mustParse(t, p.a, own.String())); got != own {
		t.Errorf("a PID that comes home is %v, want == %v", got, own)
	}
}

func mustParse(t testing.TB, sys *actor.System, text string) actor.PID {
	t.Helper()
	pid, err := sys.ParsePID(text)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestValue_doesNotAliasTheRecord(t *testing.T) {
	p := connect(t, registerAll, registerAll)
	for _, v := range []any{"string", []byte("bytes"), websock.Text("message"), joined{User: "ann"}, point{3, 4}, errBoom} {
		b, err := p.enc.AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.dec.Value(b)
		if err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%#v", got)
		for i := range b {
			b[i] = 0xaa
		}
		if after := fmt.Sprintf("%#v", got); after != before {
			t.Errorf("%T: the value changes with the record:\n before %s\n after  %s", v, before, after)
		}
	}
}

func TestAppendValue_whatCannotCross(t *testing.T) {
	p := connect(t, func(types *codec.Types) {
		registerAll(types)
		codec.RegisterFunc(types, "grumpy", func(b []byte, g grumpy) ([]byte, error) {
			if g == "panic" {
				panic("no mood")
			}
			return append(b, "spoilt"...), errBoom
		}, func(b []byte) (grumpy, error) { return grumpy(b), nil })
	}, nil)
	type unknown struct{ A int }
	for _, tt := range []struct {
		v    any
		want string
	}{
		{make(chan int), "cluster: chan int cannot be sent to another node: the type is not registered; see Config.Types"},
		{func() {}, "cluster: func() cannot be sent to another node: the type is not registered; see Config.Types"},
		{unknown{}, "cluster: codec_test.unknown cannot be sent to another node: the type is not registered; see Config.Types"},
		{&joined{}, "cluster: *codec_test.joined cannot be sent to another node: the type is not registered; see Config.Types"},
		{complex(1, 2), "cluster: complex128 cannot be sent to another node: the type is not registered; see Config.Types"},
		{strings.Repeat("a", maxMessage), "cluster: string cannot be sent to another node: 1025 bytes exceed Config.MaxMessage 1024"},
		{make([]byte, maxMessage), "cluster: []uint8 cannot be sent to another node: 1025 bytes exceed Config.MaxMessage 1024"},
		{websock.Binary(make([]byte, maxMessage)), "cluster: websock.Message cannot be sent to another node: 1026 bytes exceed Config.MaxMessage 1024"},
		{joined{User: strings.Repeat("a", maxMessage)}, "cluster: codec_test.joined cannot be sent to another node: 1049 bytes exceed Config.MaxMessage 1024"},
		{joined{Any: make(chan int)}, "cluster: codec_test.joined cannot be sent to another node: json: unsupported type: chan int"},
		{grumpy("fail"), "cluster: codec_test.grumpy cannot be sent to another node: boom"},
		{grumpy("panic"), "cluster: codec_test.grumpy cannot be sent to another node: its encoder panics: no mood"},
		{time.Date(20000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 1<<30)), "cluster: time.Time cannot be sent to another node: Time.MarshalBinary: unexpected zone offset"},
	} {
		dst := append(make([]byte, 0, 64), "head"...)
		b, err := p.enc.AppendValue(dst, tt.v)
		if err == nil || err.Error() != tt.want {
			t.Errorf("AppendValue(%T)\n got  %v\n want %s", tt.v, err, tt.want)
		}
		if string(b) != "head" {
			t.Errorf("AppendValue(%T) returned %q beside its error, want what it was given", tt.v, b)
		}
		if e, ok := errors.AsType[*codec.EncodeError](err); !ok || e.Type != fmt.Sprintf("%T", tt.v) {
			t.Errorf("AppendValue(%T): %#v, want an EncodeError of that type", tt.v, err)
		}
	}
}

type grumpy string

func TestAppendValue_asLongAsMaxMessage(t *testing.T) {
	p := connect(t, nil, nil)
	want := strings.Repeat("a", maxMessage-1) // and its tag
	if got := p.value(t, want); got != want {
		t.Errorf("a string of %d bytes arrives as %v", len(want), got)
	}
	if got, err := p.dec.Value(append([]byte{16}, want+"a"...)); err != nil || got != want+"a" {
		t.Errorf("Value of %d bytes, from a node with another MaxMessage: %v, want it", maxMessage+1, err)
	}
}

// joined has all that JSON types may have.
type joined struct {
	User  string         `json:"u"`
	At    time.Time      `json:"-"`
	Any   any            `json:"any,omitempty"`
	Who   actor.PID      `json:"who"`
	Kick  *actor.PID     `json:"kick,omitempty"`
	Text  *json.Number   `json:"text,omitempty"`
	Extra map[string]int `json:"extra,omitempty"`
}

// point appends itself.
type point struct{ x, y byte }

func (p point) AppendBinary(b []byte) ([]byte, error) { return append(b, p.x, p.y), nil }
func (p *point) UnmarshalBinary(b []byte) error {
	if len(b) != 2 {
		return errors.New("a point has two bytes")
	}
	p.x, p.y = b[0], b[1]
	return nil
}

// mark appends itself by its pointer only.
type mark struct{ text string }

func (m *mark) AppendBinary(b []byte) ([]byte, error) { return append(b, m.text...), nil }
func (m *mark) UnmarshalBinary(b []byte) error        { m.text = string(b); return nil }

// celsius is registered with functions; the encoder returns bytes of its own, which is legal.
type celsius float64

func registerAll(t *codec.Types) {
	codec.Register[joined](t, "joined")
	codec.Register[point](t, "point")
	codec.Register[mark](t, "mark")
	codec.Register[*mark](t, "mark by pointer")
	codec.RegisterFunc(t, "celsius", func(_ []byte, c celsius) ([]byte, error) { return fmt.Append(nil, float64(c)), nil },
		func(b []byte) (c celsius, err error) { _, err = fmt.Sscan(string(b), &c); return c, err })
}

func TestValue_registeredTypes(t *testing.T) {
	p := connect(t, registerAll, func(t *codec.Types) {
		codec.Register[nothing](t, "of b alone, so that its numbers are others")
		registerAll(t)
	})
	for _, v := range []any{
		joined{User: "ann"}, joined{Any: "text", Extra: map[string]int{"a": 1}},
		point{3, 4}, mark{"m"}, &mark{"p"}, celsius(36.6),
	} {
		if got := p.value(t, v); !reflect.DeepEqual(got, v) {
			t.Errorf("sent %T %+v, got %T %+v", v, v, got, got)
		}
	}
}

func TestValue_ofATypeThatIsNotKnownHere(t *testing.T) {
	p := connect(t, registerAll, nil)
	b, err := p.enc.AppendValue(nil, joined{User: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.dec.Value(b)
	if want := `cluster: cannot decode "joined": no type of this name is registered here; see Config.Types`; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if !errors.Is(err, codec.ErrUnknownType) {
		t.Errorf("%v is not ErrUnknownType", err)
	}
}

func TestValue_brokenBytes(t *testing.T) {
	register := func(t *codec.Types) {
		registerAll(t)
		codec.RegisterFunc(t, "grumpy", func(b []byte, g grumpy) ([]byte, error) { return append(b, g...), nil },
			func([]byte) (grumpy, error) { panic("no mood") })
	}
	p := connect(t, register, register)
	for _, tt := range []struct {
		b    string
		want string
	}{
		{"", "a value with tag 0: broken bytes"},
		{"\x00", "a value with tag 0: broken bytes"},
		{"\xff", "a value with tag 255: broken bytes"},
		{"\x01x", "a value with tag 1: broken bytes"},
		{"\x04", "a value with tag 4: broken bytes"},
		{"\x04\x80", "a value with tag 4: broken bytes"},
		{"\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "a value with tag 4: broken bytes"},
		{"\x05\x80\x02", "a value with tag 5: broken bytes"}, // 128
		{"\x0a\x80\x02", "a value with tag 10: broken bytes"},
		{"\x0e\x00\x00\x00", "a value with tag 14: broken bytes"},
		{"\x0f\x00", "a value with tag 15: broken bytes"},
		{"\x12\x01", "a value with tag 18: broken bytes"},
		{"\x14", "a websock.Message: broken bytes"},
		{"\x16\x00", "a value with tag 22: broken bytes"}, // number 0
		{"\x17\x01", "a value with tag 23: broken bytes"},
		{"\x17\x01@\x00\x00\x00\x00\x00\x00\x00\x00\x01", "a value with tag 23: broken bytes"}, // no name of a node
		{"\x18", "an error: broken bytes"},
		{"\x19", "a registered type: broken bytes"},
		{"\x19\x06", "a registered type: broken bytes"}, // beyond the list
		{"\x19\x00[", `"joined": not JSON`},
		{"\x19\x00{\"u\":3}", `"joined": JSON field "u" is a number there, which does not fit here`},
		{"\x19\x00{\"who\":3}", `"joined": JSON field "who" is a number there, which does not fit here`},
		{"\x19\x00{\"who\":\"secret\"}", `"joined": a PID in it is malformed`},
		{"\x19\x01\x00", `"point": a point has two bytes`},
		{"\x19\x05secret", `"grumpy": its decoder panics: no mood`},
	} {
		v, err := p.dec.Value([]byte(tt.b))
		if want := "cluster: cannot decode " + tt.want; err == nil || err.Error() != want {
			t.Errorf("Value(%q)\n got  %v, %v\n want %s", tt.b, v, err, want)
		}
	}
}

func TestPeer_brokenAnnouncements(t *testing.T) {
	c := newCodec(newSystem(t, "a"), nil)
	for _, announcement := range []string{"\x00", "\x05four", "\x01a\x00", strings.Repeat("\x01a", codec.MaxAnnouncement/2+1)} {
		if _, err := c.Peer("b", 1, []byte(announcement)); err == nil {
			t.Errorf("Peer(%.20q) is accepted", announcement)
		}
	}
}

func TestAppendValue_isTheSameForEveryPeer(t *testing.T) {
	p := connect(t, registerAll, registerAll)
	third := peerOf(t, newCodec(newSystem(t, "c"), nil), p.a, p.enc.Announcement())
	first, _ := p.enc.AppendValue(nil, joined{User: "ann"})
	if _, err := third.Value(first); !errors.Is(err, codec.ErrUnknownType) {
		t.Fatal(err)
	}
	again, _ := p.enc.AppendValue(nil, joined{User: "ann"})
	if !bytes.Equal(first, again) {
		t.Errorf("the second encoding differs:\n%x\n%x", first, again)
	}
}

// An exit reason may be sent as a value. It is not refused, however small MaxMessage is.
func TestAppendValue_errorsAreNotTooLong(t *testing.T) {
	p := connect(t, nil, nil)
	long := strings.Repeat("x", 2*maxMessage)
	want := &websock.CloseError{Code: 4003, Reason: "banned", Err: errors.New(long)}
	got, ok := p.value(t, want).(*websock.CloseError)
	if !ok || got.Code != 4003 || got.Reason != "banned" || !strings.Contains(got.Err.Error(), long) {
		t.Errorf("a CloseError of more than MaxMessage %d arrives as %.100v", maxMessage, got)
	}
}
