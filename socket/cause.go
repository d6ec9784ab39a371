package socket

import (
	"errors"
	"fmt"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// Cause is why a socket has ended, in one of thirteen words: what the log line, the event and the numbers of an end have in
// common. The exit reason says more, and is anybody's error; there are never more causes than these.
type Cause uint8

// The causes, with the exit reasons that they stand for. The first one that fits counts.
const (
	CauseNormal   Cause = iota // ErrNormal, ErrRestart, a *websock.CloseError without Err: it was done
	CauseRemote                // ErrRemote: the peer has closed, or the connection was lost
	CauseShutdown              // ErrShutdown, and what is of the kind exit.Shutdown otherwise: a drain, a deploy, a supervisor
	CauseTimeout               // ErrTimeout: IdleTimeout or MessageTimeout
	CauseOverload              // ErrOverload: more messages than it could handle
	CauseProtocol              // *websock.ProtocolError: the peer broke RFC 6455, or a limit
	CausePanic                 // *actor.PanicError: a callback has panicked
	CauseError                 // any other error
	CauseKilled                // ErrKilled: at once, without Terminate
	CauseExpired               // websock.ErrExpired: the time of Expire was over
	CauseRevoked               // websock.ErrRevoked: Server.Revoke
	CauseReplaced              // websock.ErrReplaced: its subject has opened another socket, and there may be Config.MaxPerSubject
	CauseMaxAge                // websock.ErrMaxAge: it has lived for Config.MaxAge
)

const causes = CauseMaxAge + 1

var causeNames = [causes]string{
	"normal", "remote", "shutdown", "timeout", "overload", "protocol", "panic", "error", "killed",
	"expired", "revoked", "replaced", "max_age",
}

// String is the cause in one word, as the log and metrics have it.
func (c Cause) String() string {
	if c < causes {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// bad tells whether whoever reads the log wants to know what the socket did before.
func (c Cause) bad() bool { return c != CauseNormal && c != CauseRemote && c != CauseShutdown }

// CauseOf is the cause that an exit reason stands for. It goes by [exit.KindOf], as supervisors and log levels do: what is
// abnormal is never CauseNormal or CauseShutdown, whatever it wraps. nil is CauseNormal.
func CauseOf(reason error) Cause {
	switch exit.KindOf(reason) {
	case exit.Normal:
		return CauseNormal
	case exit.Shutdown:
		return shutdownCause(reason)
	}
	if _, ok := errors.AsType[*actor.PanicError](reason); ok {
		return CausePanic
	}
	if errors.Is(reason, exit.ErrKilled) {
		return CauseKilled
	}
	return CauseError
}

// shutdownCause is CauseOf for what peers and operators have done.
func shutdownCause(reason error) Cause {
	if _, ok := errors.AsType[*websock.ProtocolError](reason); ok {
		return CauseProtocol
	}
	for _, c := range [...]struct {
		reason error
		cause  Cause
	}{{websock.ErrRevoked, CauseRevoked}, {websock.ErrExpired, CauseExpired}, {websock.ErrReplaced, CauseReplaced},
		{websock.ErrMaxAge, CauseMaxAge}, {exit.ErrRemote, CauseRemote}, {exit.ErrTimeout, CauseTimeout}, {exit.ErrOverload, CauseOverload}} {
		if errors.Is(reason, c.reason) {
			return c.cause
		}
	}
	return CauseShutdown
}

// RefuseReason is why a request has become no socket, in one of twelve words.
type RefuseReason uint8

const (
	RefusedMalformed RefuseReason = iota // it is no opening handshake: RFC 6455 section 4.2.1
	RefusedOrigin                        // it comes from a page that Config.OriginPatterns does not name
	RefusedHandler                       // newHandler has returned an error
	RefusedFull                          // there are Config.MaxSockets
	RefusedDraining                      // a drain has begun
	RefusedClosed                        // the Server was shut down or drained, or its System was
	RefusedServer                        // the connection cannot be taken over where the handler is mounted
	RefusedLost                          // the connection was lost before it was a socket
	RefusedRate                          // more have come than Config.UpgradeRate lets in
	RefusedAddress                       // more have come from its address than Config.PerAddress lets in
	RefusedSubject                       // there are Config.MaxPerSubject of its subject
	RefusedRevoked                       // its subject was revoked while newHandler ran
)

const refuseReasons = RefusedRevoked + 1

var refuseNames = [refuseReasons]string{
	"malformed", "origin", "handler", "full", "draining", "closed", "server", "lost", "rate", "address", "subject", "revoked",
}

// String is the reason in one word, as metrics have it.
func (r RefuseReason) String() string {
	if r < refuseReasons {
		return refuseNames[r]
	}
	return fmt.Sprintf("RefuseReason(%d)", uint8(r))
}
