package websock

import "github.com/troupe-dev/troupe/actor/exit"

// Exit reasons of sockets about which somebody has decided that their time is over. All are of kind [exit.Shutdown].
var (
	// ErrExpired: the time has come that socket.Expire had set, and nobody has renewed it. Close frame 4401 "expired".
	ErrExpired error = &decision{"expired: the time that was set for it is over"}

	// ErrRevoked: Server.Revoke has ended all sockets of its subject. Close frame 4403 "revoked", or what Revoke says.
	ErrRevoked error = &decision{"revoked: its subject may not be here any more"}

	// ErrReplaced: its subject has opened another socket, and there may be socket.Config.MaxPerSubject. Close frame 4001
	// "replaced".
	ErrReplaced error = &decision{"replaced: its subject has opened another socket"}

	// ErrMaxAge: it has lived for socket.Config.MaxAge. Close frame 1012, with a hint when to come back.
	ErrMaxAge error = &decision{"max age: it has lived as long as a socket may"}
)

// decision is an exit reason of kind exit.Shutdown. It is told apart by its address.
type decision struct{ text string }

func (d *decision) Error() string { return d.text }

// ExitKind is [exit.Shutdown].
func (d *decision) ExitKind() exit.Kind { return exit.Shutdown }
