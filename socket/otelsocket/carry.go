package otelsocket

import (
	"context"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// mostHops is how many messages, each sent by the callback that the one before has reached, are of one trace. A process that
// sends itself a message from each callback would make a trace without end otherwise.
const mostHops = 32

// Carry and [Fetch] take the span of whoever sends a message along to the callback that handles it, in this program and over
// nodes. Both go into the configuration of the System:
//
//	sys, err := actor.NewSystem(actor.Config{Carry: otelsocket.Carry, Fetch: otelsocket.Fetch})
//
// Then the ctx of the callback has that span as a remote one: spans that the callback starts are its children, and so is the
// span of the callback itself, if its handler has one by [Traces.Handler], or its actor by [Traces.Actor]. What the callback
// sends in its turn carries the trace on, for 32 messages in a row; the next one carries nothing.
//
// It works for actor.Call, Spawn, SendAfter and Async, and for actor.Send in the place of PID.Send. What carries no valid span
// costs a look into its ctx. To another node goes what W3C Trace Context has in its headers; the attributes and the
// baggage of the sender stay behind.
func Carry(ctx context.Context) any {
	span := trace.SpanContextFromContext(ctx)
	hops := 1
	if before, ok := fetched(ctx); ok {
		hops += before.hops
	}
	if !span.IsValid() || hops > mostHops {
		return nil
	}
	return &carried{span, hops}
}

// Fetch is the other half of [Carry]. What it does not know it leaves out.
func Fetch(ctx context.Context, with any) context.Context {
	c, ok := with.(*carried)
	if text, isText := with.(string); isText {
		c, ok = parse(text)
	}
	if !ok {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(context.WithValue(ctx, carriedKey{}, c), c.span)
}

// carried is what goes along with a message. Nobody changes it.
type carried struct {
	span trace.SpanContext
	hops int // how many messages, this one included, have carried the trace, one after the other
}

// carriedKey is where a ctx has the *carried that its callback has got.
type carriedKey struct{}

// fetched is what the callback has got that ctx belongs to.
func fetched(ctx context.Context) (*carried, bool) {
	c, ok := ctx.Value(carriedKey{}).(*carried)
	return c, ok
}

// The names of the headers of W3C Trace Context.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// MarshalText is the form for other nodes: traceparent, hops, and tracestate if there is one, with spaces between. A tracestate
// that is longer than what can be carried is left out, as W3C allows.
func (c *carried) MarshalText() ([]byte, error) {
	fields := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), c.span), fields)
	text := fields[traceparent] + " " + strconv.Itoa(c.hops)
	if state := fields[tracestate]; state != "" && len(state) <= 512 {
		text += " " + state
	}
	return []byte(text), nil
}

// parse reads what MarshalText has written, on another node.
func parse(text string) (*carried, bool) {
	f := strings.SplitN(text, " ", 3)
	if len(f) < 2 {
		return nil, false
	}
	hops, err := strconv.Atoi(f[1])
	if err != nil || hops < 1 {
		return nil, false
	}
	fields := propagation.MapCarrier{traceparent: f[0]}
	if len(f) == 3 {
		fields[tracestate] = f[2]
	}
	span := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), fields))
	return &carried{span, hops}, span.IsValid()
}
