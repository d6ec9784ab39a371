package sockettest

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
)

// trespass is the message of a record that shows a fault of package actor itself.
const trespass = "a path of the actor engine was reached that is never used"

// newLogger returns a logger that writes to t.Log. It stops when the cleanup functions that are registered after this one
// have run: t.Log panics after the end of the test, and a goroutine that is still running cannot know of that.
func newLogger(t testing.TB) *slog.Logger {
	l := &testLog{t: t}
	t.Cleanup(l.end)
	return slog.New(logHandler{slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}), l})
}

// testLog is t while the test runs.
type testLog struct {
	mu sync.Mutex
	t  testing.TB // nil: the test has ended
}

func (l *testLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = nil
}

// Write logs one line.
func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Log(string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	return len(line), nil
}

func (l *testLog) fail() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Errorf("sockettest: %s; see the log", trespass)
	}
}

// logHandler fails the test on a record that shows a fault of package actor.
type logHandler struct {
	slog.Handler
	log *testLog
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Message == trespass {
		h.log.fail()
	}
	return err
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.log}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.log}
}
