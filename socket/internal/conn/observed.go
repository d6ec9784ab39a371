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
		defer o.r.returned(o.begins(o.r, "init", 0))
	}
	defer o.took(callInit, o.clock())
	return o.Conn.Init(ctx)
}

// Receive implements actor.Actor.
func (o *observed) Receive(ctx context.Context, msg any) error {
	if o.r != nil && recorded(msg) {
		what, size := nameOf(msg)
		defer o.r.returned(o.begins(o.r, what, size))
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
			defer o.r.returned(o.begins(o.r, "terminate", 0))
		}
		defer o.took(callTerminate, o.clock())
	}
	o.Conn.Terminate(ctx, reason)
}

// recorded tells whether a message is recorded when its turn has come. Of those to itself the Conn records the callbacks, as not each of
// them has one called. Neither the pulls of a stream nor what only looks is recorded: they would push out what matters.
func recorded(msg any) bool {
	switch msg.(type) {
	case drainBegins, *expiry, host.CatchUp, *Description, *stream:
		return false
	}
	return true
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
