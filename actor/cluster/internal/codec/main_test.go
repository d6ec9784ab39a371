package codec_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/internal/codec"
	"github.com/troupe-dev/troupe/actor/exit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remoteError is what package cluster makes of a Foreign.
type remoteError struct{ codec.Foreign }

func (e *remoteError) Error() string       { return e.Text + " (at node " + e.Node + ")" }
func (e *remoteError) ExitKind() exit.Kind { return e.Kind }
func (e *remoteError) Unwrap() []error     { return e.Is }

const maxMessage = 1 << 10

func newSystem(t testing.TB, node string) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Node: node, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return sys
}

func newCodec(sys *actor.System, types *codec.Types) *codec.Codec {
	return codec.New(codec.Config{
		System: sys, Types: types, MaxMessage: maxMessage,
		Foreign: func(f codec.Foreign) error { return &remoteError{f} },
		Origin: func(err error) (codec.Foreign, bool) {
			if e, ok := err.(*remoteError); ok {
				return e.Foreign, true
			}
			return codec.Foreign{}, false
		},
	})
}

// pair is two nodes, a and b; what a sends, b receives.
type pair struct {
	a, b *actor.System
	enc  *codec.Codec
	dec  *codec.Peer
}

// connect makes a pair whose nodes have registered what the functions register; nil: nothing.
func connect(t testing.TB, atA, atB func(*codec.Types)) pair {
	t.Helper()
	p := pair{a: newSystem(t, "a"), b: newSystem(t, "b")}
	typesA, typesB := new(codec.Types), new(codec.Types)
	if atA != nil {
		atA(typesA)
	}
	if atB != nil {
		atB(typesB)
	}
	p.enc = newCodec(p.a, typesA)
	p.dec = peerOf(t, newCodec(p.b, typesB), p.a, p.enc.Announcement())
	return p
}

func peerOf(t testing.TB, c *codec.Codec, sys *actor.System, announcement []byte) *codec.Peer {
	t.Helper()
	node, boot := originOf(t, sys)
	dec, err := c.Peer(node, boot, announcement)
	if err != nil {
		t.Fatalf("Peer(%q): %v", announcement, err)
	}
	return dec
}

// value sends v from a to b.
func (p pair) value(t testing.TB, v any) any {
	t.Helper()
	b, err := p.enc.AppendValue([]byte("head"), v)
	if err != nil {
		t.Fatalf("AppendValue(%#v): %v", v, err)
	}
	if string(b[:4]) != "head" {
		t.Fatalf("AppendValue(%#v) has changed what was before: %q", v, b)
	}
	got, err := p.dec.Value(b[4:])
	if err != nil {
		t.Fatalf("Value(%x) of %#v: %v", b[4:], v, err)
	}
	return got
}

// reason sends an exit reason from a to b.
func (p pair) reason(t testing.TB, reason error) error {
	t.Helper()
	b := p.enc.AppendError([]byte("head"), reason)
	if string(b[:4]) != "head" {
		t.Fatalf("AppendError has changed what was before: %q", b)
	}
	got, err := p.dec.Error(b[4:])
	if err != nil {
		t.Fatalf("Error(%x) of %#v: %v", b[4:], reason, err)
	}
	return got
}

type nothing struct{}

func (nothing) Receive(context.Context, any) error { return nil }

func spawn(t testing.TB, sys *actor.System) actor.PID {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), nothing{}, actor.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// mustPanic fails the test unless f panics with this text.
func mustPanic(t testing.TB, want string, f func()) {
	t.Helper()
	defer func() {
		if got := recover(); got != want {
			t.Errorf("panic\n got  %v\n want %v", got, want)
		}
	}()
	f()
}

var errBoom = errors.New("boom")

func registered(register func(*codec.Types)) *codec.Types {
	t := new(codec.Types)
	register(t)
	return t
}
