package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/host"
)

// EventKind says what an Event is about.
type EventKind uint8

const (
	// EventStarted: the child's Serve runs, or an actor is about to be spawned; not after a restart. Logged at Debug.
	EventStarted EventKind = iota
	// EventReady: the child is ready. Logged at Debug.
	EventReady
	// EventExited: the child has ended with Reason, which is of kind ExitKind. Logged at Error when that is abnormal; at
	// Info when it is shutdown only because the child was told to stop, and Reason itself is abnormal; else at Debug.
	EventExited
	// EventRestarted: the child was started again, after its own end or together with a sibling. Logged at Info.
	EventRestarted
	// EventGaveUp: Reason is the *IntensityError. Logged at Error.
	EventGaveUp
	// EventShutdown: the supervisor stops its children, and Remaining of them have not ended yet. A Supervisor reports
	// each step, a Dynamic the first, the last, and each tenth of the whole. The first and the last are logged at Info,
	// the others at Debug.
	EventShutdown
	// EventAbandoned: the child has not returned within its shutdown time and was abandoned. Logged at Error.
	EventAbandoned
	// EventWarning: Reason says what is odd about the configuration. Logged at Warn.
	EventWarning
)

var eventNames = [...]string{"started", "ready", "exited", "restarted", "gave up", "shutdown", "abandoned", "warning"}

// String is the kind in one or two words.
func (k EventKind) String() string { return name(eventNames[:], "event", uint8(k)) }

// Event is something that happened to a child or to the supervisor.
type Event struct {
	Kind       EventKind
	Time       time.Time
	Supervisor string    // Config.Name
	Child      string    // ID; empty when the event is about the supervisor
	PID        actor.PID // of an actor, when it is known
	Reason     error     // never nil with EventExited, EventGaveUp, EventAbandoned and EventWarning
	ExitKind   exit.Kind // with EventExited
	Restarts   int       // of the child, so far
	Remaining  int       // with EventShutdown
}

// reporter gives events to the log and to OnEvent. It does not block whoever reports.
type reporter struct {
	name    string
	log     *host.Log
	calls   *host.Calls // of onEvent
	onEvent func(Event)
	counts  *counts
}

func newReporter(name, fallback, callback string, log *slog.Logger, onEvent func(Event)) reporter {
	if name == "" {
		name = fallback
	}
	l := host.NewLog(log)
	return reporter{name: name, log: l, calls: host.NewCalls(callback, l), onEvent: onEvent, counts: &counts{restarts: map[string]uint64{"": 0}}}
}

// wait waits until OnEvent and the Logger have taken what was reported, as long as they make progress; for ctx see
// [reportCtx].
func (r *reporter) wait(ctx context.Context) {
	r.calls.Wait(ctx)
	r.log.Wait(ctx)
}

// reportCtx is the ctx with which the service of ctx waits, at its end, until its reports are taken. Below a supervisor
// it is done, so that reporter.wait gives up after 300 ms: the supervisor waits for the service within its shutdown time,
// and stops others only after it. Reports that are still on their way then go on.
func reportCtx(ctx context.Context) context.Context {
	if l := lifeOf(ctx); l == nil || l.owner == nil {
		return context.Background()
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	return done
}

// wants tells whether anybody hears of an event that is logged at level.
func (r *reporter) wants(level slog.Level) bool {
	return r.onEvent != nil || r.log.Enabled(context.Background(), level)
}

// report has e logged, and OnEvent called with it.
func (r *reporter) report(e Event) {
	e.Supervisor = r.name
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	r.logEvent(e)
	if r.onEvent != nil {
		r.calls.Do(func() { r.onEvent(e) })
	}
}

func (e *Event) level() slog.Level {
	switch {
	case e.Kind == EventExited && e.ExitKind == exit.Abnormal, e.Kind == EventGaveUp, e.Kind == EventAbandoned:
		return slog.LevelError
	case e.Kind == EventWarning:
		return slog.LevelWarn
	case e.Kind == EventRestarted, e.Kind == EventExited && exit.KindOf(e.Reason) == exit.Abnormal:
		return slog.LevelInfo
	case e.Kind == EventShutdown && (e.Reason != nil || e.Remaining == 0):
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

var eventMessages = [...]string{"child started", "child is ready", "child exited", "child restarted", "supervisor gave up",
	"supervisor is stopping", "child did not end within its shutdown time and is abandoned", "supervisor is configured oddly"}

func (r *reporter) logEvent(e Event) {
	level := e.level()
	if !r.log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{slog.String("supervisor", r.name)}
	if e.Child != "" {
		attrs = append(attrs, slog.String("child", e.Child))
	}
	if e.PID != (actor.PID{}) {
		attrs = append(attrs, slog.String("pid", e.PID.String()))
	}
	switch e.Kind {
	case EventExited:
		attrs = append(attrs, slog.Any("exit_reason", e.Reason), slog.String("exit_kind", e.ExitKind.String()))
		var panicked *actor.PanicError
		if errors.As(e.Reason, &panicked) {
			attrs = append(attrs, slog.String("stack", string(panicked.Stack)))
		}
	case EventRestarted:
		attrs = append(attrs, slog.Int("restarts", e.Restarts))
	case EventShutdown:
		attrs = append(attrs, slog.Int("remaining", e.Remaining))
		if e.Reason != nil {
			attrs = append(attrs, slog.Any("cause", e.Reason))
		}
	case EventGaveUp, EventAbandoned, EventWarning:
		attrs = append(attrs, slog.Any("error", e.Reason))
	}
	message := eventMessages[e.Kind]
	if e.Kind == EventShutdown && e.Reason == nil && e.Remaining == 0 {
		message = "supervisor has stopped"
	}
	r.log.LogAttrs(context.Background(), level, message, attrs...)
}
