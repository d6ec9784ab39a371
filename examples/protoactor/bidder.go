package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/websock"
)

// bidder is the handler of a socket. Its client sends amounts.
type bidder struct {
	name    string
	checks  *protoactor.PID // the router
	auction actor.PID       // a process that stands for the auction
}

func newBidder(checks *protoactor.PID, auction actor.PID) func(*http.Request) (websock.Handler, error) {
	return func(r *http.Request) (websock.Handler, error) {
		return &bidder{name: r.FormValue("name"), checks: checks, auction: auction}, nil
	}
}

func (b *bidder) Init(ctx context.Context) websock.Result {
	actor.Monitor(ctx, b.auction)
	return websock.OK()
}

func (b *bidder) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	amount, err := strconv.Atoi(string(msg.Data))
	if err != nil {
		return websock.Push(websock.Text("send an amount"))
	}
	proto.Request(ctx, b.checks, bid{proto.PID(actor.Self(ctx)), b.name, amount})
	return websock.OK()
}

func (b *bidder) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch m := msg.(type) {
	case proto.Answer:
		return b.answered(m)
	case news:
		return websock.Push(websock.Text(m.text))
	case actor.Down: // the auction is over
		return websock.Close(websock.CloseNormal, "sold")
	}
	return websock.OK()
}

func (b *bidder) answered(a proto.Answer) websock.Result {
	switch v := a.Value.(type) {
	case accepted:
		return websock.Push(websock.Text(fmt.Sprintf("you lead with %d", v.amount)))
	case refused:
		return websock.Push(websock.Text("no: " + v.why))
	}
	return websock.Close(websock.CloseTryAgainLater, "") // a.Err: there is no router any more
}
