//go:build !troupe_nosyscalls

package socket_test

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// TestBroadcast_talkersDoNotWait: members that say something while a broadcast keeps the only processor busy for a tenth of a second
// are heard before most others are told, and after they have been told themselves. It needs real connections, which Go's
// scheduler looks for when it does, and handlers that take real time.
func TestBroadcast_talkersDoNotWait(t *testing.T) {
	old := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(old)
	const members, talkers = 300, 12
	var reg *registry.Registry
	told, heard := new(atomic.Int64), make(chan int64, talkers)
	h := tcpSite(t, socket.Config{Logger: quiet}, func() websock.Handler {
		return &talkMember{t: t, reg: reg, told: told, heard: heard}
	})
	reg = registry.New(h.sys)
	var clients []*rawclient.Client
	for range members {
		clients = append(clients, h.connect(rawclient.HandshakeOptions{}))
	}
	for reg.Count("room") < members {
		h.yield()
	}
	var tries [][]int64
	for range 5 { // the machine may be so busy that the clients come late
		told.Store(0)
		if got := reg.Broadcast("room", "listen"); got != members {
			t.Fatalf("Broadcast: %d, want %d", got, members)
		}
		for i := range talkers {
			c := clients[i*members/talkers] // some of them are told late
			if err := c.Text("I say"); err != nil {
				t.Fatal(err)
			}
		}
		var at []int64
		for range talkers {
			at = append(at, <-heard)
		}
		for told.Load() < members {
			h.yield()
		}
		if slices.Max(at) <= members/2 {
			return
		}
		tries = append(tries, at)
	}
	t.Errorf("the talkers were heard when of %d members %d were told, want at most half of them in one of the tries", members, tries)
}

// talkMember takes its time when it is told something, and notes how many were told when it hears its client.
type talkMember struct {
	t     *testing.T
	reg   *registry.Registry
	told  *atomic.Int64
	heard chan int64
	after bool // it was told since it has heard its client
}

func (m *talkMember) Init(ctx context.Context) websock.Result {
	m.reg.Join("room", actor.Self(ctx), nil)
	return websock.OK()
}

func (m *talkMember) HandleInfo(context.Context, any) websock.Result {
	for end := time.Now().Add(300 * time.Microsecond); time.Now().Before(end); {
	}
	m.told.Add(1)
	m.after = true
	return websock.OK()
}

func (m *talkMember) HandleIn(context.Context, websock.Message) websock.Result {
	if !m.after {
		m.t.Error("a client is heard before its socket has got the broadcast that was first")
	}
	m.after = false
	m.heard <- m.told.Load()
	return websock.OK()
}
