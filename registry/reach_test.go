package registry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/sockettest"
	"github.com/troupe-dev/troupe/websock"
)

// Reaching a user wherever he is connected. docs/how-to/kick-a-user.md quotes login, answerLogins and signOut.

// login is a socket of a user. It crosses nodes: cluster.Register[[]login](types, "logins").
type login struct {
	PID    actor.PID
	Device string
}

// answerLogins has a node say which of its sockets are a user's. Each node needs it.
func answerLogins(node *cluster.Node, reg *registry.Registry) {
	cluster.Answer(node, "logins", func(_ context.Context, user string) ([]login, error) {
		var logins []login
		for pid, meta := range reg.Members("user:" + user) {
			device, _ := meta.(string)
			logins = append(logins, login{pid, device})
		}
		return logins, nil
	})
}

// signOut ends the sockets of a user on one kind of device, on whatever node. missing are the nodes that have not answered.
func signOut(ctx context.Context, node *cluster.Node, user, device string) (ended int, missing []string, err error) {
	answers, missing, err := cluster.Survey[[]login](ctx, node, "logins", user)
	for _, logins := range answers {
		for _, l := range logins {
			if l.Device == device && l.PID.Exit(&websock.CloseError{Code: 4003, Reason: "signed out on this device"}) {
				ended++
			}
		}
	}
	return ended, missing, err
}

// loggedIn is a socket of a user.
type loggedIn struct {
	reg          *registry.Registry
	user, device string
}

func (l *loggedIn) Init(ctx context.Context) websock.Result {
	if err := l.reg.Join("user:"+l.user, actor.Self(ctx), l.device); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}
func (*loggedIn) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (*loggedIn) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// A user with sockets on three nodes is told something, and loses his sockets, by whoever wants it on whatever node. What his clients
// get is looked at on the wire: the message, and the close code with its reason. Somebody else's sockets get nothing.
func TestUser_cluster(t *testing.T) {
	told := websock.Text("somebody has signed in with your password")
	for _, tt := range []struct {
		name  string
		do    func(c *registries, i int) error
		stays string // the device whose sockets do
		close websock.CloseError
	}{
		{"Close of the group", func(c *registries, i int) error {
			c.regs[i].Broadcast("user:42", told)
			c.regs[i].Close("user:42", &websock.CloseError{Code: 4001, Reason: "sign in again"})
			return nil
		}, "", websock.CloseError{Code: 4001, Reason: "sign in again"}},
		{"Exit of each member's PID", func(c *registries, i int) error {
			c.regs[i].Broadcast("user:42", told)
			n, missing, err := signOut(context.Background(), c.Node(i), "42", "phone")
			if n != 3 || len(missing) > 0 || err != nil {
				return fmt.Errorf("signOut = %d, %q, %w; want 3 sockets", n, missing, err)
			}
			return nil
		}, "laptop", websock.CloseError{Code: 4003, Reason: "signed out on this device"}},
	} {
		for from := range 3 {
			t.Run(fmt.Sprintf("%s, by node %d", tt.name, from), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, clustertest.Config{
						Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond,
						Node: func(int, *actor.System) cluster.Config {
							types := newTypes()
							cluster.Register[[]login](types, "logins")
							return cluster.Config{Types: types}
						},
					}, nil)
					type client struct {
						user, device string
						*sockettest.Conn
					}
					var clients []client
					for i := range 3 {
						answerLogins(c.Node(i), c.regs[i])
						for _, l := range []loggedIn{{c.regs[i], "42", "phone"}, {c.regs[i], "42", "laptop"}, {c.regs[i], "43", "phone"}} {
							conn := sockettest.Serve(t, socket.Config{System: c.System(i), PingInterval: -1, IdleTimeout: -1}, &l)
							clients = append(clients, client{l.user, l.device, conn})
						}
					}
					c.arrived()
					if err := tt.do(c, from); err != nil {
						t.Error(err)
					}
					c.arrived()
					for _, cl := range clients {
						if cl.user == "42" {
							cl.Want(told)
						}
						if cl.user == "42" && cl.device != tt.stays {
							cl.WantClose(tt.close.Code, tt.close.Reason)
						} else {
							cl.WantNothing(time.Minute)
						}
					}
					left := 0
					for i := range 3 {
						left += c.regs[i].Count("user:42")
					}
					want := 0
					if tt.stays != "" {
						want = 3
					}
					if left != want {
						t.Errorf("%d sockets of the user are left, want %d", left, want)
					}
				})
			})
		}
	}
}
