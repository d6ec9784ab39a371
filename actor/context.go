package actor

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

type processKey struct{}
type callKey struct{}

// processContext is a process as its own ctx. Most processes never need more of it than Value, so what makes a context
// cancelable is made when somebody asks for Done: a real one of package context, which also answers for the key that
// this package keeps to itself. So contexts derived from a processContext need no goroutine, and context.Cause works.
type processContext process

type stdContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// std returns the real one.
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
	c.real.Store(std) // who sets stateDead looks for it afterwards
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
	return c.std().Err() // whose time is that of Done and of context.Cause
}

func (c *processContext) Value(key any) any {
	switch key.(type) {
	case processKey:
		return (*process)(c)
	case hook.ActorKey:
		return c.actor
	case callKey: // not that of a process in whose callback a request was made
		return nil
	case *int: // the key by which context.Cause, and contexts being derived, find a real one
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

// terminateContext is the ctx of Terminate. At its deadline the process is killed, and so the ctx done.
type terminateContext struct{ *processContext }

func (c *terminateContext) Deadline() (time.Time, bool) { return c.sys.time(c.clock.deadline), true }

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

// Self is the PID of the process that ctx, or a context that ctx was derived from, belongs to; the zero PID when it
// belongs to none.
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
		p.label = label
		p.mu.Unlock()
	}
}
