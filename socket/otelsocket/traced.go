package otelsocket

import (
	"context"
	"fmt"

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

// traced is a handler with spans around its callbacks. The optional ones are in optional.go.
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
	_, ok := fetched(ctx)
	if !ok && t.callbacks&OnInfo == 0 {
		return t.h.HandleInfo(ctx, msg)
	}
	handle := func(ctx context.Context) websock.Result { return t.h.HandleInfo(ctx, msg) }
	what := trace.WithAttributes(messageTypeKey.String(fmt.Sprintf("%T", msg)))
	if ok {
		return t.run(ctx, "HandleInfo", handle, trace.WithSpanKind(trace.SpanKindConsumer), what)
	}
	return t.run(ctx, "HandleInfo", handle, t.root(), what)
}

// root has a span begin a trace of its own. Config.Context may have put the request's span into the ctx; it is linked, and
// not the parent, all the same.
func (t *traced) root() trace.SpanStartOption { return trace.WithNewRoot() }

// of are the attributes of a message of the peer.
func of(msg websock.Message) trace.SpanStartOption {
	return trace.WithAttributes(frameKey.String(msg.Opcode.String()), messageSizeKey.Int(len(msg.Data)))
}

// notReturned is what the status of a span says after a panic, or runtime.Goexit.
const notReturned = "the callback has not returned: it panicked, or ended its goroutine"

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
			span.SetStatus(codes.Error, notReturned)
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
