package proto

import (
	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// WithReceiverMiddleware returns o with receiver middleware of protoactor, the first one outermost, as with Props. All
// messages of a process that is spawned with the result go through it. It works wherever SpawnOptions are taken:
// System.Spawn, actor.Spawn, supervisor.Actor, supervisor.Dynamic. Sockets have none. The System must be one of
// [NewSystem]; with any other, spawning fails.
//
//	o := proto.WithReceiverMiddleware(actor.SpawnOptions{Label: "room"}, logging)
//	pid, err := sys.Spawn(ctx, &room{}, o)
//
// The middleware runs on the goroutine of the callback, and sees what the actor is about to receive, Downs, timers and the
// like included, as the Message of the envelope. It may put another message in its place, leave next out, or call it more
// than once; a panic in it ends the process with a *actor.PanicError. Of a Call the envelope has a Sender: who has asked,
// if that came from protoactor, else an address to which one answer can be sent while the message is handled; that is the
// Reply. Init and Terminate are no messages: there are no Started, Stopping and Stopped. Messages of types that
// protoactor keeps for itself, such as *protoactor.PoisonPill, the middleware sees wrapped, so that they stay messages.
// Headers of an envelope do not arrive.
//
// ctx.Self() in the middleware is an address of the process that [ActorPID] knows as well. What a Context can do beyond
// sending is for protoactor's own actors: no child, timeout or behaviour of its can be used.
//
// Each call replaces the middleware that o had. The functions in middleware are called once, as for one Props, so what
// they return is shared by all the processes, and runs for several of them at the same time.
func WithReceiverMiddleware(o actor.SpawnOptions, middleware ...protoactor.ReceiverMiddleware) actor.SpawnOptions {
	return o.Inside(hook.Key{}, engine.NewMiddleware(middleware...))
}
