package report

import (
	"context"
	"log/slog"
	"time"
)

// Log is a Logger that never blocks and never panics: its lines wait in a Queue for the user's Logger. They carry the
// time at which they were reported. Of the user's code only the Handler's Enabled runs on the caller's goroutine.
type Log struct {
	*slog.Logger
	queue Queue
}

// NewLog makes a Log for the user's Logger; nil: slog.Default().
func NewLog(to *slog.Logger) *Log {
	if to == nil {
		to = slog.Default()
	}
	l := &Log{}
	h := to.Handler()
	l.queue.lost = func(n int) {
		r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped, which the Logger did not take in time", 0)
		r.AddAttrs(slog.Int("dropped", n))
		_ = h.Handle(context.Background(), r)
	}
	l.queue.panicked = func(v any, stack []byte) {
		r := slog.NewRecord(time.Now(), slog.LevelError, "panic while a line was logged", 0)
		r.AddAttrs(slog.Any("panic", v), slog.String("stack", string(stack)))
		_ = h.Handle(context.Background(), r)
	}
	l.Logger = slog.New(&handler{&l.queue, h})
	return l
}

// Room is [Queue.Room].
func (l *Log) Room(n int) { l.queue.Room(n) }

// Wait is [Queue.Wait].
func (l *Log) Wait(ctx context.Context) bool { return l.queue.Wait(ctx) }

// handler is a slog.Handler that puts records into a Queue.
type handler struct {
	queue *Queue
	to    slog.Handler
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() {
		if recover() != nil {
			h.queue.drop()
			enabled = false
		}
	}()
	return h.to.Enabled(ctx, level)
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	h.queue.Do(func() { _ = h.to.Handle(ctx, r) })
	return nil
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func() slog.Handler { return h.to.WithAttrs(attrs) })
}

func (h *handler) WithGroup(name string) slog.Handler {
	return h.with(func() slog.Handler { return h.to.WithGroup(name) })
}

// with is what f makes of the Handler, or the Handler as it is when f panics.
func (h *handler) with(f func() slog.Handler) slog.Handler {
	to := h.to
	func() {
		defer func() { _ = recover() }()
		to = f()
	}()
	return &handler{h.queue, to}
}

// NewCalls makes a Queue for calls of the callback of this name. Panics and dropped calls are logged.
func NewCalls(name string, log *Log) *Queue {
	return &Queue{
		refusing: func() {
			log.Error("a callback does not return, or is too slow; calls of it are dropped", "callback", name)
		},
		lost: func(n int) {
			log.Warn("calls of a callback were dropped", "callback", name, "dropped", n)
		},
		panicked: func(v any, stack []byte) {
			log.Error("panic in a callback", "callback", name, "panic", v, "stack", string(stack))
		},
	}
}
