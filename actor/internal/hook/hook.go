// Package hook is the way from package host into package actor that no user can take: actor gives away nothing that is
// exported, and host needs no state of its own.
package hook

// Hosted is what host.Spawn hands to System.Spawn in place of an actor.
type Hosted interface {
	TroupeHooks() *Hooks
}

// Hooks are the functions of host.Hooks, the actor behind them, and the Port that System.Spawn fills in.
type Hooks struct {
	Actor    any // an actor.Actor
	TurnEnd  func(delivering bool)
	Overflow func()
	Ending   func(reason error)
	Port     Port
}

// Port is the process as its host sees it; see host.Port.
type Port interface {
	Start()
	Deliver(msg any) bool
	Fail(reason error)
	Go(t interface{ Run() })
}

// OnExit, sent to a PID by pointer, does not enter the mailbox: it registers F. OK is false when the process is dead.
type OnExit struct {
	F      func(reason error)
	Cancel func()
	OK     bool
}

// ActorKey is the context key under which a process keeps its actor.
type ActorKey struct{}

// CallKey is the context key that is set, to true, while a Call is handled.
type CallKey struct{}
