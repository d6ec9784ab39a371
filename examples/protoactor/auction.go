package main

import (
	"fmt"
	"slices"

	protoactor "github.com/asynkron/protoactor-go/actor"
)

// bid is a message, and the answer to it is an accepted or a refused.
type bid struct {
	bidder *protoactor.PID // who is told what comes of it
	name   string
	amount int
}

type accepted struct{ amount int }

type refused struct{ why string }

// news is a message to everybody who has bid.
type news struct{ text string }

// auctioneer takes bids, the highest last.
type auctioneer struct{ bids []bid }

func (a *auctioneer) Receive(ctx protoactor.Context) {
	switch m := ctx.Message().(type) {
	case bid:
		if n := len(a.bids); n > 0 && m.amount <= a.bids[n-1].amount {
			ctx.Respond(refused{fmt.Sprintf("%s has bid %d", a.bids[n-1].name, a.bids[n-1].amount)})
			return
		}
		ctx.Respond(accepted{m.amount})
		a.tell(ctx, fmt.Sprintf("%s bids %d", m.name, m.amount))
		a.bids = append(a.bids, m)
		ctx.Watch(m.bidder)
	case *protoactor.Terminated: // whoever has gone cannot win
		a.bids = slices.DeleteFunc(a.bids, func(b bid) bool { return b.bidder.Equal(m.Who) })
		a.tell(ctx, "somebody has left")
	case *protoactor.Stopping:
		if n := len(a.bids); n > 0 {
			a.tell(ctx, fmt.Sprintf("sold to %s for %d", a.bids[n-1].name, a.bids[n-1].amount))
		}
	}
}

// tell sends text to everybody who has bid, once.
func (a *auctioneer) tell(ctx protoactor.Context, text string) {
	told := protoactor.NewPIDSet()
	for _, b := range a.bids {
		if !told.Contains(b.bidder) {
			told.Add(b.bidder)
			ctx.Send(b.bidder, news{text})
		}
	}
}
