package websock

import (
	"context"
	"time"
)

// Handler is the application's side of one connection. A value serves one
// connection; its fields are the state.
//
// The callbacks of one socket never overlap, so the fields need no lock as long
// as no other goroutine touches them. A callback may block, on a query or a
// call to another process: that holds up this socket alone, whose peer is not
// read meanwhile. Callbacks run on goroutines of the host, not always the same
// one. Messages and frames are handled in the order in which they entered the
// mailbox; a frame enters it when the reader of the connection hands it over.
//
// ctx is the process: functions of packages actor and socket, such as
// actor.Self and actor.SendAfter, take it or any context derived from it. It is
// done after Terminate, or when the process is killed, never earlier, and
// [context.Cause] is then the exit reason. During a shutdown a callback in
// progress finishes.
//
// A panic in a callback sends none of that callback's messages and ends this
// socket alone, with close frame 1011 and an abnormal exit reason. It is logged
// with its stack and PID. Terminate still runs, but not after a panic in Init.
type Handler interface {
	// Init is called once, before every other callback and after the 101
	// response is on the wire. Its Result is taken as that of HandleIn.
	Init(ctx context.Context) Result

	// HandleIn is called once per complete text or binary message, its
	// fragments joined, inflated and, for text, checked to be UTF-8. msg.Data
	// belongs to the handler; one that is a [Borrower] has it until it returns.
	//
	// What it returns:
	//
	//   - the zero Result, [OK]: carry on
	//   - [Push]: write messages, carry on
	//   - [Close]: write last messages, close normally with code and reason
	//   - [Stop]: end for an exit reason, with the close frame it stands for
	//   - [StopWith]: write last messages, close with this frame, end for this
	//     exit reason
	//
	// Messages are written in the order given, data and control frames mixed,
	// before any stop. What was pushed leaves within about a millisecond,
	// whatever the next callback does. The messages are read-only from then on
	// and may be shared between sockets; see [Message].
	//
	// After a stop no callback runs but Terminate, and nothing follows the
	// close frame on the wire.
	//
	// A Result that cannot be carried out (see [Result.Check]) ends the socket
	// with close frame 1011, a [*ResultError] for Terminate and an error in the
	// log; nothing illegal reaches the wire.
	HandleIn(ctx context.Context, msg Message) Result

	// HandleInfo is called for a message that was sent to the socket's PID, by
	// anyone or by the socket itself, as it was sent: pub/sub, timers, answers,
	// actor.Down. A [Message] sent to the PID is written to the client and does
	// not pass HandleInfo (Phoenix's fastlane); when it is illegal by
	// [Message.Check] the socket ends as by an illegal Result. Messages from one
	// sender arrive in the order sent. Its Result is taken as that of HandleIn.
	HandleInfo(ctx context.Context, msg any) Result
}

// Borrower is implemented by a Handler that keeps nothing of a message: the Data of what HandleIn gets is lent to it, until
// HandleIn returns, and is used again for a later message of this or another socket. For messages of many KiB that saves
// most of what they cost; below 1 KiB it makes no difference.
//
// A Borrower must copy what it keeps, sends to any process, itself included, gives to [Prepare], yields in a [Stream], has in
// the error of [Stop] or [StopWith], or uses on another goroutine. What its Result pushes is safe, the message itself or a part
// of it: Data is used again when that has been written. When HandleIn panics, or its process is killed meanwhile, Data is not used
// again before HandleIn has returned.
//
// With the race detector, the Data of every message is overwritten when it is given back. So a test that runs with it
// finds what was kept by mistake: its bytes have changed, or there is a race with whoever still reads them.
//
// A [Wrapper] is a Borrower only if the wrapped handler is one, and the other way round: each must keep the promise. A struct
// that embeds a Borrower by its type is one itself, and has to keep the promise, too.
type Borrower interface {
	Handler
	// Borrows is never called: that there is such a method is the promise.
	Borrows()
}

// ControlHandler is implemented by a Handler that wants to see pings and pongs.
// Without it pings are answered all the same and pongs are ignored.
type ControlHandler interface {
	// HandleControl is called for each ping and pong, even for one that came
	// between the fragments of a message, in mailbox order. The ping has been
	// answered by then, at once, even while a callback ran: a pong with its
	// payload is on the wire, so do not send another. msg.Data
	// belongs to the handler and may be empty. Close frames reach no callback
	// but Terminate. Its Result is taken as that of HandleIn.
	HandleControl(ctx context.Context, msg Message) Result
}

// Drainer is implemented by a Handler that has a say in a drain, for example because it waits for an answer and wants
// to send it before the socket ends.
type Drainer interface {
	// HandleDrain is called once, when the drain begins or, in a socket that opens during the drain's Delay, then. Its
	// Result is taken as that of HandleIn. The drain does not close this socket in its turn: the socket has to stop by
	// itself with [Close] or [Stop], in HandleDrain or later, and before the time by, which is half of the drain's Timeout
	// after its Delay and Over. After that it is ended like the others. HandleDrain is not called in a shutdown without a
	// drain, nor when a supervisor restarts the server.
	HandleDrain(ctx context.Context, by time.Time) Result
}

// Describer is implemented by a Handler that can say what its state is, for a page or a tool that looks at a running service.
// See socket.Server.Describe.
type Describer interface {
	// Describe is called in the process, between two callbacks, so it may read the fields of the handler. What it returns
	// is read by others while the process goes on: return a copy, such as a small struct of numbers and texts, which
	// encoding/json can write. It must not change anything and should not take long. A panic in it is what the caller gets,
	// and does not end the socket.
	Describe() any
}

// Terminator is implemented by a Handler that has something to clean up or to
// record when the socket ends.
type Terminator interface {
	// Terminate is called once, after every other callback, with the fields as
	// the last callback left them, and with the exit reason; the package
	// comment lists which. It does not run after a panic in Init, after
	// ErrKilled, nor when the shutdown time was over before its turn came.
	//
	// The close frame has been written, but the peer's answer is not waited for.
	// Children of the process have ended. Nothing can be sent to the client any
	// more. ctx is not done, and its deadline is the end of the shutdown time: a
	// query works. Names and groups are given up, and monitors told, after
	// Terminate has returned.
	Terminate(ctx context.Context, reason error)
}
