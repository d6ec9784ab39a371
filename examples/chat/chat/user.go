package chat

import (
	"context"
	"crypto/subtle"
	"strings"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// nameKept is how long a name belongs to its user when the last socket is gone.
const nameKept = 30 * time.Second

// user holds a name for as long as that user has sockets, in however many tabs, on whatever nodes.
type user struct {
	chat    *Chat
	name    string // as first written
	key     string
	sockets int
	expiry  actor.Timer
}

type (
	// claim asks a user for its name: a Call from a socket, answered with a claimed.
	claim struct{ Key string }
	// claimed has the name as it is written, and whose it is: the caller's, or that of somebody else with another key.
	claimed struct {
		Name    string
		Granted bool
		User    actor.PID
	}
	nameExpired struct{}
)

func userName(name string) string { return "user:" + strings.ToLower(name) }

func (u *user) Init(ctx context.Context) error {
	u.expiry = actor.SendAfter(ctx, nameKept, nameExpired{}) // if nobody comes
	return u.chat.reg.Register(userName(u.name), actor.Self(ctx), nil)
}

func (u *user) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case claim:
		if subtle.ConstantTimeCompare([]byte(m.Key), []byte(u.key)) == 0 {
			actor.Reply(ctx, claimed{Name: u.name})
			return nil
		}
		from, ok := actor.Caller(ctx)
		if !ok {
			return nil
		}
		watch := actor.Monitor(ctx, from.PID())
		if !from.Reply(claimed{Name: u.name, Granted: true, User: actor.Self(ctx)}) { // the caller has given up, and does not know that it has the name
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
