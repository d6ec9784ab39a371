// Package hook is the way from package host into package actor that no user can take: actor gives away nothing that is
// exported, and host needs no state of its own.
package hook

import (
	"context"
	"log/slog"
	"time"

	"github.com/troupe-dev/troupe/actor/internal/report"
)

// Hosted is what host.Spawn hands to System.Spawn in place of an actor.
type Hosted interface {
	TroupeHosted() *Process
}

// Process is the actor of a hosted process, its Hooks, and the Port that System.Spawn fills in.
type Process struct {
	Actor any // an actor.Actor
	Hooks Hooks
	Port  Port
}

// Hooks are those of host.Host.
type Hooks interface {
	TurnEnd(delivering bool)
	Overflow()
	Ending(reason error)
}

// Brief is host.Brief.
type Brief interface{ Brief() bool }

// Gone is host.Gone.
type Gone interface{ Gone() }

// Scoped is host.Scoped.
type Scoped interface {
	ContextValue(key any) any
	LogAttrs() []slog.Attr
}

// Corked is host.Corked.
type Corked interface{ Corked() }

// Patient is host.Patient.
type Patient interface{ AbandonAfter() time.Duration }

// Port is the process as its host sees it; see host.Port.
type Port interface {
	Start()
	Deliver(msg any) bool
	DeliverLast(msg any, reason error) bool
	Delivering() bool
	Fail(reason error)
	Decided()
	Go(t interface{ Run() })
}

// OnExit, sent to a PID by pointer, does not enter the mailbox: it registers F. OK is false when the process is dead.
type OnExit struct {
	F      func(reason error)
	Cancel func()
	OK     bool
}

// Reach, sent to a PID by pointer, does not enter the mailbox: Ref becomes the process, nil when it is dead.
type Reach struct{ Ref Ref }

// Ref is host.Ref. What Defer and Notify get is a host.Deferred.
type Ref interface {
	Send(msg any) bool
	Alive() bool
	Defer(d any) bool
	Notify(d any) bool
}

// Present marks the error of a start under an id that is in use; see host.Present.
type Present interface {
	error
	TroupePresent()
}

// Unhandled marks the error of a Call that no callback was given; see host.Unhandled.
type Unhandled interface {
	error
	TroupeUnhandled()
}

// ActorKey is the context key under which a process keeps its actor.
type ActorKey struct{}

// SystemKey is the context key by which System.Serve only fills in the *System that is its value.
type SystemKey struct{}

// System is a System as host sees it.
type System struct {
	Log    *report.Log
	Reopen func(ctx context.Context) error
}

// CallKey is the context key that is set, to true, while a Call is handled.
type CallKey struct{}
