package otelsocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/otelsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

const all = otelsocket.OnInit | otelsocket.OnIn | otelsocket.OnInfo | otelsocket.OnControl | otelsocket.OnDrain | otelsocket.OnTerminate |
	otelsocket.OnExpiry | otelsocket.OnLag

// full has every callback. in is what HandleIn does.
type full struct {
	in func(context.Context, websock.Message) websock.Result
}

func (full) Init(context.Context) websock.Result            { return websock.OK() }
func (full) HandleInfo(context.Context, any) websock.Result { return websock.OK() }
func (full) Terminate(context.Context, error)               {}
func (f full) HandleIn(ctx context.Context, m websock.Message) websock.Result {
	return f.in(ctx, m)
}
func (full) HandleControl(context.Context, websock.Message) websock.Result { return websock.OK() }
func (full) Describe() any                                                 { return "state" }
func (full) HandleDrain(context.Context, time.Time) websock.Result {
	return websock.Close(websock.CloseGoingAway, "")
}

// rig is a socket with spans, whose request had a span, as otelhttp makes it.
type rig struct {
	*sockettest.Conn
	sockets *socket.Server
	spans   *tracetest.InMemoryExporter
	request trace.SpanContext
}

func inSpans(t *testing.T, traces otelsocket.Traces, h websock.Handler, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{spans: tracetest.NewInMemoryExporter()}
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
		traces.TracerProvider = tp
		var err error
		r.sockets, err = socket.New(socket.Config{System: sockettest.NewSystem(t), Logger: discard,
			Context: func(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }})
		if err != nil {
			t.Fatal(err)
		}
		defer r.sockets.Shutdown(context.Background())
		upgrade := r.sockets.Handler(traces.Handler(func(*http.Request) (websock.Handler, error) { return h, nil }))
		r.Conn, _ = sockettest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			ctx, span := tp.Tracer("http").Start(req.Context(), "GET /ws")
			defer span.End()
			r.request = span.SpanContext()
			upgrade.ServeHTTP(w, req.WithContext(ctx))
		}), nil)
		synctest.Wait()
		f(t, r)
	})
}

// callbacks are the spans of callbacks that have ended, by name and in order.
func (r *rig) callbacks() (spans tracetest.SpanStubs, names []string) {
	synctest.Wait()
	for _, s := range r.spans.GetSpans() {
		if s.InstrumentationScope.Name != "http" {
			spans, names = append(spans, s), append(names, s.Name)
		}
	}
	return spans, names
}

func attr(s tracetest.SpanStub, key string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(key) {
			return a.Value.String()
		}
	}
	return ""
}

func push(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }

// The life of a socket, with the spans that each set of callbacks makes of it.
func TestTraces_callbacks(t *testing.T) {
	for name, tt := range map[string]struct {
		callbacks otelsocket.Callbacks
		want      string
	}{
		"default":  {0, "Init HandleDrain Terminate"},
		"none":     {-1, ""},
		"all":      {all, "Init HandleIn HandleInfo HandleControl HandleDrain Terminate"},
		"messages": {otelsocket.OnIn, "HandleIn"},
		"infos":    {otelsocket.OnInfo, "HandleInfo"},
		"controls": {otelsocket.OnControl, "HandleControl"},
	} {
		t.Run(name, func(t *testing.T) {
			inSpans(t, otelsocket.Traces{Callbacks: tt.callbacks}, full{push}, func(t *testing.T, r *rig) {
				r.Send(websock.Text("hello"))
				r.Want(websock.Text("hello"))
				for pid := range r.sockets.Sockets() {
					pid.Send(42)
				}
				synctest.Wait()
				r.Send(websock.Pong([]byte("p")))
				synctest.Wait()
				if err := r.sockets.Drain(context.Background(), socket.Drain{}); err != nil {
					t.Fatal(err)
				}
				spans, names := r.callbacks()
				if got := strings.Join(names, " "); got != tt.want {
					t.Fatalf("spans: %s; want %s", got, tt.want)
				}
				for _, s := range spans {
					if s.Parent.IsValid() || s.SpanContext.TraceID() == r.request.TraceID() {
						t.Errorf("%s is part of the trace of the request; want a trace of its own", s.Name)
					}
					if len(s.Links) != 1 || !s.Links[0].SpanContext.Equal(r.request) {
						t.Errorf("%s has the links %v; want one, to the request's span", s.Name, s.Links)
					}
					if attr(s, "troupe.callback") != s.Name || attr(s, "troupe.pid") == "" || s.Status.Code == codes.Error {
						t.Errorf("%s has the attributes %v and the status %v", s.Name, s.Attributes, s.Status)
					}
				}
				if tt.callbacks == all {
					for _, want := range []string{"HandleIn troupe.frame text", "HandleIn troupe.message.size 5", "HandleInfo troupe.message.type int",
						"HandleControl troupe.frame pong", "HandleDrain troupe.cause normal", "Terminate troupe.cause normal"} {
						f := strings.Fields(want)
						if got := attr(spans[slices.Index(names, f[0])], f[1]); got != f[2] {
							t.Errorf("%s of %s is %q, want %s", f[1], f[0], got, f[2])
						}
					}
				}
			})
		})
	}
}

// envelope is a message with a trace in it.
type envelope struct {
	Traceparent string `json:"traceparent"`
}

func extract(m websock.Message) propagation.TextMapCarrier {
	var e envelope
	if json.Unmarshal(m.Data, &e) != nil {
		return nil
	}
	return propagation.MapCarrier{"traceparent": e.Traceparent}
}

// A message that says which trace it is part of has a span in it; what says nothing, or nonsense, has none.
func TestTraces_extract(t *testing.T) {
	const parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	seen := ""
	h := full{func(ctx context.Context, m websock.Message) websock.Result {
		seen = trace.SpanContextFromContext(ctx).TraceID().String()
		return websock.Push(m)
	}}
	inSpans(t, otelsocket.Traces{Callbacks: -1, Extract: extract}, h, func(t *testing.T, r *rig) {
		for _, text := range []string{"hello", `{}`, `{"traceparent":"00-zz"}`, `{"traceparent":"` + parent + `"}`} {
			r.Send(websock.Text(text))
			r.Want(websock.Text(text))
		}
		spans, names := r.callbacks()
		if !slices.Equal(names, []string{"HandleIn"}) {
			t.Fatalf("spans: %q; want one, of the last message", names)
		}
		s := spans[0]
		if got := s.Parent.TraceID().String() + "-" + s.Parent.SpanID().String(); !strings.Contains(parent, got) || !s.Parent.IsRemote() {
			t.Errorf("the parent is %s, want %s", got, parent)
		}
		if len(s.Links) != 1 || !s.Links[0].SpanContext.Equal(r.request) {
			t.Errorf("the links are %v; want one, to the request's span", s.Links)
		}
		if seen != s.SpanContext.TraceID().String() {
			t.Errorf("the ctx of the callback has the trace %s, want %s", seen, s.SpanContext.TraceID())
		}
		if s.SpanKind != trace.SpanKindConsumer {
			t.Errorf("the kind is %v, want consumer", s.SpanKind)
		}
	})
}

// hostile is an exit reason that panics.
type hostile struct{}

func (hostile) Error() string { panic("Error") }
func (hostile) Is(error) bool { panic("Is") }
func (hostile) Unwrap() error { panic("Unwrap") }
func (hostile) As(any) bool   { panic("As") }

// Spans end, and say how, whatever the callback does; the socket ends as without them.
func TestTraces_ends(t *testing.T) {
	for name, tt := range map[string]struct {
		in     func() websock.Result
		close  websock.CloseCode
		status codes.Code
		cause  string
	}{
		"close":   {func() websock.Result { return websock.Close(websock.CloseNormal, "") }, 1000, codes.Unset, "normal"},
		"error":   {func() websock.Result { return websock.Stop(errors.New("secret")) }, 1011, codes.Error, "error"},
		"panic":   {func() websock.Result { panic("secret") }, 1011, codes.Error, ""},
		"hostile": {func() websock.Result { return websock.Stop(hostile{}) }, 1011, codes.Error, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			h := full{func(context.Context, websock.Message) websock.Result { return tt.in() }}
			inSpans(t, otelsocket.Traces{Callbacks: otelsocket.OnIn}, h, func(t *testing.T, r *rig) {
				r.Send(websock.Text("x"))
				r.WantClose(tt.close, "")
				spans, names := r.callbacks()
				if !slices.Equal(names, []string{"HandleIn"}) {
					t.Fatalf("spans: %q, want one of HandleIn", names)
				}
				s := spans[0]
				if s.Status.Code != tt.status || attr(s, "troupe.cause") != tt.cause {
					t.Errorf("status %v, attributes %v; want %v, cause %q", s.Status, s.Attributes, tt.status, tt.cause)
				}
				if text := fmt.Sprint(s.Status, s.Attributes, s.Events); strings.Contains(text, "secret") {
					t.Errorf("the span has the text of the error: %s", text)
				}
			})
		})
	}
}

// A handler that is refused is not wrapped.
func TestTraces_refused(t *testing.T) {
	no := errors.New("no")
	h, err := otelsocket.Traces{}.Handler(func(*http.Request) (websock.Handler, error) { return nil, no })(new(http.Request))
	if h != nil || err != no {
		t.Errorf("newHandler returned an error, and its wrapper %v, %v", h, err)
	}
}
