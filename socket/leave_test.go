package socket_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// guest is in a room until its client says "leave", and does something slow first.
type guest struct {
	idleHandler
	reg *registry.Registry
}

func (g *guest) Init(ctx context.Context) websock.Result {
	if err := g.reg.Join("room", actor.Self(ctx), nil); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

func (g *guest) HandleIn(ctx context.Context, msg websock.Message) websock.Result {
	time.Sleep(time.Second)
	switch string(msg.Data) {
	case "leave":
		g.reg.Leave("room", actor.Self(ctx))
		return websock.Push(websock.Text("left"))
	}
	return websock.Push(websock.Text("still here"))
}

// A client that has left a group, and has been told so, reads nothing more of it: not even what was broadcast before
// and waited.
func TestLeave_nothingOfTheGroupComesAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := sockettest.NewSystem(t)
		reg := registry.New(sys)
		c := sockettest.Serve(t, socket.Config{System: sys}, &guest{reg: reg})
		other := sockettest.Serve(t, socket.Config{System: sys}, &guest{reg: reg})
		say := func(request, secret string) {
			c.Send(websock.Text(request))
			synctest.Wait() // its callback runs
			if n := reg.Broadcast("room", websock.Text(secret)); n != 2 {
				t.Errorf("the broadcast of %q was taken by %d mailboxes, want 2", secret, n)
			}
		}
		say("stay", "for all")
		c.Want(websock.Text("still here"), websock.Text("for all"))
		say("leave", "secret")
		c.Want(websock.Text("left"))
		c.WantNothing(time.Minute)
		other.Want(websock.Text("for all"), websock.Text("secret"))
		c.PID.Send(websock.Text("by its PID"))
		c.Want(websock.Text("by its PID"))
	})
}
