package proto

import (
	"context"
	"fmt"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
)

// Send sends msg to an actor of protoactor, as ActorSystem.Root.Send does. It never blocks. What reaches nobody is a dead
// letter there. Messages of one process to one actor keep their order, those of Request and Call included. Send panics
// when ctx belongs to no process, or its System was not made by [NewSystem]; other goroutines use ActorSystem.Root.
func Send(ctx context.Context, pid *protoactor.PID, msg any) {
	_, e := callerOf(ctx, "Send")
	e.Proto().Root.Send(pid, engine.Message(msg))
}

// Request sends msg to an actor of protoactor and does not wait for the answer: what is sent to ctx.Sender() there, as
// ctx.Respond does, comes to the process of ctx as an [Answer], in mailbox order, and counts against its MailboxLimit. There may be
// none, one or any number. An answer that is itself a Request is a Call with an Answer in it.
//
// That Sender is for answers. For messages of any other kind, such as a websock.Message for the client, the actor needs
// PID(actor.Self(ctx)): put it into msg. To know which answer belongs to which question, use [Call], in an actor.Async.
//
// Request never blocks. It panics as Send does.
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
