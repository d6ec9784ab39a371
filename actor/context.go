package actor

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

type processKey struct{}
type callKey struct{}

// asyncKey is found in the ctx of an Async.
type asyncKey struct{}

// processContext is a process as its own ctx. Most processes need no more of it than Value. Only when somebody asks for
// Done, a real context of package context is made. Value asks that one for the private key by which package context knows
// its own contexts. So contexts derived from a processContext need no goroutine, and context.Cause works.
type processContext process

type stdContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// std returns the real context, and makes it if there is none yet.
func (c *processContext) std() *stdContext {
	if std := c.real.Load(); std != nil {
		return std
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if std := c.real.Load(); std != nil {
		return std
	}
	std := &stdContext{}
	std.Context, std.cancel = context.WithCancelCause(context.Background())
	if c.state == stateDead {
		std.cancel(c.reason)
	}
	c.real.Store(std) // whoever sets stateDead looks for it afterwards
	return std
}

// String says whose ctx it is. Without it, fmt would read the process while others write it.
func (c *processContext) String() string {
	return "actor.Context(" + (*process)(c).pid().String() + ")"
}

func (c *processContext) Deadline() (time.Time, bool) { return time.Time{}, false }

func (c *processContext) Done() <-chan struct{} { return c.std().Done() }

func (c *processContext) Err() error {
	if c.real.Load() == nil && (*process)(c).alive() {
		return nil
	}
	return c.std().Err() // so Err, Done and context.Cause change at the same moment
}

func (c *processContext) Value(key any) any {
	switch key.(type) {
	case processKey:
		return (*process)(c)
	case hook.ActorKey:
		return c.actor
	case hook.SystemKey:
		return c.sys
	case callKey, asyncKey, hook.SenderKey: // the values of Scope may come from the callback of another process, with a Call of its own
		return nil
	case *int: // the private key by which package context finds a real context
		if v := c.std().Value(key); v != nil {
			return v
		}
	}
	if c.hosted {
		if values, _ := c.host.Scope(); values != nil {
			return values.Value(key)
		}
	}
	return nil
}

// terminateContext is the ctx of Terminate. At its deadline the process is killed, and so the ctx is done.
type terminateContext struct {
	*processContext
	deadline int64 // by System.now
}

func (c *terminateContext) Deadline() (time.Time, bool) { return c.sys.time(c.deadline), true }

func (c *terminateContext) String() string { return c.processContext.String() }

func processOf(ctx context.Context) *process {
	p, _ := ctx.Value(processKey{}).(*process)
	return p
}

// mustProcess panics when ctx belongs to no process: the caller has mixed up its contexts.
func mustProcess(ctx context.Context, f string) *process {
	p := processOf(ctx)
	if p == nil {
		panic("actor: " + f + ": ctx belongs to no process; pass the ctx of a callback or one derived from it")
	}
	return p
}

// Self is the PID of the process that ctx belongs to: ctx is that of a callback, or derived from it. The zero PID when ctx
// belongs to no process.
func Self(ctx context.Context) PID {
	if p := processOf(ctx); p != nil {
		return p.pid()
	}
	return PID{}
}

// SetLabel names the process of ctx: the label is in [Inspect] and in every log line about the process. It does nothing
// when ctx belongs to no process. It may be called from any goroutine.
func SetLabel(ctx context.Context, label string) {
	if p := processOf(ctx); p != nil {
		p.mu.Lock()
		p.extras().label = label
		p.mu.Unlock()
	}
}
