package main

import (
	"context"
	"log/slog"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/supervisor"
)

// everyone is the group of all sockets that have said hello: they hear about rooms.
const everyone = "everyone"

// roomList is the presence topic in which each room is a key, with its number of people as meta. The directory watches it.
const roomList = "rooms"

// chat is what all sockets, rooms and users share.
type chat struct {
	sys          *actor.System
	reg          *registry.Registry
	rooms, users *supervisor.Dynamic
	directory    supervisor.Service
	logger       *slog.Logger
}

func newChat(sys *actor.System, logger *slog.Logger) (*chat, error) {
	rooms, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "rooms", MaxChildren: maxRooms, Logger: logger})
	if err != nil {
		return nil, err
	}
	users, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "users", Logger: logger})
	if err != nil {
		return nil, err
	}
	c := &chat{sys: sys, reg: registry.New(sys), rooms: rooms, users: users, logger: logger}
	c.directory = supervisor.Actor(sys, func() actor.Actor { return &directory{chat: c} }, actor.SpawnOptions{Label: "directory"})
	return c, nil
}

// ask calls the process of that name, which d starts if there is none.
func ask[R any](ctx context.Context, c *chat, d *supervisor.Dynamic, name string, newActor func() actor.Actor, request any) (R, error) {
	start := func(ctx context.Context) (actor.PID, error) {
		return d.Spawn(ctx, "", c.sys, newActor, actor.SpawnOptions{Label: name, MailboxLimit: 1 << 14, Overflow: actor.OverflowExit})
	}
	return registry.Ask[R](ctx, c.reg, name, start, request)
}
