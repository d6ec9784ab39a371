package sockettest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/websock"
)

// everywhere runs f outside of a bubble, and in one.
func everywhere(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run("outside", f)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, f) })
}

// fakeT is a test whose failures are looked at.
type fakeT struct {
	testing.TB // for its private method, and for Name

	mu       sync.Mutex
	failures []string
	logs     []string
	cleanups []func()
	ended    bool
}

// run runs f as a test of its own, with its cleanup functions.
func run(t testing.TB, f func(t testing.TB)) *fakeT {
	fake := &fakeT{TB: t}
	fake.goexit(func() { f(fake) })
	for len(fake.cleanups) > 0 {
		last := fake.cleanups[len(fake.cleanups)-1]
		fake.cleanups = fake.cleanups[:len(fake.cleanups)-1]
		fake.goexit(last)
	}
	fake.mu.Lock()
	defer fake.mu.Unlock()
	fake.ended = true
	return fake
}

// goexit runs f where Fatalf can end it.
func (f *fakeT) goexit(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

func (f *fakeT) Helper() {}

func (f *fakeT) Cleanup(fn func()) { f.cleanups = append(f.cleanups, fn) }

func (f *fakeT) Log(args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		panic("Log after the test has ended")
	}
	f.logs = append(f.logs, fmt.Sprint(args...))
}

func (f *fakeT) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		panic("Errorf after the test has ended")
	}
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// failsWith runs f as a test of its own, which must fail once, and with a message that has all parts of want.
func failsWith(t *testing.T, f func(t testing.TB), want ...string) {
	t.Helper()
	fake := run(t, f)
	if len(fake.failures) != 1 || slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(fake.failures[0], w) }) {
		t.Errorf("failures: got %q, want one with %q\nlog:\n%s", fake.failures, want, strings.Join(fake.logs, "\n"))
	}
}

// passes runs f as a test of its own, which must not fail.
func passes(t *testing.T, f func(t testing.TB)) *fakeT {
	t.Helper()
	fake := run(t, f)
	if len(fake.failures) != 0 {
		t.Errorf("failures: got %q, want none\nlog:\n%s", fake.failures, strings.Join(fake.logs, "\n"))
	}
	return fake
}

// handler is a Handler of functions; nil carries on.
type handler struct {
	init      func(context.Context) websock.Result
	in        func(context.Context, websock.Message) websock.Result
	info      func(context.Context, any) websock.Result
	control   func(context.Context, websock.Message) websock.Result
	terminate func(error)
}

func (h *handler) Init(ctx context.Context) websock.Result {
	if h.init == nil {
		return websock.OK()
	}
	return h.init(ctx)
}

func (h *handler) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	if h.in == nil {
		return websock.OK()
	}
	return h.in(ctx, msg)
}

func (h *handler) HandleInfo(ctx context.Context, msg any) websock.Result {
	if h.info == nil {
		return websock.OK()
	}
	return h.info(ctx, msg)
}

func (h *handler) HandleControl(ctx context.Context, msg websock.Message) websock.Result {
	if h.control == nil {
		return websock.OK()
	}
	return h.control(ctx, msg)
}

func (h *handler) Terminate(_ context.Context, reason error) {
	if h.terminate != nil {
		h.terminate(reason)
	}
}

// echo sends back what it gets.
func echo() *handler {
	return &handler{in: func(_ context.Context, msg websock.Message) websock.Result { return websock.Push(msg) }}
}

// first pushes messages at once.
func first(ms ...websock.Message) *handler {
	return &handler{init: func(context.Context) websock.Result { return websock.Push(ms...) }}
}

// result returns r at once.
func result(r websock.Result) *handler {
	return &handler{init: func(context.Context) websock.Result { return r }}
}
