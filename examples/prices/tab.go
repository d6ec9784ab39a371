package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/websock"
)

// tab is the handler of one socket. Prices go past it: a websock.Message that is broadcast goes to the client without a callback.
type tab struct {
	reg    *registry.Registry
	name   string
	market actor.PID
}

// Init joins, and then asks for what there is already: so nothing is missed, and what comes twice has a number.
func (t *tab) Init(ctx context.Context) websock.Result {
	actor.SetLabel(ctx, t.name)
	t.market, _, _ = t.reg.Whereis(marketName)
	actor.Monitor(ctx, t.market)
	if err := t.reg.Join(everybody, actor.Self(ctx), nil); err != nil {
		return websock.Stop(err)
	}
	now, err := actor.Call[all](ctx, t.market, ask{})
	if err != nil {
		return comeBack()
	}
	return push(hello{"hello", t.name, time.Now().UnixMilli(), now})
}

func (t *tab) HandleIn(_ context.Context, msg websock.Message) websock.Result {
	var in request
	if msg.Opcode != websock.OpText || json.Unmarshal(msg.Data, &in) != nil || in.Type != "halt" {
		return websock.Close(websock.ClosePolicyViolation, `a request is {"type":"halt"}, in a text message`)
	}
	t.market.Send(halt{})
	return websock.OK()
}

// HandleInfo gets the end of the market. The next one counts anew, so the page begins anew.
func (t *tab) HandleInfo(_ context.Context, msg any) websock.Result {
	if _, ok := msg.(actor.Down); ok {
		return comeBack()
	}
	return websock.OK()
}

// HandleLag runs when messages were left out and the client has all that was not. A tab needs nothing more then: it has the newest
// price of each symbol. It tells the page how many there were.
func (t *tab) HandleLag(ctx context.Context, l websock.Lag) websock.Result {
	return push(caughtUp{"caught_up", l.LeftOut, socket.Info(ctx).Lag.LeftOut})
}

func comeBack() websock.Result {
	return websock.Close(websock.CloseServiceRestart, "retry-after=1")
}

func push(v any) websock.Result { return websock.Push(websock.JSON(v)) }
