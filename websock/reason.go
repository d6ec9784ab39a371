package websock

import (
	"fmt"

	"github.com/troupe-dev/troupe/actor/exit"
)

// Exit reasons say why a socket ended. They are the values of the same name in
// packages exit and actor. Compare with [errors.Is]: what Terminate gets may
// wrap one of them.
var (
	// ErrNormal: the handler was done. Close frame 1000.
	ErrNormal = exit.ErrNormal

	// ErrRemote: the peer sent a close frame ([*RemoteCloseError]), the
	// connection was lost or could not be written to.
	ErrRemote = exit.ErrRemote

	// ErrShutdown: a supervisor, the System, the server or a drain ended the
	// socket. Close frame 1001.
	ErrShutdown = exit.ErrShutdown

	// ErrTimeout: the peer was silent, or took for one message, longer than it
	// may. The server's configuration chooses the close frame.
	ErrTimeout = exit.ErrTimeout

	// ErrRestart: the handler was done and asks the client to come back. Close
	// frame 1012. It is ErrNormal as well: test for ErrRestart first.
	ErrRestart = exit.ErrRestart

	// ErrOverload: messages came faster than the peer reads or the handler
	// works, and the mailbox went over its limit. Close frame 1013.
	ErrOverload = exit.ErrOverload
)

// CloseError is an exit reason that carries its close frame. It closes a socket
// from outside the handler, where there is no Result to hold a [CloseDetail]:
//
//	pid.Exit(&websock.CloseError{Code: 4001, Reason: "signed in elsewhere"})
//
// Code and Reason are bound as those of CloseDetail are; Code 0 is derived from
// Err. With a nil Err it is a normal end: errors.Is ErrNormal, [exit.Normal].
// Otherwise Err is the cause, which stays on this side, and its kind counts.
type CloseError struct {
	Code   CloseCode
	Reason string
	Err    error
}

// Error returns the close frame, and the cause if there is one.
func (e *CloseError) Error() string {
	return withCause("websock: closed with "+detailText(e.Code, e.Reason), e.Err)
}

// Unwrap returns Err.
func (e *CloseError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrNormal] and Err is nil.
func (e *CloseError) Is(target error) bool { return e.Err == nil && target == ErrNormal }

// ExitKind is that of Err, [exit.Normal] when Err is nil.
func (e *CloseError) ExitKind() exit.Kind { return exit.KindOf(e.Err) }

// RemoteCloseError is the exit reason of a socket whose peer closed it, with
// what the peer's close frame said. It is errors.Is [ErrRemote], of kind
// [exit.Shutdown]. Code is [CloseNoStatus], which no frame carries, when the
// frame was empty. Reason is the peer's text: UTF-8, at most 123 bytes, and not
// to be trusted.
type RemoteCloseError struct {
	Code   CloseCode
	Reason string
}

// Error names the peer's close code. The close reason is the peer's text, which has no place in logs and in the texts of
// errors that wrap this one.
func (e *RemoteCloseError) Error() string {
	return "websock: peer closed with " + detailText(e.Code, "")
}

// Unwrap returns [ErrRemote].
func (e *RemoteCloseError) Unwrap() error { return ErrRemote }

// ExitKind is [exit.Shutdown].
func (e *RemoteCloseError) ExitKind() exit.Kind { return exit.Shutdown }

// ProtocolError is the exit reason of a socket whose peer broke RFC 6455, or a
// limit that the server set. Its kind is [exit.Shutdown]: peers are no alarm.
type ProtocolError struct {
	Code CloseCode // what the peer was told: 1002, 1007 or 1009

	// Rule says what was broken, with the section of the RFC or, for a limit,
	// the setting that changes it: "message of 40961 bytes exceeds
	// Config.MaxMessageSize 32768".
	Rule string

	Err error // the cause below, or nil
}

// Error returns the close code, the rule and the cause if there is one.
func (e *ProtocolError) Error() string {
	return withCause("websock: protocol error, closed with "+e.Code.String()+": "+e.Rule, e.Err)
}

// Unwrap returns Err.
func (e *ProtocolError) Unwrap() error { return e.Err }

// ExitKind is [exit.Shutdown].
func (e *ProtocolError) ExitKind() exit.Kind { return exit.Shutdown }

// ResultError is the exit reason of a socket whose handler returned a Result,
// or was sent a Message, that cannot be carried out. Nothing of that Result
// reaches the peer but close frame 1011. Its kind is [exit.Abnormal]: the
// handler is to be corrected.
type ResultError struct {
	Problem string // what is wrong, and the limit or section of the RFC

	// Err is the exit reason that the Result asked for, nil if none. It was not
	// carried out, so it is told by Error but not found by [errors.Is]: a
	// faulty Close is no ErrNormal.
	Err error
}

// Error returns the problem, and the exit reason the Result asked for.
func (e *ResultError) Error() string {
	text := "websock: refused: " + e.Problem
	if e.Err != nil {
		text += fmt.Sprintf(" (exit reason asked for: %v)", e.Err) // %v survives a nil pointer in Err
	}
	return text
}

// ExitKind is [exit.Abnormal].
func (e *ResultError) ExitKind() exit.Kind { return exit.Abnormal }

func detailText(code CloseCode, closeReason string) string {
	text := "a derived code"
	if code != 0 {
		text = code.String()
	}
	if closeReason != "" {
		text += fmt.Sprintf(" %q", closeReason)
	}
	return text
}

func withCause(text string, err error) string {
	if err == nil {
		return text
	}
	return text + ": " + err.Error()
}
