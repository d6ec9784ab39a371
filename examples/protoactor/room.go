package main

import (
	"context"
	"sync/atomic"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
)

// counting is middleware of protoactor's.
func counting(n *atomic.Int64) protoactor.ReceiverMiddleware {
	return func(next protoactor.ReceiverFunc) protoactor.ReceiverFunc {
		return func(ctx protoactor.ReceiverContext, env *protoactor.MessageEnvelope) {
			n.Add(1)
			next(ctx, env)
		}
	}
}

func spawnCounted(ctx context.Context, sys *actor.System, a actor.Actor, n *atomic.Int64) (actor.PID, error) {
	o := proto.WithReceiverMiddleware(actor.SpawnOptions{Label: "room"}, counting(n))
	return sys.Spawn(ctx, a, o)
}
