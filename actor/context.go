package actor

import (
	"context"

	"github.com/troupe-dev/troupe/actor/internal/hook"
)

type processKey struct{}
type callKey struct{}

// processContext is the ctx of a process: a real cancelable context, to which only Value is added, so that contexts
// derived from it need no goroutine.
type processContext struct {
	context.Context
	p *process
}

func (c *processContext) Value(key any) any {
	switch key.(type) {
	case processKey:
		return c.p
	case hook.ActorKey:
		return c.p.actor
	}
	return c.Context.Value(key)
}

// callContext is the ctx of one callback that handles a Call.
type callContext struct {
	context.Context
	c *call
}

func (c *callContext) Value(key any) any {
	switch key.(type) {
	case callKey:
		return c.c
	case hook.CallKey:
		return true
	}
	return c.Context.Value(key)
}

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
