package main

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

const lobby = "lobby"

// line is one thing that somebody said.
type line struct {
	ID   int64  `json:"id"`
	From string `json:"from"`
	Text string `json:"text"`
}

// enter is a Call from a socket to the room: what was said after that line?
type enter struct{ After int64 }

// entered is the answer, and who has given it.
type entered struct {
	Lines []line
	Room  actor.PID
}

// types are what processes of one node send to those of another.
func types() *cluster.Types {
	t := new(cluster.Types)
	cluster.Register[line](t, "lobby.line")
	cluster.Register[enter](t, "lobby.enter")
	cluster.Register[entered](t, "lobby.entered")
	return t
}

// room remembers the last lines.
type room struct {
	reg   *registry.Registry
	last  int64
	lines []line
}

func (r *room) Init(ctx context.Context) error {
	r.last = time.Now().UnixMilli() // so that numbers grow also when the room starts anew
	return r.reg.Register(lobby, actor.Self(ctx), nil)
}

func (r *room) Receive(ctx context.Context, msg any) error {
	switch msg := msg.(type) {
	case enter:
		missed := slices.DeleteFunc(slices.Clone(r.lines), func(l line) bool { return l.ID <= msg.After })
		actor.Reply(ctx, entered{missed, actor.Self(ctx)})
	case line:
		r.last++
		msg.ID = r.last
		r.lines = append(r.lines, msg)
		if len(r.lines) > 100 {
			r.lines = slices.Delete(r.lines, 0, 1)
		}
		r.reg.Broadcast(lobby, websock.JSON(msg))
	}
	return nil
}
