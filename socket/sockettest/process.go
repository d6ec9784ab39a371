package sockettest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

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
// [actor.Async], arrives at [Process.Next]; hand it to HandleInfo to go on. Two things need a real socket, see
// [Serve]: socket.Info panics with ctx, and there is no [actor.Caller] to answer.
func NewProcess(t testing.TB, sys *actor.System) (ctx context.Context, p *Process) {
	t.Helper()
	c := &collector{process: Process{t: t, limit: limit(), arrived: make(chan struct{}, 1)}}
	pid, err := sys.Spawn(context.Background(), c, actor.SpawnOptions{Label: "sockettest.Process of " + t.Name(), MailboxLimit: -1})
	if err != nil {
		t.Fatalf("sockettest: start a process: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if pid.Exit(actor.ErrShutdown) {
			wait(t, c.ctx.Done(), "the process of NewProcess")
		}
	})
	c.process.ended = c.ctx.Done()
	return c.ctx, &c.process
}

// Process is a process that collects what is sent to it.
type Process struct {
	t       testing.TB
	limit   time.Duration   // how long Next waits
	ended   <-chan struct{} // closed when the process has ended
	arrived chan struct{}   // has a token when something came since Next last looked

	mu       sync.Mutex
	messages []any
	taken    int // by Next
}

// Next waits for the next message that the process receives and returns it: the first one at its first call, and each
// message once. It fails the test when the process has ended and there is none, so it must be called on the test's own
// goroutine.
func (p *Process) Next() any {
	p.t.Helper()
	timer := time.NewTimer(p.limit)
	defer timer.Stop()
	for over := ""; ; {
		if msg, ok := p.take(); ok {
			return msg
		}
		if over != "" {
			p.t.Fatalf("sockettest: Process.Next: got nothing %s, want a message", over)
		}
		select {
		case <-p.arrived:
		case <-p.ended:
			over = "before the process ended"
		case <-timer.C:
			over = fmt.Sprintf("within %v", p.limit)
		}
	}
}

func (p *Process) take() (msg any, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken == len(p.messages) {
		return nil, false
	}
	p.taken++
	return p.messages[p.taken-1], true
}

func (p *Process) put(msg any) {
	p.mu.Lock()
	p.messages = append(p.messages, msg)
	p.mu.Unlock()
	select {
	case p.arrived <- struct{}{}:
	default:
	}
}

// Messages returns all that the process has received so far, oldest first, whether or not Next has returned it. It may
// be called from any goroutine.
//
// What was sent a moment ago may still be under way. In a bubble it has arrived when [testing/synctest.Wait] has
// returned; outside there is no such moment: use Next.
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
	c.process.put(msg)
	return nil
}
