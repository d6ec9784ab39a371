package cluster_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/troupe-dev/troupe/actor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func newInbox(t testing.TB, sys *actor.System) *inbox {
	t.Helper()
	in := &inbox{}
	in.pid = spawn(t, sys, &behaviour{
		init:    func(ctx context.Context) error { in.ctx = ctx; return nil },
		receive: func(_ context.Context, msg any) error { in.add(msg); return nil },
	}, actor.SpawnOptions{})
	return in
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

func (j *journal[T]) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = nil
}
