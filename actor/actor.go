package actor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/actor/internal/engine"
)

// Actor is the code of a process. Its fields are the state of the process: the callbacks of one process never overlap,
// and each sees what the one before wrote.
type Actor interface {
	// Receive handles one message, in mailbox order. Any error that it returns ends the process with that exit reason:
	// to refuse a request, [Reply] with an error and return nil. A panic ends the process with a *PanicError.
	//
	// ctx belongs to the process: it is done after Terminate, or at a kill, and never earlier. While a [Call] is handled
	// it belongs to that Call, too. Receive may block: then only this process waits.
	Receive(ctx context.Context, msg any) error
}

// Initializer is an Actor with an Init, which runs once, before the first message. An error, or a panic, ends the
// process without Terminate and is what Spawn returns.
type Initializer interface {
	Init(ctx context.Context) error
}

// Terminator is an Actor with a Terminate, which runs once, last, after the children have ended. It does not run after
// an Init that failed, after a kill, or once the shutdown time is over. ctx is alive and has what is left of the shutdown
// time as its deadline, so that a [Call] in Terminate works. A panic is logged and changes nothing else.
type Terminator interface {
	Terminate(ctx context.Context, reason error)
}

// SpawnOptions are the options of one process. The zero value works.
type SpawnOptions struct {
	// Label names the process in Inspect and in log lines.
	Label string
	// MailboxLimit is how many messages may wait. 0: 1024; negative: no limit. Down, Done, ticks of timers, answers and
	// Exit do not count and are never refused.
	MailboxLimit int
	// Overflow says what a message beyond the limit does. The zero value refuses it.
	Overflow Overflow
	// MaxAsync is how many functions of [Async] may run at a time for this process. Beyond it Done comes at once, with
	// ErrOverload, and the function does not run. 0: 128; negative: no limit.
	MaxAsync int
	// Shutdown is how long the process may take to end, its children included, from the Exit or from its own decision
	// to end. After that it is killed. 0: Config.ShutdownTimeout; negative: no limit.
	Shutdown time.Duration

	middleware *engine.Middleware // see proto.WithReceiverMiddleware; nil: none
}

const (
	defaultMailboxLimit = 1024
	defaultMaxAsync     = 128
)

// Overflow says what happens when a mailbox is at its limit.
type Overflow uint8

const (
	// OverflowReject refuses the message: Send says false, Call says ErrMailboxFull.
	OverflowReject Overflow = iota
	// OverflowExit refuses it too, and ends the process with ErrOverload, ahead of what waits.
	OverflowExit
)

// Exit reasons, the same values as in package exit, and the errors of this package.
var (
	ErrNormal   = exit.ErrNormal
	ErrShutdown = exit.ErrShutdown
	ErrKilled   = exit.ErrKilled
	ErrOverload = exit.ErrOverload
	ErrIgnore   = exit.ErrIgnore

	// ErrNoProcess says that a PID names no living process, or that the process ended before it answered.
	ErrNoProcess = exit.ErrNoProcess
	// ErrNodeDown says that the node of a process cannot be reached any more. The process may be dead or alive: nothing is
	// known. errors.Is(ErrNodeDown, ErrNoProcess) is true.
	ErrNodeDown = exit.ErrNodeDown
	// ErrMailboxFull says that the callee's mailbox is at its limit.
	ErrMailboxFull = errors.New("actor: mailbox is full")
	// ErrNoReply says that the callback which got the Call returned without having called Reply or Caller.
	ErrNoReply = errors.New("actor: the callee did not reply")
)

// PanicError is the exit reason after a panic in a callback, and the Err of a Done whose function panicked. A callback
// that calls runtime.Goexit ends the same way. It does not unwrap to a Value that is an error: a panic is not an
// orderly end, whatever it panics with.
type PanicError struct {
	Value any
	Stack []byte // of the goroutine that panicked, as runtime/debug.Stack formats it
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// ExitKind makes every panic abnormal, whatever its value.
func (e *PanicError) ExitKind() exit.Kind { return exit.Abnormal }
