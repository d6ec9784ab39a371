package websock

import (
	"errors"
	"fmt"
	"iter"
)

// Result is what a callback wants done: messages to write, and whether the
// socket ends. The zero Result is to carry on. Any Result is legal from any
// callback; what makes one illegal is listed at [Result.Check].
//
// The host takes a Result when the callback returned. The slice Push may be
// reused in the next callback, the Data of its messages may not.
type Result struct {
	// Push is written in order, before any stop. Data messages, pings and
	// pongs may be mixed.
	Push []Message

	// Stream is written after Push, at the client's pace; see the function
	// [Stream]. It is illegal with Stop. nil: a stream that was returned before
	// goes on.
	Stream iter.Seq[Message]

	// Stop ends the socket with this exit reason; nil: carry on. No callback
	// runs after it but Terminate.
	Stop error

	// Close is the close frame of a stop. Zero: derived from Stop. It is
	// illegal without Stop.
	Close CloseDetail
}

// OK returns the zero Result: carry on.
func OK() Result { return Result{} }

// Push returns a Result that writes msgs in order and carries on. Without msgs
// it is [OK]. WebSock's {:push, ...} and {:reply, ...}.
func Push(msgs ...Message) Result { return Result{Push: msgs} }

// Stream returns a Result that writes the messages of seq, one after the other,
// at the client's pace: the next one is asked for when what was written before
// it has been taken by the kernel, but for the 64 KiB that a host may gather.
// Between two of them come the callbacks and messages that wait, so the socket
// does all else that it does meanwhile.
//
//	func (h *files) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
//		h.stopped = string(msg.Data) == "stop"
//		if h.stopped {
//			return websock.OK()
//		}
//		return websock.Stream(func(yield func(websock.Message) bool) {
//			for i := 0; i < len(h.lines) && !h.stopped && yield(websock.Text(h.lines[i])); i++ {
//			}
//		})
//	}
//
// seq runs as a callback does, on the process: it may use the fields of the
// handler, a panic in it ends the socket, and while it looks for the next
// message nothing else of this socket goes on. So it must not wait: for what
// comes from a network or another process, use actor.SendWait in an
// actor.Async.
//
// It is stopped, as by a break of the loop over it, when the socket ends, before
// Terminate is called, and when another Result has a Stream: one socket has one
// stream. So one without messages does nothing but stop that before. What seq
// has deferred runs then, once; a panic in that ends the socket, or is logged
// when the socket ends already. A socket that is killed, or given up because a
// callback does not return, has no Terminate: then what seq has deferred runs on
// another goroutine, beside a callback that still runs; if that is seq itself,
// when it yields or returns.
//
// A message of it that is illegal ends the socket, as in Push. During a stream
// the client counts as behind: most of what is Volatile is left out, and a
// [LagHandler] is told after it.
func Stream(seq iter.Seq[Message]) Result { return Result{Stream: seq} }

// Close returns a Result that writes last, closes with code and closeReason and
// ends the socket normally: Terminate gets a [*CloseError], which is errors.Is
// [ErrNormal]. Use [StopWith] for an end that is not normal. WebSock's
// {:stop, :normal, {code, reason}, messages}.
func Close(code CloseCode, closeReason string, last ...Message) Result {
	return Result{Push: last, Stop: &CloseError{Code: code, Reason: closeReason}}
}

// Stop returns a Result that ends the socket for reason, which Terminate gets.
// The package comment lists the close frame of each exit reason; the text of
// reason never goes to the peer. It panics when reason is nil: a normal end is
// Stop(ErrNormal). WebSock's {:stop, reason, state}.
func Stop(reason error) Result {
	if reason == nil {
		panic("websock: Stop(nil): a normal end is Stop(ErrNormal)")
	}
	return Result{Stop: reason}
}

// StopWith returns a Result that writes last, closes with detail and ends the
// socket for reason, which Terminate gets. detail replaces the close frame that
// reason stands for; a zero detail.Code is derived from reason, and so is a zero
// detail. It panics when reason is nil. WebSock's
// {:stop, reason, close_detail, messages, state}.
func StopWith(reason error, detail CloseDetail, last ...Message) Result {
	if reason == nil {
		panic("websock: StopWith(nil, ...): a normal end is StopWith(ErrNormal, ...)")
	}
	return Result{Push: last, Stop: reason, Close: detail}
}

// Check returns nil when r can be carried out, else a [*ResultError]. Illegal
// are
//
//   - a message in Push that [Message.Check] refuses
//   - Close without Stop
//   - Stream with Stop
//   - a close code that is not [CloseCode.Sendable], 0 apart
//   - a close reason of more than 123 bytes, or that is not UTF-8
//   - a nil *CloseError as Stop
//
// The close frame checked is Close; a *CloseError that Stop is or wraps gives
// the code where Close has none, and the whole frame where Close is zero. Hosts
// call Check before anything of r is written; tests may. It does not allocate
// when r is legal.
func (r Result) Check() error {
	if problem := r.problem(); problem != "" {
		return &ResultError{Problem: problem, Err: r.Stop}
	}
	return nil
}

func (r Result) problem() string {
	for i, m := range r.Push {
		if problem := m.problem(); problem != "" {
			return fmt.Sprintf("message %d of %d in Push: %s", i+1, len(r.Push), problem)
		}
	}
	if r.Stop == nil {
		if r.Close != (CloseDetail{}) {
			return "Close is set without Stop"
		}
		return ""
	}
	if r.Stream != nil {
		return "Stream is set with Stop"
	}
	detail := r.Close
	if carried, ok := errors.AsType[*CloseError](r.Stop); ok {
		switch {
		case carried == nil:
			return "Stop is a nil *CloseError"
		case detail == CloseDetail{}:
			detail = CloseDetail{Code: carried.Code, Reason: carried.Reason}
		case detail.Code == 0:
			detail.Code = carried.Code
		}
	}
	return detail.problem()
}
