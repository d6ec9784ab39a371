package codec

import (
	"context"
	"errors"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
)

// sentinel is an error that crosses nodes as itself, by name.
type sentinel struct {
	name string
	err  error
}

// ErrNoAnswer is cluster.ErrNoAnswer.
var ErrNoAnswer = errors.New("cluster: nobody answers this topic")

// native are the sentinels that every node knows. Those of package websock are the same values as in package exit. The
// names are part of the protocol.
var native = []sentinel{
	{"exit.ErrNormal", exit.ErrNormal},
	{"exit.ErrShutdown", exit.ErrShutdown},
	{"exit.ErrKilled", exit.ErrKilled},
	{"exit.ErrOverload", exit.ErrOverload},
	{"exit.ErrTimeout", exit.ErrTimeout},
	{"exit.ErrRemote", exit.ErrRemote},
	{"exit.ErrRestart", exit.ErrRestart},
	{"exit.ErrIgnore", exit.ErrIgnore},
	{"exit.ErrNoProcess", exit.ErrNoProcess},
	{"exit.ErrNodeDown", exit.ErrNodeDown},
	{"actor.ErrMailboxFull", actor.ErrMailboxFull},
	{"actor.ErrNoReply", actor.ErrNoReply},
	{"context.Canceled", context.Canceled},
	{"context.DeadlineExceeded", context.DeadlineExceeded},
	{"cluster.ErrNoAnswer", ErrNoAnswer},
}
