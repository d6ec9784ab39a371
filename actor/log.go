package actor

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/troupe-dev/troupe/actor/exit"
)

// logEnd reports how a process without a host has ended. A host reports the end of its own.
func (p *process) logEnd(reason error) {
	if p.hosted {
		return
	}
	defer func() {
		if r := recover(); r != nil { // the reason is an error of the user's, whose methods may do anything
			p.LogPanic("exit reason", &PanicError{Value: r, Stack: debug.Stack()})
		}
	}()
	level := slog.LevelDebug
	if exit.KindOf(reason) == exit.Abnormal {
		level = slog.LevelError
	}
	log := p.sys.log
	if !log.Enabled(context.Background(), level) {
		return
	}
	attrs := append(p.attrs(), slog.Any("exit_reason", reason))
	var panicked *PanicError
	if errors.As(reason, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
	}
	log.LogAttrs(context.Background(), level, "process ended", attrs...)
}

// logPanic reports a panic where it does not become the exit reason.
func (p *process) logPanic(h phase, err error) {
	if panicked, ok := err.(*PanicError); ok {
		p.LogPanic(h.String(), panicked)
	}
}

// LogPanic is host.Port.LogPanic.
func (p *process) LogPanic(where string, panicked *PanicError) {
	p.sys.log.LogAttrs(context.Background(), slog.LevelError, "panic while a process ended", append(p.attrs(),
		slog.String("where", where), slog.Any("panic", panicked.Value), slog.String("stack", string(panicked.Stack)))...)
}

func (p *process) attrs() []slog.Attr {
	p.mu.Lock()
	label := p.label()
	p.mu.Unlock()
	attrs := []slog.Attr{slog.String("pid", p.pid().String()), slog.String("label", label)}
	if p.hosted {
		_, more := p.host.Scope()
		attrs = append(attrs, more...)
	}
	return attrs
}
