package otelsocket_test

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/otelsocket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

func carrying(int) actor.Config {
	return actor.Config{Carry: otelsocket.Carry, Fetch: otelsocket.Fetch, Logger: discard}
}

// receive is an actor of one function.
type receive func(ctx context.Context, msg any) error

func (r receive) Receive(ctx context.Context, msg any) error { return r(ctx, msg) }

func spawn(t *testing.T, sys *actor.System, a actor.Actor) actor.PID {
	t.Helper()
	pid, err := sys.Spawn(context.Background(), a, actor.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// asking is a handler that has another process work for each message of the peer, and pushes what it hears of it.
type asking struct{ echo }

func (asking) HandleInfo(_ context.Context, msg any) websock.Result {
	return websock.Push(websock.Text(fmt.Sprint(msg)))
}

// chain is what spans say about how each has come about, the last one first: up to the one that no other has caused.
func chain(spans tracetest.SpanStubs, name string) (names []string) {
	byID := map[trace.SpanID]tracetest.SpanStub{}
	at := tracetest.SpanStub{}
	for _, s := range spans {
		byID[s.SpanContext.SpanID()] = s
		if s.Name == name {
			at = s
		}
	}
	for at.Name != "" {
		names = append(names, at.Name)
		switch {
		case at.Parent.IsValid():
			at = byID[at.Parent.SpanID()]
		case len(at.Links) > 0:
			at = byID[at.Links[0].SpanContext.SpanID()]
		default:
			return names
		}
	}
	return append(names, "unknown")
}

// The upgrade, a callback, another process, another node, and back: each span tells of the one before.
func TestCarry_chain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		traces := otelsocket.Traces{TracerProvider: tp, Callbacks: otelsocket.OnIn}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, System: carrying})
		work := func(ctx context.Context, name string) { // a query, for example
			_, span := tp.Tracer("work").Start(ctx, name)
			span.End()
		}
		far := spawn(t, c.System(1), traces.Actor(receive(func(ctx context.Context, msg any) error {
			work(ctx, "far work")
			actor.Reply(ctx, fmt.Sprint(msg, ", done far away"))
			return nil
		})))
		var client actor.PID
		near := spawn(t, c.System(0), receive(func(ctx context.Context, msg any) error { // no span of its own
			work(ctx, "near work")
			answer, err := actor.Call[string](ctx, c.At(0, far), msg)
			if err != nil {
				return err
			}
			actor.Send(ctx, client, answer)
			return nil
		}))
		sockets, err := socket.New(socket.Config{System: c.System(0), Logger: discard})
		if err != nil {
			t.Fatal(err)
		}
		defer sockets.Shutdown(context.Background())
		upgrade := sockets.Handler(traces.Handler(func(*http.Request) (websock.Handler, error) {
			return struct {
				asking
				in
			}{in: func(ctx context.Context, m websock.Message) websock.Result {
				client = actor.Self(ctx)
				actor.Send(ctx, near, string(m.Data))
				return websock.OK()
			}}, nil
		}))
		conn, _ := sockettest.Dial(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			ctx, span := tp.Tracer("http").Start(req.Context(), "GET /ws")
			defer span.End()
			upgrade.ServeHTTP(w, req.WithContext(ctx))
		}), nil)
		conn.Send(websock.Text("sum"))
		conn.Want(websock.Text("sum, done far away"))
		synctest.Wait()

		all := spans.GetSpans()
		for name, want := range map[string][]string{
			"near work":  {"near work", "HandleIn", "GET /ws"},
			"far work":   {"far work", "Receive", "HandleIn", "GET /ws"},
			"HandleInfo": {"HandleInfo", "HandleIn", "GET /ws"},
		} {
			if got := chain(all, name); !slices.Equal(got, want) {
				t.Errorf("%s has come about by %q, want %q", name, got, want)
			}
		}
		traceIDs := map[trace.TraceID][]string{}
		for _, s := range all {
			traceIDs[s.SpanContext.TraceID()] = append(traceIDs[s.SpanContext.TraceID()], s.Name)
			if (s.Name == "Receive" || s.Name == "HandleInfo") && (!s.Parent.IsRemote() || s.SpanKind != trace.SpanKindConsumer || attr(s, "troupe.message.type") != "string") {
				t.Errorf("%s has the parent %+v, the kind %v, and the attributes %v", s.Name, s.Parent, s.SpanKind, s.Attributes)
			}
		}
		if len(traceIDs) != 2 || len(all) != 6 {
			t.Errorf("the spans of each trace are %v, want GET /ws in one, and the five others in another", traceIDs)
		}
	})
}

// in is a HandleIn.
type in func(ctx context.Context, m websock.Message) websock.Result

func (f in) HandleIn(ctx context.Context, m websock.Message) websock.Result { return f(ctx, m) }

// A process that sends itself a message from each callback does not make one trace without end.
func TestCarry_endless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		sys := newSystem(t, carrying(0))
		got := 0
		pid := spawn(t, sys, otelsocket.Traces{TracerProvider: tp}.Actor(receive(func(ctx context.Context, msg any) error {
			if got++; got < 100 {
				actor.Send(ctx, actor.Self(ctx), msg)
			}
			return nil
		})))
		ctx, span := tp.Tracer("test").Start(t.Context(), "first")
		actor.Send(ctx, pid, "again")
		synctest.Wait()
		span.End()
		if n := len(spans.GetSpans()); got != 100 || n != 1+32 {
			t.Errorf("%d messages of 100 have come, with %d spans; want 33: the first, and 32 in a row", got, n)
		}
	})
}

func newSystem(t *testing.T, cfg actor.Config) *actor.System {
	t.Helper()
	sys, err := actor.NewSystem(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return sys
}

// life is an actor with all callbacks.
type life struct {
	receive
	ended chan error
}

func (life) Init(context.Context) error                  { return nil }
func (l life) Terminate(_ context.Context, reason error) { l.ended <- reason }

// What a callback of an actor does is what the host sees, and what the span says of it.
func TestTraces_Actor(t *testing.T) {
	broken := errors.New("secret")
	for name, tt := range map[string]struct {
		in     func() error
		status codes.Code
	}{
		"nothing": {func() error { return nil }, codes.Unset},
		"normal":  {func() error { return actor.ErrNormal }, codes.Unset},
		"error":   {func() error { return broken }, codes.Error},
		"hostile": {func() error { return hostile{} }, codes.Error},
		"panic":   {func() error { panic("secret") }, codes.Error},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spans := tracetest.NewInMemoryExporter()
				tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
				sys := newSystem(t, carrying(0))
				l := life{func(context.Context, any) error { return tt.in() }, make(chan error, 1)}
				ctx, span := tp.Tracer("test").Start(t.Context(), "first")
				defer span.End()
				pid, err := sys.Spawn(ctx, otelsocket.Traces{TracerProvider: tp}.Actor(l), actor.SpawnOptions{})
				if err != nil {
					t.Fatal(err)
				}
				pid.Send("plain, without a span") // is the first one that is handled
				actor.Send(ctx, pid, 17)
				synctest.Wait()
				pid.Exit(actor.ErrShutdown)
				synctest.Wait()
				if len(l.ended) != 1 {
					t.Error("Terminate has not run")
				}
				got := spans.GetSpans()
				var names []string
				for _, s := range got {
					names = append(names, s.Name)
					if s.Parent.SpanID() != span.SpanContext().SpanID() || attr(s, "troupe.pid") != pid.String() {
						t.Errorf("%s has the parent %v and the attributes %v", s.Name, s.Parent, s.Attributes)
					}
					if strings.Contains(fmt.Sprint(s.Status, s.Attributes, s.Events), "secret") {
						t.Errorf("%s has the text of the error: %+v", s.Name, s)
					}
				}
				want := []string{"Init"}
				if name == "nothing" {
					want = append(want, "Receive")
				}
				if !slices.Equal(names, want) {
					t.Fatalf("spans: %q, want %q", names, want)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				spans := tracetest.NewInMemoryExporter()
				tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
				sys := newSystem(t, carrying(0))
				ctx, span := tp.Tracer("test").Start(t.Context(), "first")
				defer span.End()
				pid := spawn(t, sys, otelsocket.Traces{TracerProvider: tp}.Actor(receive(func(context.Context, any) error { return tt.in() })))
				if info, err := actor.Inspect(pid); info.Actor != "otelsocket_test.receive" {
					t.Errorf("Inspect says it is a %s, %v", info.Actor, err)
				}
				actor.Send(ctx, pid, 17)
				synctest.Wait()
				got := spans.GetSpans()
				if len(got) != 1 || got[0].Name != "Receive" || got[0].Status.Code != tt.status || attr(got[0], "troupe.message.type") != "int" {
					t.Errorf("spans: %+v; want one of Receive with the status %v", got, tt.status)
				}
				if pid.Alive() != (name == "nothing") {
					t.Errorf("the process lives: %t", pid.Alive())
				}
			})
		})
	}
}

// What comes from another node is a text, and may be anything.
func TestFetch_text(t *testing.T) {
	const parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	for text, want := range map[string]string{
		parent + " 1":                  parent + " 2",
		parent + " 31":                 parent + " 32",
		parent + " 1 a=b,c=d":          parent + " 2 a=b,c=d",
		parent + " 1 , ,=":             parent + " 2", // a tracestate that is broken is left out, as W3C wants it
		parent + " 32":                 "",            // it goes no further
		parent + " 33":                 "",
		parent + " 0":                  "",
		parent + " -1":                 "",
		parent + " 1x":                 "",
		parent + " ":                   "",
		parent:                         "",
		"":                             "",
		" 1":                           "",
		"00-zz-01 1":                   "",
		strings.Repeat("0", 55) + " 1": "",
	} {
		ctx := otelsocket.Fetch(t.Context(), text)
		got := ""
		if m, ok := otelsocket.Carry(ctx).(encoding.TextMarshaler); ok {
			b, err := m.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
		}
		if got != want {
			t.Errorf("what has come with %q goes on with %q, want %q", text, got, want)
		}
	}
	for _, other := range []any{nil, 17, []byte(parent)} {
		if ctx := otelsocket.Fetch(t.Context(), other); ctx != t.Context() {
			t.Errorf("Fetch has done something with %v", other)
		}
	}
	if c := otelsocket.Carry(t.Context()); c != nil {
		t.Errorf("a ctx without a span carries %v", c)
	}
	// The longest tracestate goes with it, and all of it has room in what is carried to other nodes.
	state := "k=" + strings.Repeat("v", 250) + ",l=" + strings.Repeat("w", 250)
	ctx := otelsocket.Fetch(t.Context(), parent+" 1 "+state)
	b, err := otelsocket.Carry(ctx).(encoding.TextMarshaler).MarshalText()
	if err != nil || !strings.HasSuffix(string(b), state) || len(b) > 1024 {
		t.Errorf("a long tracestate goes on as %d bytes, %v: %s", len(b), err, b)
	}
}
