package proto

import (
	"context"
	"fmt"
	"reflect"
	"time"

	protoactor "github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/internal/engine"
	"github.com/troupe-dev/troupe/actor/internal/hook"
)

// Call sends req to an actor of protoactor and waits for the answer: what is sent to ctx.Sender() there, as ctx.Respond
// does. It is [actor.Call] to the other side, with the same limit of time: the deadline of ctx, or else Config.CallTimeout.
// An answer that comes later is dropped. The error is
//   - ctx.Err(), when ctx is done or its process dies
//   - context.DeadlineExceeded, wrapped, when CallTimeout is over; also when the actor has handled req and does not answer
//   - actor.ErrNoProcess, wrapped, when there is no such actor, or it terminates before it answers
//   - the answer, when that is an error
//   - one that names both types, when the answer is no R
//   - that of actor.Call, when pid is the address of a process of Troupe
//
// The actor sees a Sender that stands for this Call alone; it is in no group and has no name. Call panics as [Send] does.
func Call[R any](ctx context.Context, pid *protoactor.PID, req any) (R, error) {
	sys, e := callerOf(ctx, "Call")
	if p, ok := ActorPID(sys, pid); ok {
		return actor.Call[R](ctx, p, req)
	}
	var zero R
	v, err := call(ctx, sys.CallTimeout(), e, pid, req)
	if err != nil {
		return zero, err
	}
	if err, ok := v.(error); ok {
		return zero, err
	}
	if v == nil {
		return zero, nil
	}
	r, ok := v.(R)
	if !ok {
		return zero, fmt.Errorf("proto: call to %s: the reply is %T, want %s", text(pid), v, reflect.TypeFor[R]())
	}
	return r, nil
}

// outcome is how a Call has ended: with an answer, or because there is nobody to answer.
type outcome struct {
	v    any
	gone bool
}

func call(ctx context.Context, limit time.Duration, e *engine.System, pid *protoactor.PID, req any) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ended := make(chan outcome, 1)
	r := e.NewReply(func(v any, gone bool) { ended <- outcome{v, gone} })
	defer r.Drop()
	callee, _ := e.Proto().ProcessRegistry.Get(pid)
	e.Proto().Root.RequestWithCustomSender(pid, req, r.PID())
	if !r.Over() { // after the question, so that this is the dead letter, if there is nobody
		callee.SendSystemMessage(pid, &protoactor.Watch{Watcher: r.PID()})
		defer callee.SendSystemMessage(pid, &protoactor.Unwatch{Watcher: r.PID()})
	}
	var over <-chan time.Time
	if _, ok := ctx.Deadline(); !ok && limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		over = t.C
	}
	select {
	case o := <-ended:
		if o.gone {
			return nil, noProcess(pid)
		}
		return o.v, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-over:
		return nil, fmt.Errorf("proto: call to %s: no answer within Config.CallTimeout %v: %w",
			text(pid), limit, context.DeadlineExceeded)
	}
}

// Sender is who has asked, in the callback that handles a Call: the Sender of a Request, or the PID of a future of
// RequestFuture. It is nil when what is handled is no Call, or one that came from a process or a goroutine by actor.Call;
// that is actor.From.PID then. It is for messages to the actor that asks; the answer is [actor.Reply].
func Sender(ctx context.Context) *protoactor.PID {
	pid, _ := ctx.Value(hook.SenderKey{}).(*protoactor.PID)
	return pid
}
