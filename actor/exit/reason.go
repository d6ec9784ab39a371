package exit

import "errors"

// Exit reasons, told apart with [errors.Is].
var (
	// ErrNormal: the process did what it was there for.
	ErrNormal = errors.New("normal")

	// ErrShutdown: the process was told to end by its supervisor, its parent,
	// its System or a drain. OTP's shutdown.
	ErrShutdown = errors.New("shutdown")

	// ErrKilled: the process was ended without running any more of its code.
	// OTP's killed.
	ErrKilled = errors.New("killed")

	// ErrOverload: the mailbox of the process went over its limit, or the
	// process refuses work that it cannot keep up with.
	ErrOverload = errors.New("overload: more messages than the process can handle")

	// ErrTimeout: the process waited for its peer longer than it may.
	ErrTimeout = errors.New("timeout")

	// ErrRemote: the peer closed the connection, or the connection was lost.
	ErrRemote = errors.New("remote: the peer closed the connection or is gone")

	// ErrRestart: a normal end that asks the peer to come back.
	// errors.Is(ErrRestart, ErrNormal) is true, so that what treats normal
	// ends alike need not know it; test for ErrRestart first.
	ErrRestart error = restartError{}

	// ErrIgnore, from an Init, says that the process is not needed: it has not
	// failed, and is not to be started again. OTP's ignore.
	// errors.Is(ErrIgnore, ErrNormal) is true.
	ErrIgnore error = ignoreError{}

	// ErrNoProcess: there is no such process. It is what a monitor of a process
	// that was dead before is told.
	ErrNoProcess = errors.New("actor: no such process")

	// ErrNodeDown: the node of a process cannot be reached any more. The
	// process may be dead or alive; nothing is known. Its kind is Shutdown.
	// errors.Is(ErrNodeDown, ErrNoProcess) is true, so that what handles a
	// process that is gone need not know it; test for ErrNodeDown first.
	ErrNodeDown error = nodeDownError{}
)

type restartError struct{}

func (restartError) Error() string { return "restart" }
func (restartError) Unwrap() error { return ErrNormal }

type ignoreError struct{}

func (ignoreError) Error() string { return "ignore: not needed" }
func (ignoreError) Unwrap() error { return ErrNormal }

type nodeDownError struct{}

func (nodeDownError) Error() string  { return "node down: its processes cannot be reached" }
func (nodeDownError) Unwrap() error  { return ErrNoProcess }
func (nodeDownError) ExitKind() Kind { return Shutdown }
