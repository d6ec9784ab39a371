package codec_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

func registerFuzzed(t *codec.Types) {
	registerAll(t)
	registerErrors(t)
	codec.Register[table](t, "table")
}

// FuzzValue: whatever the bytes are, decoding returns a value or an error that names a type; a value can be sent on, and
// arrives as the same.
func FuzzValue(f *testing.F) {
	p := connect(f, registerFuzzed, registerFuzzed)
	pid := spawn(f, p.a)
	for _, v := range []any{
		nil, true, 1, uint8(2), 1.5, "text", []byte("bytes"), time.Unix(0, 0), time.Second, websock.Text("hi"), pid, actor.PID{},
		mustParse(f, p.a, "7.0123456789abcdef@c"), errBoom, &quotaError{"ann"}, joined{User: "ann", Who: pid}, point{1, 2}, celsius(3),
		table{Dealer: pid, ByPID: map[actor.PID]seat{pid: {}}},
	} {
		b, err := p.enc.AppendValue(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	back := peerOf(f, p.enc, p.b, p.enc.Announcement())
	again := newCodec(p.b, registered(registerFuzzed))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := p.dec.Value(b)
		if err != nil {
			if e, ok := errors.AsType[*codec.DecodeError](err); !ok || e.Type == "" {
				t.Fatalf("Value(%x): %#v, want a DecodeError that names a type", b, err)
			}
			return
		}
		sent, err := again.AppendValue(nil, v)
		if err != nil {
			if e, ok := errors.AsType[*codec.EncodeError](err); !ok || e.Type == "" {
				t.Fatalf("%#v of %x cannot be sent on, and the error is %#v", v, b, err)
			}
			return // longer in our form than in theirs, or a value that JSON reads and does not write
		}
		got, err := back.Value(sent)
		if err != nil {
			t.Fatalf("%#v of %x is sent on as %x, which cannot be read: %v", v, b, sent, err)
		}
		if reflect.TypeOf(got) != reflect.TypeOf(v) {
			t.Fatalf("%#v of %x arrives as %#v", v, b, got)
		}
	})
}

// FuzzError is FuzzValue for exit reasons.
func FuzzError(f *testing.F) {
	p := connect(f, registerFuzzed, registerFuzzed)
	for _, err := range []error{
		nil, exit.ErrShutdown, errBoom, errFull, &quotaError{"ann"}, errors.Join(exit.ErrTimeout, &quotaError{"bob"}),
		&websock.CloseError{Code: 4000, Reason: "bye", Err: errBoom}, &websock.RemoteCloseError{Code: 1001, Reason: "r"},
		&websock.ProtocolError{Code: 1002, Rule: "r", Err: errFull}, &websock.ResultError{Problem: "p", Err: errFull},
		&actor.PanicError{Value: 1, Stack: []byte("stack")},
	} {
		f.Add(p.enc.AppendError(nil, err))
	}
	back := peerOf(f, p.enc, p.b, p.enc.Announcement())
	again := newCodec(p.b, registered(registerFuzzed))
	f.Fuzz(func(t *testing.T, b []byte) {
		reason, err := p.dec.Error(b)
		if err != nil {
			return
		}
		if reason != nil && reason.Error() == "\x00" {
			return // all methods of what is decoded can be called
		}
		kind := exit.KindOf(reason)
		sent := again.AppendError(nil, reason)
		if len(sent) > codec.MaxError {
			t.Fatalf("%#v of %x is sent on with %d bytes", reason, b, len(sent))
		}
		got, err := back.Error(sent)
		if err != nil || exit.KindOf(got) != kind {
			t.Fatalf("%#v of %x, kind %v, is sent on and arrives as %#v, kind %v, %v", reason, b, kind, got, exit.KindOf(got), err)
		}
	})
}
