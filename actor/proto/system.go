package proto

import (
	"context"
	"errors"
	"fmt"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// NewSystem makes a System whose processes live in an ActorSystem of the program's own, next to the program's actors. Call
// it right after the ActorSystem was made, before anything runs in it, and before the Start of protoactor's remote or
// cluster: protoactor reads without a lock what NewSystem writes. There is one System for an ActorSystem, for the life of
// both; a second one is an error, as are the errors of [actor.NewSystem].
//
// The ActorSystem stays the program's. Its Logger, its EventStream, its metrics and its registry are as they were; only
// cfg.Logger gets Troupe's lines. Processes that nobody hosts, such as rooms and workers, are entered in the registry, under
// ids that begin with "troupe:". Sockets are not: one that protoactor never talks to costs nothing there.
//
// The two are shut down one after the other, by the program. System.Shutdown ends Troupe's processes, and leaves the
// ActorSystem and its actors alone. ActorSystem.Shutdown ends no process, just as it ends no actor. So end the System
// first, while the actors that its processes talk to in Terminate are there.
func NewSystem(as *protoactor.ActorSystem, cfg actor.Config) (*actor.System, error) {
	if as == nil {
		return nil, errors.New("proto: NewSystem: nil ActorSystem")
	}
	return cfg.Inside(hook.Key{}).NewSystem(func(c engine.Config) (*engine.System, error) {
		s, err := engine.Adopt(as, c, answer)
		if err != nil {
			return nil, fmt.Errorf("proto: NewSystem: %w", err)
		}
		return s, nil
	})
}

// engineOf is what sys rests on. It panics when sys was not made by NewSystem: its ActorSystem is one that nobody else is in.
func engineOf(sys *actor.System, f string) *engine.System {
	e := sys.Inside(hook.Key{}).Engine()
	if !e.Adopted() {
		panic("proto: " + f + ": the System was not made by proto.NewSystem")
	}
	return e
}

// callerOf is the System of the process that ctx belongs to, and what that rests on.
func callerOf(ctx context.Context, f string) (*actor.System, *engine.System) {
	sys, _ := ctx.Value(hook.SystemKey{}).(*actor.System)
	if sys == nil {
		panic("proto: " + f + ": ctx belongs to no process; pass the ctx of a callback, or use ActorSystem.Root")
	}
	return sys, engineOf(sys, f)
}
