package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errBoom = errors.New("boom")
	errLost = errors.New("peer lost")
)

// longest is how long the end of a test waits for what should have ended, on a fake clock or a real one.
const longest = 5 * time.Minute

// newSystem makes a System that is shut down at the end of the test, and fails the test if a path of proto's was reached
// that Troupe never uses.
func newSystem(t testing.TB, cfg actor.Config) (*actor.System, *logs) {
	t.Helper()
	l := &logs{}
	cfg.Logger = slog.New(l)
	sys, err := actor.NewSystem(cfg)
	if err != nil {
		t.Fatalf("NewSystem(%+v): %v", cfg, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), longest)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown at the end of the test: %v", err)
		}
		if r := l.find("a path of the actor engine was reached"); len(r) > 0 {
			t.Errorf("the engine's own paths were reached: %v", r)
		}
	})
	return sys, l
}

// behaviour is an actor with all callbacks; those that are nil do nothing.
type behaviour struct {
	init      func(ctx context.Context) error
	receive   func(ctx context.Context, msg any) error
	terminate func(ctx context.Context, reason error)
}

func (b *behaviour) Init(ctx context.Context) error {
	if b.init == nil {
		return nil
	}
	return b.init(ctx)
}

func (b *behaviour) Receive(ctx context.Context, msg any) error {
	if f, ok := msg.(do); ok {
		return f(ctx)
	}
	if b.receive == nil {
		return nil
	}
	return b.receive(ctx, msg)
}

func (b *behaviour) Terminate(ctx context.Context, reason error) {
	if b.terminate != nil {
		b.terminate(ctx, reason)
	}
}

// noHooks are those of a host.Host that needs none.
type noHooks struct{}

func (noHooks) TurnEnd(bool)                          {}
func (noHooks) Overflow()                             {}
func (noHooks) Ending(error) bool                     { return false }
func (noHooks) Exited(actor.ProcessInfo, error)       {}
func (noHooks) Gone()                                 {}
func (noHooks) Scope() (context.Context, []slog.Attr) { return nil, nil }

// hosted is a behaviour that has a host.
type hosted struct {
	noHooks
	behaviour
}

// do is a message that a behaviour runs.
type do func(ctx context.Context) error

func spawn(t testing.TB, sys *actor.System, a actor.Actor, o actor.SpawnOptions) actor.PID {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), a, o)
	if err != nil {
		t.Fatalf("Spawn(%+v): %v", o, err)
	}
	return pid
}

// inbox is a process that keeps what it receives.
type inbox struct {
	pid actor.PID
	ctx context.Context
	journal[any]
}

func newInbox(t testing.TB, sys *actor.System, o actor.SpawnOptions) *inbox {
	t.Helper()
	in := &inbox{}
	in.pid = spawn(t, sys, &behaviour{
		init:    func(ctx context.Context) error { in.ctx = ctx; return nil },
		receive: func(_ context.Context, msg any) error { in.add(msg); return nil },
	}, o)
	return in
}

// block occupies a process until release is called.
func block(t testing.TB, pid actor.PID) (release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	if !pid.Send(do(func(context.Context) error { close(entered); <-released; return nil })) {
		t.Fatalf("%v does not take a message", pid)
	}
	<-entered
	return sync.OnceFunc(func() { close(released) })
}

// journal is a list that several goroutines write to.
type journal[T any] struct {
	mu   sync.Mutex
	list []T
}

func (j *journal[T]) add(v T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(j.list, v)
}

func (j *journal[T]) all() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.list)
}

func (j *journal[T]) len() int { return len(j.all()) }

// logs is a slog.Handler that collects.
type logs struct{ journal[record] }

type record struct {
	Level slog.Level
	Msg   string
	Attrs map[string]any
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }
func (l *logs) Handle(_ context.Context, r slog.Record) error {
	rec := record{Level: r.Level, Msg: r.Message, Attrs: make(map[string]any)}
	r.Attrs(func(a slog.Attr) bool { rec.Attrs[a.Key] = a.Value.Any(); return true })
	l.add(rec)
	return nil
}

// find returns the records whose message contains text.
func (l *logs) find(text string) []record {
	return slices.DeleteFunc(l.all(), func(r record) bool { return !strings.Contains(r.Msg, text) })
}

// mustPanic fails the test unless f panics, and returns the value.
func mustPanic(t testing.TB, name string, f func()) (v any) {
	t.Helper()
	defer func() {
		if v = recover(); v == nil {
			t.Errorf("%s: did not panic", name)
		}
	}()
	f()
	return nil
}

func configWith(cfg actor.Config, l *logs) actor.Config {
	cfg.Logger = slog.New(l)
	return cfg
}
