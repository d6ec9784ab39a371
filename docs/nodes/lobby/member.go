package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

// member is the handler of one socket.
type member struct {
	reg   *registry.Registry
	start func(ctx context.Context) (actor.PID, error) // starts the room
	name  string
	after int64
	room  actor.PID
}

func newMember(reg *registry.Registry, rooms *supervisor.Dynamic, sys *actor.System) func(*http.Request) (websock.Handler, error) {
	newRoom := func() actor.Actor { return &room{reg: reg} }
	start := func(ctx context.Context) (actor.PID, error) {
		return rooms.Spawn(ctx, lobby, sys, newRoom, actor.SpawnOptions{})
	}
	return func(r *http.Request) (websock.Handler, error) {
		name := strings.TrimSpace(r.FormValue("name"))
		if name == "" || len(name) > 40 {
			return nil, &socket.UpgradeError{Status: http.StatusBadRequest, Err: errors.New("a name of 1 to 40 bytes is needed")}
		}
		after, _ := strconv.ParseInt(r.FormValue("after"), 10, 64) // 0, all, when it is no number
		return &member{reg: reg, start: start, name: name, after: after}, nil
	}
}

func (m *member) Init(ctx context.Context) websock.Result {
	actor.SetLabel(ctx, m.name)
	me := actor.Self(ctx)
	m.reg.Join(lobby, me, nil) // first: from now on nothing is missed
	answer, err := registry.Ask[entered](ctx, m.reg, lobby, m.start, enter{m.after})
	if err != nil {
		return websock.Stop(err) // 1011 to the client, which comes back; the log has the error
	}
	m.room = answer.Room
	actor.Monitor(ctx, m.room)
	m.reg.Track(lobby, me, m.name, nil)
	m.reg.Watch(lobby, me)
	push := []websock.Message{websock.JSON(welcome{me.Node()})}
	for _, l := range answer.Lines {
		push = append(push, websock.JSON(l))
	}
	return websock.Push(push...)
}

func (m *member) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	if !m.room.Send(line{From: m.name, Text: string(msg.Data)}) {
		return websock.Push(websock.JSON(line{Text: "That was not taken. Try again.", From: "lobby"}))
	}
	return websock.OK()
}

func (m *member) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch msg := msg.(type) {
	case registry.PresenceDiff:
		return websock.Push(websock.JSON(changeOf(msg)))
	case actor.Down: // the room has ended, or its node: the page comes back, to the next room
		return websock.Stop(websock.ErrRestart)
	}
	return websock.OK()
}

// welcome says on which node the socket is.
type welcome struct {
	Node string `json:"node"`
}

// change says who is there, or who has come and who has gone.
type change struct {
	All    []string `json:"all,omitempty"`
	Joined []string `json:"joined,omitempty"`
	Left   []string `json:"left,omitempty"`
}

func changeOf(diff registry.PresenceDiff) change {
	var c change
	for name, sockets := range diff.Now {
		switch {
		case diff.Whole:
			c.All = append(c.All, name)
		case len(sockets) > 0:
			c.Joined = append(c.Joined, name)
		default:
			c.Left = append(c.Left, name)
		}
	}
	slices.Sort(c.All)
	slices.Sort(c.Joined)
	slices.Sort(c.Left)
	return c
}
