package otelsocket

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/websock"
)

// Wraps implements websock.Wrapper. So the optional callbacks below are called only where the handler has them.
func (t *traced) Wraps() websock.Handler { return t.h }

// Borrows implements websock.Borrower: nothing here keeps a message.
func (t *traced) Borrows() {}

// HandleControl implements websock.ControlHandler.
func (t *traced) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	h := t.h.(websock.ControlHandler)
	if t.callbacks&OnControl == 0 {
		return h.HandleControl(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return h.HandleControl(ctx, msg) }
	return t.run(ctx, "HandleControl", handle, t.root(), of(msg))
}

// HandleDrain implements websock.Drainer.
func (t *traced) HandleDrain(ctx context.Context, by time.Time) websock.Result {
	h := t.h.(websock.Drainer)
	if t.callbacks&OnDrain == 0 {
		return h.HandleDrain(ctx, by)
	}
	return t.run(ctx, "HandleDrain", func(ctx context.Context) websock.Result { return h.HandleDrain(ctx, by) }, t.root())
}

// HandleExpiry implements websock.ExpiryHandler.
func (t *traced) HandleExpiry(ctx context.Context) websock.Result {
	h := t.h.(websock.ExpiryHandler)
	if t.callbacks&OnExpiry == 0 {
		return h.HandleExpiry(ctx)
	}
	return t.run(ctx, "HandleExpiry", h.HandleExpiry, t.root())
}

// HandleLag implements websock.LagHandler.
func (t *traced) HandleLag(ctx context.Context, l websock.Lag) websock.Result {
	h := t.h.(websock.LagHandler)
	if t.callbacks&OnLag == 0 {
		return h.HandleLag(ctx, l)
	}
	return t.run(ctx, "HandleLag", func(ctx context.Context) websock.Result { return h.HandleLag(ctx, l) }, t.root())
}

// Describe implements websock.Describer. It has no span: nothing happens in it.
func (t *traced) Describe() any { return t.h.(websock.Describer).Describe() }

// Terminate implements websock.Terminator.
func (t *traced) Terminate(ctx context.Context, reason error) {
	h := t.h.(websock.Terminator)
	if t.callbacks&OnTerminate == 0 {
		h.Terminate(ctx, reason)
		return
	}
	t.run(ctx, "Terminate", func(ctx context.Context) websock.Result {
		h.Terminate(ctx, reason)
		return websock.Result{Stop: reason} // which the span tells of like a stop; nobody else gets it
	}, t.root())
}
