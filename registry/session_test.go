package registry_test

import (
	"context"
	"errors"
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

// One socket per user, on several nodes. docs/how-to/one-socket-per-user.md quotes session, signedInElsewhere and onlySession.

var elsewhere = &websock.CloseError{Code: 4001, Reason: "signed in elsewhere"}

type session struct {
	reg  *registry.Registry
	user string
}

func (s *session) Init(ctx context.Context) websock.Result {
	old, err := s.reg.Replace("user:"+s.user, actor.Self(ctx), nil)
	if err != nil {
		return websock.Stop(err) // we are being ended already
	}
	old.Exit(elsewhere) // nothing if there was none
	return websock.OK()
}

func (*session) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (*session) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

// signedInElsewhere ends a socket that has lost the name of its user to one of another node.
func signedInElsewhere(name string, lost, won actor.PID) { lost.Exit(elsewhere) }

// onlySession ends the socket that it has replaced, even if the link to its node ends meanwhile.
type onlySession struct {
	reg  *registry.Registry
	node *cluster.Node
	user string
	old  actor.PID // zero: there is none, or it has ended
}

func (s *onlySession) Init(ctx context.Context) websock.Result {
	old, err := s.reg.Replace("user:"+s.user, actor.Self(ctx), nil)
	if err != nil {
		return websock.Stop(err)
	}
	if old != (actor.PID{}) {
		s.end(ctx, old)
	}
	return websock.OK()
}

func (s *onlySession) end(ctx context.Context, old actor.PID) {
	s.old = old
	actor.Monitor(ctx, old)
	old.Exit(elsewhere)
}

func (s *onlySession) HandleInfo(ctx context.Context, msg any) websock.Result {
	switch m := msg.(type) {
	case actor.Down:
		switch {
		case m.PID != s.old:
		case errors.Is(m.Reason, actor.ErrNodeDown): // the Exit may be lost, and the old one may live
			s.node.Watch(actor.Self(ctx)) // tells of the nodes that are up, too
		default:
			s.old = actor.PID{}
		}
	case cluster.NodeUp:
		if s.old.Alive() { // its node is linked again, in the boot of that PID
			s.end(ctx, s.old)
		}
	}
	return websock.OK()
}

func (*onlySession) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }

// sessions are clients of one user on the nodes of a cluster.
type sessions struct {
	*registries
	t    *testing.T
	each func(i int) websock.Handler
}

func (s *sessions) connect(i int) *sockettest.Conn {
	s.t.Helper()
	return sockettest.Serve(s.t, socket.Config{System: s.System(i), PingInterval: -1, IdleTimeout: -1}, s.each(i))
}

func newSessions(t *testing.T, onConflict func(name string, lost, won actor.PID)) *sessions {
	t.Helper()
	c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond}, func(int) registry.Config {
		return registry.Config{OnConflict: onConflict}
	})
	return &sessions{c, t, func(i int) websock.Handler { return &session{c.regs[i], "42"} }}
}

// The newest socket of a user wins, on whatever node, and the client of the older one is told why.
func TestSession_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSessions(t, signedInElsewhere)
		first := s.connect(0)
		settle()
		second := s.connect(1)
		settle()
		first.WantClose(4001, "signed in elsewhere")
		third := s.connect(0)
		settle()
		second.WantClose(4001, "signed in elsewhere")
		third.WantNothing(time.Minute)
		for i := range 2 {
			if pid, _, ok := s.regs[i].Whereis("user:42"); !ok || pid != s.At(i, third.PID) {
				t.Errorf("on node %d Whereis = %v, %t; want the newest, %v", i, pid, ok, third.PID)
			}
		}
	})
}

// Two sockets of one user at the same moment on two nodes: the later one stays. So it is after a partition.
func TestSession_cluster_sameMoment(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %t", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSessions(t, signedInElsewhere)
				if cut {
					s.Cut(0, 1)
					time.Sleep(10 * time.Second)
				}
				first := s.connect(0)
				synctest.Wait()
				time.Sleep(time.Microsecond)
				second := s.connect(1)
				settle()
				if cut {
					first.WantNothing(time.Minute)
					s.Heal(0, 1)
					s.Connect()
					settle()
				}
				first.WantClose(4001, "signed in elsewhere")
				second.WantNothing(time.Minute)
			})
		})
	}
}

// The link ends before the Exit has come. Whoever has replaced the old socket sends it once more when the nodes are linked again; nobody
// else ends it here. Without a link that ends it does what a session does.
func TestOnlySession_cluster(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("cut %t", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSessions(t, func(string, actor.PID, actor.PID) {})
				s.each = func(i int) websock.Handler {
					return &onlySession{reg: s.regs[i], node: s.Node(i), user: "42"}
				}
				first := s.connect(0)
				settle()
				if cut {
					s.Cut(0, 1) // not noticed yet: the Replace finds the old socket, and the Exit is lost
				}
				second := s.connect(1)
				settle()
				if cut {
					first.WantNothing(10 * time.Second)
					s.Heal(0, 1)
					s.Connect()
					settle()
				}
				first.WantClose(4001, "signed in elsewhere")
				second.WantNothing(time.Minute)
			})
		})
	}
}
