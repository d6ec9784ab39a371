package main

import (
	"context"
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

func TestRoom_itsNodeIsKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		regs := make([]*registry.Registry, 3)
		c := clustertest.New(t, clustertest.Config{
			Seed:   1,
			System: func(int) actor.Config { return actor.Config{CallTimeout: 15 * time.Second} },
			Node:   func(int, *actor.System) cluster.Config { return cluster.Config{Types: types()} },
			Start: func(i int, n *cluster.Node) {
				reg, err := registry.NewCluster(n, registry.Config{})
				if err != nil {
					t.Fatal(err)
				}
				regs[i] = reg
			},
		})
		join := func(i int, name string) *sockettest.Conn {
			sys, reg := c.System(i), regs[i]
			start := func(ctx context.Context) (actor.PID, error) {
				return sys.Spawn(ctx, &room{reg: reg}, actor.SpawnOptions{})
			}
			return sockettest.Serve(t, socket.Config{System: sys}, &member{reg: reg, start: start, name: name})
		}

		ann := join(0, "Ann") // so the room is on node 0
		ann.Want(websock.JSON(welcome{"n0"}), websock.JSON(change{All: []string{"Ann"}}))
		bob := join(1, "Bob")
		bob.Want(websock.JSON(welcome{"n1"}), websock.JSON(change{All: []string{"Ann", "Bob"}}))
		ann.Want(websock.JSON(change{Joined: []string{"Bob"}}))
		ann.Send(websock.Text("hello"))
		if said := ann.Next(); string(said.Data) != string(bob.Next().Data) {
			t.Errorf("Bob does not read %s", said.Data)
		}

		c.Kill(0)
		bob.Want(websock.JSON(change{Left: []string{"Ann"}}))
		bob.WantClose(websock.CloseServiceRestart, "") // the room was there, too
		bob = join(1, "Bob")
		bob.Want(websock.JSON(welcome{"n1"}), websock.JSON(change{All: []string{"Bob"}}))
	})
}
