package otelsocket

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// Actor is a, for actor.System.Spawn or supervisor.Actor, with a span around each Receive that gets a message, and an Init that
// has been spawned, with a span; see [Carry]. The span belongs to the trace of that span. Other messages have none. Of the fields
// of Traces it uses TracerProvider only.
//
// The span is named Receive or Init and has the attributes troupe.callback, troupe.pid and, of Receive, troupe.message.type. Its
// status is Error after a panic, and when the callback ends the process abnormally.
func (t Traces) Actor(a actor.Actor) actor.Actor {
	traced := &tracedActor{a, t.withDefaults().tracer}
	if _, ok := a.(actor.Terminator); ok {
		return tracedTerminator{traced}
	}
	return traced
}

type tracedActor struct {
	a      actor.Actor
	tracer trace.Tracer
}

// Wrapped has actor.Inspect name the type of the user's actor.
func (t *tracedActor) Wrapped() any { return t.a }

func (t *tracedActor) Init(ctx context.Context) error {
	i, ok := t.a.(actor.Initializer)
	if !ok {
		return nil
	}
	if _, ok := fetched(ctx); !ok {
		return i.Init(ctx)
	}
	return t.run(ctx, "Init", i.Init)
}

func (t *tracedActor) Receive(ctx context.Context, msg any) error {
	if _, ok := fetched(ctx); !ok {
		return t.a.Receive(ctx, msg)
	}
	receive := func(ctx context.Context) error { return t.a.Receive(ctx, msg) }
	return t.run(ctx, "Receive", receive, trace.WithAttributes(messageTypeKey.String(fmt.Sprintf("%T", msg))))
}

// tracedTerminator has a Terminate, as its actor has.
type tracedTerminator struct{ *tracedActor }

func (t tracedTerminator) Terminate(ctx context.Context, reason error) {
	t.a.(actor.Terminator).Terminate(ctx, reason)
}

func (t *tracedActor) run(ctx context.Context, name string, callback func(context.Context) error, how ...trace.SpanStartOption) (err error) {
	ctx, span := t.tracer.Start(ctx, name, append(how, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(callbackKey.String(name), pidKey.String(actor.Self(ctx).String())))...)
	returned := false
	defer func() {
		if !returned {
			span.SetStatus(codes.Error, notReturned)
		} else if err != nil && abnormal(err) {
			span.SetStatus(codes.Error, "the process ends")
		}
		span.End()
	}()
	err = callback(ctx)
	returned = true
	return err
}

// abnormal tells whether an exit reason is a failure. It is anybody's error, whose methods may panic: then it is one.
func abnormal(reason error) (is bool) {
	defer func() {
		if recover() != nil {
			is = true
		}
	}()
	return exit.KindOf(reason) == exit.Abnormal
}
