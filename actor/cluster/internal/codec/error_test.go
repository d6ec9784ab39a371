package codec_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// quotaError is an application's error with data; errFull one of its sentinels.
type quotaError struct{ User string }

func (e *quotaError) Error() string       { return "quota of " + e.User + " used up" }
func (e *quotaError) ExitKind() exit.Kind { return exit.Shutdown }

var errFull = errors.New("room is full")

func registerErrors(t *codec.Types) {
	codec.Register[*quotaError](t, "quota")
	codec.RegisterError(t, "full", errFull)
}

func TestError_sentinelsAreTheSameValue(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	for _, err := range []error{
		nil, exit.ErrNormal, exit.ErrShutdown, exit.ErrKilled, exit.ErrOverload, exit.ErrTimeout, exit.ErrRemote, exit.ErrRestart,
		exit.ErrIgnore, exit.ErrNoProcess, exit.ErrNodeDown, actor.ErrNoProcess, actor.ErrNodeDown, actor.ErrMailboxFull,
		actor.ErrNoReply, websock.ErrNormal, websock.ErrRemote, websock.ErrShutdown, websock.ErrTimeout, websock.ErrRestart,
		websock.ErrOverload, context.Canceled, context.DeadlineExceeded, errFull,
	} {
		if got := p.reason(t, err); got != err {
			t.Errorf("sent %v, got %#v, want the same value", err, got)
		}
	}
	if got := p.value(t, exit.ErrShutdown); got != exit.ErrShutdown {
		t.Errorf("as a message: sent %v, got %#v", exit.ErrShutdown, got)
	}
}

func TestError_typesThatBothSidesHave(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	for _, err := range []error{
		&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"},
		&websock.CloseError{Code: 4008, Err: websock.ErrOverload},
		&websock.CloseError{Err: &websock.CloseError{Code: 4002, Err: &quotaError{"ann"}}},
		&websock.CloseError{Code: 65535, Reason: strings.Repeat("too long", 30) + "\xff"}, // its socket says what is wrong
		&websock.RemoteCloseError{Code: websock.CloseGoingAway, Reason: "bye"},
		&websock.RemoteCloseError{Code: websock.CloseNoStatus},
		&websock.ProtocolError{Code: 1002, Rule: "a rule", Err: context.Canceled},
		&websock.ProtocolError{Code: 1009, Rule: "too big"},
		&websock.ResultError{Problem: "refused", Err: exit.ErrNormal},
		&actor.PanicError{Value: "boom", Stack: []byte("goroutine 1")},
		&quotaError{"ann"},
	} {
		got := p.reason(t, err)
		if !reflect.DeepEqual(got, err) {
			t.Errorf("sent %#v, got %#v", err, got)
		}
		if got := p.value(t, err); !reflect.DeepEqual(got, err) {
			t.Errorf("as a message: sent %#v, got %#v", err, got)
		}
	}
	got, ok := p.reason(t, &actor.PanicError{Value: errBoom, Stack: []byte("s")}).(*actor.PanicError)
	if !ok || got.Value != "boom" || string(got.Stack) != "s" {
		t.Errorf("a panic with an error arrives as %#v, want its text as Value and the stack", got)
	}
}

func TestError_ofOtherTypes(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	kick := &websock.CloseError{Code: 4001, Reason: "elsewhere"}
	for _, tt := range []struct {
		err error
		is  []error
	}{
		{errBoom, nil},
		{fmt.Errorf("room 7: %w", exit.ErrShutdown), []error{exit.ErrShutdown}},
		{fmt.Errorf("room 7: %w", exit.ErrRestart), []error{exit.ErrNormal, exit.ErrRestart}},
		{fmt.Errorf("%w: %w", websock.ErrRemote, io.EOF), []error{websock.ErrRemote}},
		{errors.Join(errFull, errBoom, context.Canceled), []error{errFull, context.Canceled}},
		{fmt.Errorf("moved: %w", fmt.Errorf("kicked: %w", kick)), []error{exit.ErrNormal}},
		{fmt.Errorf("one: %w, two: %w", &quotaError{"ann"}, &actor.PanicError{Value: 1}), nil},
		{wrong{exit.ErrNormal}, []error{exit.ErrNormal}},
	} {
		got := p.reason(t, tt.err)
		f, ok := got.(*remoteError)
		if !ok || f.Node != "a" || f.Text != tt.err.Error() {
			t.Errorf("sent %v, got %#v; want its text, of node a", tt.err, got)
			continue
		}
		if exit.KindOf(got) != exit.KindOf(tt.err) {
			t.Errorf("sent %v of kind %v, got kind %v", tt.err, exit.KindOf(tt.err), exit.KindOf(got))
		}
		for _, s := range []error{exit.ErrNormal, exit.ErrRestart, exit.ErrShutdown, websock.ErrRemote, errFull, context.Canceled, io.EOF} {
			want := false
			for _, is := range tt.is {
				want = want || is == s
			}
			if errors.Is(got, s) != want {
				t.Errorf("sent %v: errors.Is(got, %v) = %t, want %t", tt.err, s, !want, want)
			}
		}
		wantAs[*websock.CloseError](t, tt.err, got)
		wantAs[*quotaError](t, tt.err, got)
		if _, panicked := errors.AsType[*actor.PanicError](tt.err); panicked {
			if _, ok := errors.AsType[*actor.PanicError](got); !ok {
				t.Errorf("sent %v, got %v without the PanicError", tt.err, got)
			}
		}
	}
}

// wrong says a kind that is not that of what it wraps.
type wrong struct{ error }

func (wrong) ExitKind() exit.Kind { return exit.Abnormal }
func (w wrong) Unwrap() error     { return w.error }

func wantAs[E error](t *testing.T, sent, got error) {
	t.Helper()
	want, ok := errors.AsType[E](sent)
	if e, found := errors.AsType[E](got); found != ok || !reflect.DeepEqual(e, want) {
		t.Errorf("sent %v: the %T in it is %v, %t; want %v, %t", sent, want, e, found, want, ok)
	}
}

func TestError_thatTheReceiverDoesNotKnow(t *testing.T) {
	p := connect(t, registerErrors, nil)
	for _, err := range []error{&quotaError{"ann"}, errFull, fmt.Errorf("join: %w", &quotaError{"ann"})} {
		got, ok := p.reason(t, err).(*remoteError)
		if !ok || got.Text != err.Error() || got.Kind != exit.KindOf(err) || got.Node != "a" {
			t.Errorf("sent %v, got %#v; want its text and kind, of node a", err, got)
		}
	}
}

func TestError_passedOn(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	at := p.reason(t, fmt.Errorf("disk: %w", errors.Join(exit.ErrOverload, &quotaError{"ann"})))
	// From b on to c: the error keeps the node it is from.
	typesB, typesC := new(codec.Types), new(codec.Types)
	registerErrors(typesB)
	registerErrors(typesC)
	enc := newCodec(p.b, typesB)
	dec := peerOf(t, newCodec(newSystem(t, "c"), typesC), p.b, enc.Announcement())
	on := pair{enc: enc, dec: dec}.reason(t, at)
	if !reflect.DeepEqual(on, at) {
		t.Errorf("passed on\n %#v\ngot\n %#v", at, on)
	}
}

// rude panics in all of its methods.
type rude struct{ nothing int }

func (r *rude) Error() string   { panic(r.nothing) }
func (r *rude) Unwrap() error   { panic("Unwrap") }
func (r *rude) Is(_ error) bool { panic("Is") }

func TestAppendError_methodsThatPanic(t *testing.T) {
	p := connect(t, nil, nil)
	for _, err := range []error{&rude{}, (*rude)(nil), (*websock.CloseError)(nil), fmt.Errorf("a %w", &rude{}), uncomparable{"u"}} {
		got, ok := p.reason(t, err).(*remoteError)
		if !ok || got.Kind != exit.Abnormal {
			t.Errorf("sent a %T, got %#v; want an abnormal error", err, got)
		}
	}
}

// fragile is a registered error one of whose methods needs what does not cross.
type fragile struct {
	Method string
	Cause  error `json:"-"`
}

func (e fragile) at(method string) {
	if e.Method == method {
		_ = e.Cause.Error()
	}
}

func (e fragile) Error() string       { e.at("Error"); return "fragile " + e.Method }
func (e fragile) Unwrap() error       { e.at("Unwrap"); return e.Cause }
func (e fragile) Is(_ error) bool     { e.at("Is"); return false }
func (e fragile) As(_ any) bool       { e.at("As"); return false }
func (e fragile) ExitKind() exit.Kind { e.at("ExitKind"); return exit.Shutdown }

// A registered error is looked at where it arrives, on a goroutine of the engine: a panic there would end the program. One that does
// not bear it is an error of which the text has come.
func TestPeer_Error_methodsThatPanic(t *testing.T) {
	register := func(t *codec.Types) { codec.Register[fragile](t, "fragile") }
	p := connect(t, register, register)
	look := func(err error) (text string, panicked any) {
		defer func() { panicked = recover() }()
		_ = errors.Is(err, exit.ErrKilled)
		_ = exit.KindOf(err)
		_, _ = errors.AsType[*websock.CloseError](err)
		return err.Error(), nil
	}
	for _, method := range []string{"Error", "Unwrap", "Is", "As", "ExitKind"} {
		for name, wrap := range map[string]func(error) error{
			"itself":  func(err error) error { return err },
			"wrapped": func(err error) error { return fmt.Errorf("outside: %w", err) },
		} {
			got := p.reason(t, wrap(fragile{method, io.EOF}))
			text, panicked := look(got)
			if panicked != nil || !strings.Contains(text, "fragile "+method) {
				t.Errorf("%s, %s panics: got %T %q, which panics with %v; want the text", name, method, got, text, panicked)
			}
			if _, ok := errors.AsType[fragile](got); ok {
				t.Errorf("%s, %s panics: the error is a fragile one", name, method)
			}
		}
	}
	if got, ok := p.reason(t, fragile{"none", io.EOF}).(fragile); !ok || got.Method != "none" {
		t.Errorf("an error that needs nothing: got %#v, want itself", got)
	}
}

func TestAppendError_isBounded(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	long := strings.Repeat("ü", 10<<10)
	deep := error(&actor.PanicError{Value: long, Stack: []byte(long)})
	var all []error
	for range 20 {
		deep = &websock.CloseError{Code: 4000, Reason: long, Err: deep}
		all = append(all, &websock.ProtocolError{Rule: long, Err: errors.Join(deep, deep)}, &quotaError{long}, &quotaError{"x"}, deep)
	}
	for name, err := range map[string]error{
		"text": errors.New(long), "deep": deep, "many": errors.Join(all...), "within": fmt.Errorf("a: %w", errors.Join(all...)),
		"registered": &quotaError{long},
	} {
		b := p.enc.AppendError(nil, err)
		if len(b) > codec.MaxError {
			t.Errorf("%s: %d bytes, want at most %d", name, len(b), codec.MaxError)
		}
		got, broken := p.dec.Error(b)
		if broken != nil {
			t.Errorf("%s: %v", name, broken)
		} else if exit.KindOf(got) != exit.KindOf(err) {
			t.Errorf("%s: kind %v, want %v", name, exit.KindOf(got), exit.KindOf(err))
		}
	}
}

func TestError_brokenBytes(t *testing.T) {
	p := connect(t, registerErrors, registerErrors)
	for _, b := range []string{
		"", "\x09", "\x00\x00", "\x01", "\x01\x01a\x00", "\x02\x00", "\x02\x00\x00\x00", "\x03\x00", "\x04\x00\x00\xff", "\x05\x01",
		"\x06\x01", "\x07", "\x07\x09\x00\x00\x00\x00\x00\x00", "\x08\x00\x00\x00", "\x08\x00\x00\x00\x01\x00", "\x08\x00\x00\x00\x00\x01",
		"\x08\x00\x00\x00\x00\x01\x01\x09", "\x08\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		strings.Repeat("\x02\x00\x00\x00", 17) + "\x00",
		"\x03\x00\x00" + strings.Repeat("a", 4*codec.MaxError),
	} {
		if got, err := p.dec.Error([]byte(b)); err == nil || err.Error() != "cluster: cannot decode an error: broken bytes" {
			t.Errorf("Error(%.40q) = %v, %v; want it refused", b, got, err)
		}
	}
}
