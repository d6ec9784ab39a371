package main

import (
	protoactor "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/router"
)

// newChecks are workers that look at each bid, and pass it on when it is in order. The answer comes from the auction then.
func newChecks(auction *protoactor.PID) *protoactor.Props {
	return router.NewRoundRobinPool(4, protoactor.WithFunc(func(ctx protoactor.Context) {
		b, ok := ctx.Message().(bid)
		switch {
		case !ok: // Started and the like
		case b.amount > 1_000:
			ctx.Respond(refused{"your limit is 1000"})
		default:
			ctx.Forward(auction)
		}
	}))
}
