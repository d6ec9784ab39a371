package sockettest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

// NewSystem returns an actor system that is shut down by t.Cleanup. Its log goes to t.Log.
func NewSystem(t testing.TB) *actor.System {
	t.Helper()
	return newSystem(t, newLogger(t))
}

func newSystem(t testing.TB, log *slog.Logger) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: log})
	if err != nil {
		t.Fatalf("sockettest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		shutdown(t, sys.Shutdown)
	})
	return sys
}

// NewProcess starts a process of sys that collects its messages and does nothing else. It ends by t.Cleanup.
//
// ctx belongs to it, so that callbacks of a handler can be called directly, as if the process were their socket:
//
//	ctx, process := sockettest.NewProcess(t, sys)
//	result := h.HandleInfo(ctx, msg)
//
// [actor.Self] of ctx is its PID, and what the callback asks for with ctx, as [actor.SendAfter], [actor.Monitor] and
// [actor.Async], arrives in [Process.Messages]; hand it to HandleInfo to go on. Two things need a real socket, see
// [Serve]: socket.Info panics with ctx, and there is no [actor.Caller] to answer.
func NewProcess(t testing.TB, sys *actor.System) (ctx context.Context, p *Process) {
	t.Helper()
	c := &collector{}
	pid, err := sys.Spawn(c, actor.SpawnOptions{Label: "sockettest.Process of " + t.Name(), MailboxLimit: -1})
	if err != nil {
		t.Fatalf("sockettest: start a process: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if pid.Exit(actor.ErrShutdown) {
			wait(t, c.ctx.Done(), "the process of NewProcess")
		}
	})
	return c.ctx, &c.process
}

// Process is a process that collects what is sent to it.
type Process struct {
	mu       sync.Mutex
	messages []any
}

// Messages returns what the process has received so far, oldest first. It may be called from any goroutine.
//
// What was sent a moment ago may still be under way: in a bubble call [testing/synctest.Wait] first.
func (p *Process) Messages() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// collector is the actor of a Process.
type collector struct {
	ctx     context.Context
	process Process
}

func (c *collector) Init(ctx context.Context) error {
	c.ctx = ctx
	return nil
}

func (c *collector) Receive(_ context.Context, msg any) error {
	c.process.mu.Lock()
	defer c.process.mu.Unlock()
	c.process.messages = append(c.process.messages, msg)
	return nil
}
