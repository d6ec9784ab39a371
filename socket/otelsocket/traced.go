package otelsocket

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

const (
	callbackKey    = attribute.Key("troupe.callback")
	pidKey         = attribute.Key("troupe.pid")
	messageSizeKey = attribute.Key("troupe.message.size")
	messageTypeKey = attribute.Key("troupe.message.type")
)

// traced is a handler with spans around its callbacks. What wrap makes of it has the optional ones, too.
type traced struct {
	h websock.Handler
	*tracing
	upgrade trace.SpanContext // of the request; not its context, which would keep all that belongs to it
}

func (t *traced) Init(ctx context.Context) websock.Result {
	if t.callbacks&OnInit == 0 {
		return t.h.Init(ctx)
	}
	return t.run(ctx, "Init", t.h.Init, t.root())
}

func (t *traced) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	remote, ok := t.carried(ctx, msg)
	if !ok && t.callbacks&OnIn == 0 {
		return t.h.HandleIn(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return t.h.HandleIn(ctx, msg) }
	if ok {
		return t.run(remote, "HandleIn", handle, trace.WithSpanKind(trace.SpanKindConsumer), of(msg))
	}
	return t.run(ctx, "HandleIn", handle, t.root(), of(msg))
}

func (t *traced) HandleInfo(ctx context.Context, msg any) websock.Result {
	if t.callbacks&OnInfo == 0 {
		return t.h.HandleInfo(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return t.h.HandleInfo(ctx, msg) }
	return t.run(ctx, "HandleInfo", handle, t.root(), trace.WithAttributes(messageTypeKey.String(fmt.Sprintf("%T", msg))))
}

// controls, drains and terminates have the optional callbacks. Each is there only where the handler has it, as the host does
// not treat those that have one like those that have not: a Drainer is not closed by a drain.
type (
	controls   struct{ t *traced }
	drains     struct{ t *traced }
	terminates struct{ t *traced }
)

func (c controls) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	t, h := c.t, c.t.h.(websock.ControlHandler)
	if t.callbacks&OnControl == 0 {
		return h.HandleControl(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return h.HandleControl(ctx, msg) }
	return t.run(ctx, "HandleControl", handle, t.root(), of(msg))
}

func (d drains) HandleDrain(ctx context.Context, by time.Time) websock.Result {
	t, h := d.t, d.t.h.(websock.Drainer)
	if t.callbacks&OnDrain == 0 {
		return h.HandleDrain(ctx, by)
	}
	return t.run(ctx, "HandleDrain", func(ctx context.Context) websock.Result { return h.HandleDrain(ctx, by) }, t.root())
}

func (d terminates) Terminate(ctx context.Context, reason error) {
	t, h := d.t, d.t.h.(websock.Terminator)
	if t.callbacks&OnTerminate == 0 {
		h.Terminate(ctx, reason)
		return
	}
	t.run(ctx, "Terminate", func(ctx context.Context) websock.Result {
		h.Terminate(ctx, reason)
		return websock.Result{Stop: reason} // which the span tells of like a stop; nobody else gets it
	}, t.root())
}

// wrap is t with the optional callbacks that its handler has.
func wrap(t *traced) websock.Handler {
	_, control := t.h.(websock.ControlHandler)
	_, drain := t.h.(websock.Drainer)
	_, terminate := t.h.(websock.Terminator)
	c, d, e := controls{t}, drains{t}, terminates{t}
	switch {
	case control && drain && terminate:
		return tracedCDT{t, c, d, e}
	case control && drain:
		return tracedCD{t, c, d}
	case control && terminate:
		return tracedCT{t, c, e}
	case drain && terminate:
		return tracedDT{t, d, e}
	case control:
		return tracedC{t, c}
	case drain:
		return tracedD{t, d}
	case terminate:
		return tracedT{t, e}
	}
	return t
}

// traced, with C HandleControl, D HandleDrain, T Terminate.
type (
	tracedC struct {
		*traced
		controls
	}
	tracedD struct {
		*traced
		drains
	}
	tracedT struct {
		*traced
		terminates
	}
	tracedCD struct {
		*traced
		controls
		drains
	}
	tracedCT struct {
		*traced
		controls
		terminates
	}
	tracedDT struct {
		*traced
		drains
		terminates
	}
	tracedCDT struct {
		*traced
		controls
		drains
		terminates
	}
)

// root has a span begin a trace of its own. Config.Context may have put the request's span into the ctx; it is linked, and
// not the parent, all the same.
func (t *traced) root() trace.SpanStartOption { return trace.WithNewRoot() }

// of are the attributes of a message of the peer.
func of(msg websock.Message) trace.SpanStartOption {
	return trace.WithAttributes(frameKey.String(msg.Opcode.String()), messageSizeKey.Int(len(msg.Data)))
}

// run runs a callback in a span. A panic, or an end of the goroutine, goes through it untouched.
func (t *traced) run(ctx context.Context, name string, callback func(context.Context) websock.Result, how ...trace.SpanStartOption) (r websock.Result) {
	how = append(how, trace.WithAttributes(callbackKey.String(name), pidKey.String(actor.Self(ctx).String())))
	if t.upgrade.IsValid() {
		how = append(how, trace.WithLinks(trace.Link{SpanContext: t.upgrade}))
	}
	ctx, span := t.tracer.Start(ctx, name, how...)
	returned := false
	defer func() {
		if !returned {
			span.SetStatus(codes.Error, "the callback has not returned: it panicked, or ended its goroutine")
		} else if r.Stop != nil {
			stopped(span, r.Stop)
		}
		span.End()
	}()
	r = callback(ctx)
	returned = true
	return r
}

// stopped notes why a callback stops the socket. The exit reason is anybody's error, whose methods may panic: the host finds
// that out by itself, and says so.
func stopped(span trace.Span, reason error) {
	cause := socket.CauseError
	defer func() {
		_ = recover()
		span.SetAttributes(causeKey.String(cause.String()))
		if cause == socket.CausePanic || cause == socket.CauseError {
			span.SetStatus(codes.Error, cause.String())
		}
	}()
	cause = socket.CauseOf(reason)
}
