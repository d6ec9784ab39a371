package conn

import (
	"context"
	"time"

	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// observed is the actor and host of the process of a connection that is recorded, or whose callbacks are timed. Others are that
// themselves, and so pay nothing for either.
type observed struct {
	*Conn
	r     *recorder // nil: it is not recorded
	timed bool
}

// observed gives a new connection a recorder, if it is the n-th of those that have one, and has its callbacks timed, if the Group
// does. nil: neither.
func (c *Conn) observed(n uint32) *observed {
	o := &observed{Conn: c, timed: c.group.timing != nil}
	if !c.group.records(n) {
		if !o.timed {
			return nil
		}
		return o
	}
	o.r = &recorder{began: c.group.time(c.since)}
	scope := Scope{}
	if c.scope != nil {
		scope = *c.scope
	}
	scope.recorder = o.r
	c.scope = &scope
	return o
}

// Init implements actor.Initializer.
func (o *observed) Init(ctx context.Context) error {
	if o.r != nil {
		defer o.r.returned(o.begins("init", 0))
	}
	defer o.took(callInit, o.clock())
	return o.Conn.Init(ctx)
}

// Receive implements actor.Actor. What only looks is not recorded: it would push out what matters.
func (o *observed) Receive(ctx context.Context, msg any) error {
	if _, looks := msg.(*Description); !looks && o.r != nil {
		defer o.r.returned(o.begins(nameOf(msg)))
	}
	if k := o.callback(msg); k != noCallback && o.timed {
		defer o.took(k, time.Now())
	}
	return o.Conn.Receive(ctx, msg)
}

// Terminate implements actor.Terminator.
func (o *observed) Terminate(ctx context.Context, reason error) {
	if !o.brief() {
		if o.r != nil {
			defer o.r.returned(o.begins("terminate", 0))
		}
		defer o.took(callTerminate, o.clock())
	}
	o.Conn.Terminate(ctx, reason)
}

func (o *observed) begins(what string, size int) uint64 {
	waiting, _, _ := o.port.Load()
	return o.r.add(Moment{What: what, Size: int32(min(size, 1<<30)), Waiting: int32(min(waiting, 1<<30)), Took: -1})
}

// callback is the one that msg is for, if it is one of those that come with each message. The Conn knows when the others run, as not each
// message for them has them called.
func (o *observed) callback(msg any) Callback {
	switch m := msg.(type) {
	case *frame:
		if m.msg.Opcode == websock.OpText || m.msg.Opcode == websock.OpBinary {
			return callIn
		}
		return noCallback
	case *readEnd, drainBegins, *expiry, *stream, *Description, host.CatchUp:
		return noCallback
	case websock.Message:
		if !o.port.Calling() {
			return noCallback
		}
	}
	return callInfo
}
