package main

import (
	"context"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/proto"
	"github.com/troupe-dev/troupe/websock"
)

// This file is about sending much. The auction needs none of it.

type reading struct{ data []byte }

type handled struct{} // what the actor answers when there is a Sender

const window = 256

// meter is a handler whose client sends much to an actor.
type meter struct {
	store *protoactor.PID
	n     int
}

// HandleIn passes a message on. The actor has at most window of them to do for each client.
func (m *meter) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	if m.n++; m.n%window != 0 {
		proto.Send(ctx, m.store, reading{msg.Data})
		return websock.OK()
	}
	if _, err := proto.Call[handled](ctx, m.store, reading{msg.Data}); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (m *meter) Init(context.Context) websock.Result            { return websock.OK() }
func (m *meter) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

type row struct{ text string }

type table struct{ exports func(socket *protoactor.PID) }

func (t *table) Init(ctx context.Context) websock.Result {
	t.exports(proto.PID(actor.Self(ctx)))
	return websock.OK()
}

// HandleInfo answers each row that it pushes.
func (t *table) HandleInfo(ctx context.Context, msg any) websock.Result {
	r, ok := msg.(row)
	if !ok {
		return websock.OK()
	}
	actor.Reply(ctx, handled{})
	return websock.Push(websock.Text(r.text))
}

func (t *table) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

// export is an actor that sends rows to a socket.
type export struct {
	socket         *protoactor.PID
	rows           []row
	sent, answered int
}

func (e *export) Receive(ctx protoactor.Context) {
	switch ctx.Message().(type) {
	case *protoactor.DeadLetterResponse: // the socket has gone
		ctx.Stop(ctx.Self())
		return
	case handled:
		e.answered++
	}
	for ; e.sent < len(e.rows) && e.sent-e.answered < window; e.sent++ {
		ctx.Request(e.socket, e.rows[e.sent])
	}
}
