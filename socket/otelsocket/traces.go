package otelsocket

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-dev/troupe/websock"
)

// Traces says which callbacks of a socket get a span. The zero value works: Init, HandleDrain and Terminate have one, so a
// socket has three in its life, and what peers and other processes send has none.
//
// Each span is the root of a trace of its own, sampled as all are, with a link to the span of the request that became the
// socket. The request's span has ended by then, hours ago perhaps; and one span for the life of a socket would be seen only
// when it is over, and not at all after a crash. The ctx of the callback has the span, so a query or a request in it becomes
// its child, and what the callback sends to other processes takes it along where the System has [Carry] and [Fetch].
//
// A message that comes to HandleInfo with a span has one, too, which belongs to the trace of that span, whatever Callbacks
// says. So a trace goes on from process to process.
//
// A span is named as the callback is, and has these attributes:
//
//	troupe.callback      Init, HandleIn, HandleInfo, HandleControl, HandleDrain, HandleExpiry, HandleLag, Terminate
//	troupe.pid           of the socket
//	troupe.frame         text, binary, ping, pong: of HandleIn and HandleControl
//	troupe.message.size  its payload, in bytes: likewise
//	troupe.message.type  the Go type of the message: of HandleInfo
//	troupe.cause         when the callback stops the socket, and of Terminate: as socket.Cause has it
//
// Payloads and the texts of errors are in no span. The status is Error after a panic, and when the cause is panic or error.
type Traces struct {
	// TracerProvider makes the spans. nil: that of otel.GetTracerProvider.
	TracerProvider trace.TracerProvider

	// Callbacks are those that get a span. 0: OnInit | OnDrain | OnTerminate; negative: none, but for what Extract finds, and for
	// what comes with a span.
	// A span costs some allocations, and tens of times what a counter costs: with OnIn or OnInfo that is paid for each message. A
	// callback without a span costs one call and one comparison more than without Traces.
	Callbacks Callbacks

	// Extract returns what a message of the peer says of the trace that it is part of, such as a field traceparent in its
	// JSON; nil: nothing. Then HandleIn has a span, which belongs to that trace, whatever Callbacks says. It is called
	// in the process, before HandleIn, for each message; it must not keep or change msg. nil: no message is looked at.
	//
	// The peer chooses what it sends: a stranger can join any trace whose ID it knows, and can have its spans sampled where
	// the sampler goes by the parent. Return nil for peers that you do not trust.
	Extract func(msg websock.Message) propagation.TextMapCarrier

	// Propagator reads what Extract returns. nil: propagation.TraceContext, which is that of W3C.
	Propagator propagation.TextMapPropagator
}

// Callbacks is a set of callbacks of a websock.Handler.
type Callbacks int16

// The callbacks.
const (
	OnInit      Callbacks = 1 << iota // Init
	OnIn                              // HandleIn: messages of the peer
	OnInfo                            // HandleInfo: messages of other processes; those that go to the client as they are pass no callback
	OnControl                         // HandleControl: pings and pongs of the peer
	OnDrain                           // HandleDrain
	OnTerminate                       // Terminate
	OnExpiry                          // HandleExpiry
	OnLag                             // HandleLag
)

// Handler is newHandler, for [socket.Server.Handler], with spans around the callbacks of the handlers that it returns, each a
// [websock.Wrapper]. So a handler has the optional callbacks that it has without Traces, and in actor.Inspect its own type.
//
// The request's span is that of r.Context() when newHandler is called: that of otelhttp, for example. Without one there are no
// links.
func (t Traces) Handler(newHandler func(*http.Request) (websock.Handler, error)) func(*http.Request) (websock.Handler, error) {
	tr := t.withDefaults()
	return func(r *http.Request) (websock.Handler, error) {
		h, err := newHandler(r)
		if err != nil || h == nil {
			return h, err
		}
		return &traced{h: h, tracing: tr, upgrade: trace.SpanContextFromContext(r.Context())}, nil
	}
}

// tracing is what all sockets of one Traces have in common.
type tracing struct {
	tracer     trace.Tracer
	callbacks  Callbacks
	extract    func(websock.Message) propagation.TextMapCarrier
	propagator propagation.TextMapPropagator
}

func (t Traces) withDefaults() *tracing {
	if t.TracerProvider == nil {
		t.TracerProvider = otel.GetTracerProvider()
	}
	if t.Callbacks == 0 {
		t.Callbacks = OnInit | OnDrain | OnTerminate
	}
	if t.Propagator == nil {
		t.Propagator = propagation.TraceContext{}
	}
	return &tracing{
		tracer: t.TracerProvider.Tracer(scope), callbacks: max(t.Callbacks, 0), extract: t.Extract, propagator: t.Propagator,
	}
}

// carried is ctx with the span that the peer says msg belongs to; ok is false when it says nothing, or nothing that is valid.
func (t *tracing) carried(ctx context.Context, msg websock.Message) (_ context.Context, ok bool) {
	if t.extract == nil {
		return ctx, false
	}
	carrier := t.extract(msg)
	if carrier == nil {
		return ctx, false
	}
	// Config.Context may have put a span into ctx; what the peer has sent must not be taken for it.
	remote := t.propagator.Extract(trace.ContextWithSpan(ctx, nil), carrier)
	return remote, trace.SpanContextFromContext(remote).IsValid()
}
