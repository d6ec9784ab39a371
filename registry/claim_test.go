package registry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// What is told of a holder that has ended since, by a link that was slow, ends nobody: the name was free when the next one got it.
func TestNames_cluster_lateClaim(t *testing.T) {
	for _, tt := range []struct {
		name string
		give func(reg *registry.Registry, pid actor.PID) error
	}{
		{"Register", func(reg *registry.Registry, pid actor.PID) error { return reg.Register("room", pid, nil) }},
		{"Replace", func(reg *registry.Registry, pid actor.PID) error {
			_, err := reg.Replace("room", pid, nil)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conflicts journalOf
				c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
				first, next := c.spawn(t, 0), c.spawn(t, 1)
				c.Cut(0, 1) // shorter than DownAfter
				if err := tt.give(c.regs[0], first.pid); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
				c.wantHolder(t, "room", first, 2)
				end(t, first.pid, actor.ErrNormal)
				time.Sleep(100 * time.Millisecond)
				c.wantHolder(t, "room", nil, 2)
				if err := c.regs[1].Register("room", next.pid, nil); err != nil {
					t.Fatal(err)
				}
				c.Heal(0, 1)
				settle()
				c.wantHolder(t, "room", next, 0, 1, 2)
				conflicts.want(t)
			})
		})
	}
}

// What a third node says of a claim is about that one, and not about one that was made since.
func TestNames_cluster_lateWordOfAThirdNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b, next := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 1)
		c.Cut(0, 1)
		time.Sleep(10 * time.Second)
		c.regs[1].Register("room", b.pid, nil)
		settle()
		c.Cut(1, 2) // shorter than DownAfter: what node 2 says is on its way
		c.regs[0].Replace("room", a.pid, nil)
		time.Sleep(100 * time.Millisecond)
		end(t, a.pid, actor.ErrNormal)
		time.Sleep(100 * time.Millisecond)
		end(t, b.pid, actor.ErrNormal)
		if err := c.regs[1].Register("room", next.pid, nil); err != nil {
			t.Fatal(err)
		}
		c.Heal(1, 2)
		settle()
		c.wantHolder(t, "room", next, 1, 2)
		conflicts.want(t)
	})
}

// Of three holders the best one, on the node that is linked to both others, ends before it has heard of them: they are told by that
// node, which has no other reason to ask.
func TestNames_cluster_theBestEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		for i := range 3 {
			c.Cut(i, (i+1)%3)
		}
		time.Sleep(10 * time.Second)
		best := spawnWith(t, c.System(2), &member{terminate: func(context.Context) { time.Sleep(time.Minute) }}, actor.SpawnOptions{Shutdown: 2 * time.Minute})
		next, last := c.spawn(t, 1), c.spawn(t, 0)
		for k, m := range []*member{best, next, last} {
			if err := c.regs[2-k].Register("room", m.pid, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		best.pid.Exit(actor.ErrNormal) // it holds the name for a minute more, and does not insist on it
		c.Heal(0, 2)
		c.Heal(1, 2)
		c.waitForLinks(t, 0, 2, 1)
		conflicts.want(t)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		conflicts.want(t, fmt.Sprintf("on node 0: room lost %v won %v", last.pid, next.pid))
		c.wantHolder(t, "room", next, 1, 2)
		c.wantHolder(t, "room", nil, 0)
	})
}

// Of three holders the best one ends before anybody has acted: then the next one keeps the name, and the third has lost.
func TestNames_cluster_theBestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, nil)
		for i := range 3 {
			c.Cut(i, (i+1)%3)
		}
		time.Sleep(10 * time.Second)
		best := spawnWith(t, c.System(2), &member{terminate: func(context.Context) { time.Sleep(time.Minute) }}, actor.SpawnOptions{Shutdown: 2 * time.Minute})
		next, last := c.spawn(t, 1), c.spawn(t, 0)
		for k, m := range []*member{best, next, last} {
			if err := c.regs[2-k].Register("room", m.pid, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		best.pid.Exit(actor.ErrNormal) // it holds the name for a minute more, and does not insist on it
		for i := range 3 {
			c.Heal(i, (i+1)%3)
		}
		c.Connect()
		settle()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !next.pid.Alive() || last.pid.Alive() {
			t.Errorf("the second lives: %t, the third: %t; want only the second", next.pid.Alive(), last.pid.Alive())
		}
		c.wantHolder(t, "room", next, 0, 1, 2)
	})
}
