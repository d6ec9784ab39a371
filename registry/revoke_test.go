package registry_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/websock"
)

// An end is told whatever MaxMessage is, as that of a single process is: whoever may not be here any more does not stay on other
// nodes because the reason has a long text.
func TestCluster_endsBeyondMaxMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{MaxMessage: 1 << 10}
		}}, nil)
		var told error
		c.regs[1].OnRevoke("chat", func(subject string, reason error) {
			if subject == "ann" {
				told = reason
			}
		})
		m := c.join(t, 1, "room")
		settle()
		long := errors.New(strings.Repeat("long ", 1000))
		c.regs[0].Revoke("chat", "ann", &websock.CloseError{Code: 4003, Reason: "banned", Err: long})
		c.regs[0].Close("room", &websock.CloseError{Code: 4001, Err: long})
		settle()
		if got, ok := errors.AsType[*websock.CloseError](told); !ok || got.Code != 4003 || got.Reason != "banned" {
			t.Errorf("the other node was told of the revocation with %v, want the Close 4003 banned", told)
		}
		if m.pid.Alive() {
			t.Error("a member of the group that was closed lives on the other node")
		}
	})
}
