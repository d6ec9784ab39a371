package main

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// nameKept is how long a name belongs to its user when the last socket is gone.
const nameKept = 30 * time.Second

// user holds a name for as long as that user has sockets, in however many tabs.
type user struct {
	chat    *chat
	name    string // as first written
	key     string
	sockets int
	expiry  actor.Timer
}

// claim asks a user for its name: a Call from a socket, answered with the name as it is written.
type claim struct{ key string }

type nameExpired struct{}

func userName(name string) string { return "user:" + strings.ToLower(name) }

func (u *user) Init(ctx context.Context) error {
	u.expiry = actor.SendAfter(ctx, nameKept, nameExpired{}) // if nobody comes
	return u.chat.reg.Register(userName(u.name), actor.Self(ctx), nil)
}

func (u *user) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case claim:
		if subtle.ConstantTimeCompare([]byte(m.key), []byte(u.key)) == 0 {
			actor.Reply(ctx, refuse("name", "Somebody else is called %s just now.", u.name))
			return nil
		}
		from, ok := actor.Caller(ctx)
		if !ok {
			return nil
		}
		watch := actor.Monitor(ctx, from.PID())
		if !from.Reply(u.name) { // the caller has given up, and does not know that it has the name
			watch.Stop()
			return nil
		}
		u.sockets++
	case actor.Down:
		u.sockets--
		u.expiry.Stop()
		u.expiry = actor.SendAfter(ctx, nameKept, nameExpired{})
	case nameExpired:
		if u.sockets == 0 {
			return actor.ErrNormal
		}
	}
	return nil
}
