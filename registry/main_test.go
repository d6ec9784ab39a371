package registry_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// newRegistry makes a System, which is shut down at the end of the test, and a Registry of it.
func newRegistry(t testing.TB) (*registry.Registry, *actor.System) {
	t.Helper()
	sys := newSystem(t, slog.New(slog.DiscardHandler))
	return registry.New(sys), sys
}

func newSystem(t testing.TB, log *slog.Logger) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: log})
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

// member is a process that keeps what it receives, and runs a message that is a func(ctx).
type member struct {
	pid       actor.PID
	init      func(ctx context.Context) error
	terminate func(ctx context.Context)
	down      func(actor.Down)

	mu  sync.Mutex
	got []any
}

func (m *member) Init(ctx context.Context) error {
	if m.init != nil {
		return m.init(ctx)
	}
	return nil
}

func (m *member) Receive(ctx context.Context, msg any) error {
	switch f := msg.(type) {
	case func(ctx context.Context):
		f(ctx)
		return nil
	case actor.Down:
		m.down(f)
		return nil
	case error:
		return f
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, msg)
	return nil
}

func (m *member) Terminate(ctx context.Context, _ error) {
	if m.terminate != nil {
		m.terminate(ctx)
	}
}

// take returns what has come since the last take.
func (m *member) take() []any {
	m.mu.Lock()
	defer m.mu.Unlock()
	got := m.got
	m.got = nil
	return got
}

func spawn(t testing.TB, sys *actor.System) *member {
	t.Helper()
	return spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: -1})
}

func spawnWith(t testing.TB, sys *actor.System, m *member, o actor.SpawnOptions) *member {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	m.pid = pid
	return m
}

func spawnMany(t testing.TB, sys *actor.System, n int) []*member {
	t.Helper()
	ms := make([]*member, n)
	for i := range ms {
		ms[i] = spawn(t, sys)
	}
	return ms
}

// end ends a process and waits for it.
func end(t testing.TB, pid actor.PID, reason error) {
	t.Helper()
	pid.Exit(reason)
	if _, err := actor.Wait(context.Background(), pid); err != nil && !errors.Is(err, actor.ErrNoProcess) {
		t.Fatalf("Wait(%v): %v", pid, err)
	}
}

// block occupies a process until release is called.
func block(t testing.TB, pid actor.PID) (release func()) {
	t.Helper()
	entered, released := make(chan struct{}), make(chan struct{})
	if !pid.Send(func(context.Context) { close(entered); <-released }) {
		t.Fatalf("%v does not take a message", pid)
	}
	<-entered
	return sync.OnceFunc(func() { close(released) })
}

// members is Members as a map; a PID that is yielded twice fails the test.
func members(t testing.TB, reg *registry.Registry, group string) map[actor.PID]any {
	t.Helper()
	all := make(map[actor.PID]any)
	for pid, meta := range reg.Members(group) {
		if _, ok := all[pid]; ok {
			t.Errorf("Members(%q) yields %v twice", group, pid)
		}
		all[pid] = meta
	}
	return all
}

func wantMembers(t testing.TB, reg *registry.Registry, group string, want map[actor.PID]any) {
	t.Helper()
	if got := members(t, reg, group); !maps.Equal(got, want) {
		t.Errorf("Members(%q):\ngot  %v\nwant %v", group, got, want)
	}
	if n := reg.Count(group); n != len(want) {
		t.Errorf("Count(%q) = %d, want %d", group, n, len(want))
	}
}

func wantGot(t testing.TB, m *member, want ...any) {
	t.Helper()
	if got := m.take(); !slices.Equal(got, want) {
		t.Errorf("%v got %v, want %v", m.pid, got, want)
	}
}

// mustPanic fails the test unless f panics, and returns the value.
func mustPanic(t testing.TB, what string, f func()) (v any) {
	t.Helper()
	defer func() {
		if v = recover(); v == nil {
			t.Errorf("%s: did not panic", what)
		}
	}()
	f()
	return nil
}

// topicOf is TopicOf, which must work.
func topicOf[M any](t testing.TB, reg *registry.Registry, name string) registry.Topic[M] {
	t.Helper()
	topic, err := registry.TopicOf[M](reg, name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}
