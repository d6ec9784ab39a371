package proto

import (
	"context"
	"fmt"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
)

// Send sends msg to an actor of protoactor, as ActorSystem.Root.Send does. It does not wait for the actor, whose mailbox
// has no limit: a handler that passes on what its client sends asks with [Call] from time to time, or else a client can
// fill it. What reaches nobody is a dead letter there. Messages of one process to one actor keep their order, those of
// Request and Call included. The code of a router, and the sender middleware of ActorSystem.Root, run on the goroutine of
// the callback; when they panic, the process ends.
//
// Send panics when ctx belongs to no process, or its System was not made by [NewSystem]; other goroutines use
// ActorSystem.Root.
func Send(ctx context.Context, pid *protoactor.PID, msg any) {
	_, e := callerOf(ctx, "Send")
	e.Proto().Root.Send(pid, engine.Message(msg))
}

// Request sends msg to an actor of protoactor and does not wait for the answer: what is sent to ctx.Sender() there, as
// ctx.Respond does, comes to the process of ctx as an [Answer], in mailbox order. There may be none, one or any number. An
// answer that is itself a Request is a Call with an Answer in it.
//
// Answers count against the MailboxLimit of the process, as all that it is sent: one that finds the mailbox full is a dead
// letter, and at a socket the end.
//
// That Sender is for answers. For messages of any other kind, such as a websock.Message for the client, the actor needs
// PID(actor.Self(ctx)): put it into msg. To know which answer belongs to which question, use [Call], in an actor.Async.
//
// Request does not wait, and panics as Send does.
func Request(ctx context.Context, pid *protoactor.PID, msg any) {
	_, e := callerOf(ctx, "Request")
	e.Proto().Root.RequestWithCustomSender(pid, msg, engine.AnswerPID(PID(actor.Self(ctx)), pid))
}

// Answer is a message: what came for a [Request].
type Answer struct {
	// From is who was asked.
	From *protoactor.PID
	// Value is the answer.
	Value any
	// Err is actor.ErrNoProcess, wrapped, when there is no such actor; the answer, when that is an error; else nil. An actor
	// that terminates with the question in its mailbox says nothing.
	Err error
}

// answer makes a message of what was sent to the Sender of a Request.
func answer(from *protoactor.PID, msg any) any {
	a := Answer{From: from, Value: msg}
	switch v := msg.(type) {
	case *protoactor.DeadLetterResponse:
		a.Value, a.Err = nil, noProcess(from)
	case error:
		a.Value, a.Err = nil, v
	}
	return a
}

func noProcess(pid *protoactor.PID) error {
	return fmt.Errorf("%w: %s", actor.ErrNoProcess, text(pid))
}
