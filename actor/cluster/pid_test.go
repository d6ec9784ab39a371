package cluster_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/host"
)

// A PID from a database is as good as one from a message. It never comes to mean a process of another boot.
func TestPID_fromText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		in := newInbox(t, c.System(1))
		text := in.pid.String()
		pid, err := c.System(0).ParsePID(text)
		if err != nil {
			t.Fatal(err)
		}
		if !pid.Alive() || !pid.Send("hi") || c.System(0).Owns(pid) || pid != c.At(0, in.pid) {
			t.Errorf("%v from text does not reach the process", pid)
		}
		back, err := c.System(1).ParsePID(pid.String())
		if err != nil || back != in.pid {
			t.Errorf("back at its node it is %v, %v; want %v", back, err, in.pid)
		}
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []any{"hi"}) {
			t.Errorf("received %v, want hi", got)
		}
		c.Restart(1)
		c.Connect()
		next := newInbox(t, c.System(1))
		if a, b := number(pid), number(next.pid); a != b {
			t.Fatalf("the test wants the process of the new boot to have the number of the old one: %d and %d", a, b)
		}
		if pid.Alive() || pid.Send("to the old boot") || pid.Exit(actor.ErrShutdown) {
			t.Error("a PID of an earlier boot is alive")
		}
		if _, err := ask(pid, 1); !errors.Is(err, actor.ErrNodeDown) || !host.Unhandled(err) {
			t.Errorf("Call of a PID of an earlier boot = %v, of which Unhandled is %t; want an ErrNodeDown for which nothing was sent", err, host.Unhandled(err))
		}
		wait(10 * time.Second)
		if got := next.all(); len(got) > 0 || !next.pid.Alive() {
			t.Errorf("the process of the new boot got %v", got)
		}
		own, err := c.System(1).ParsePID(text) // at its own node nobody is asked
		if err != nil || own.Alive() || own.Send(1) {
			t.Errorf("at its own node a PID of an earlier boot: %v, alive %t", err, own.Alive())
		}
		if _, err := ask(own, 1); !errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("there a Call = %v, want ErrNoProcess", err)
		}
	})
}

// PIDs in messages belong to whoever gets them, also those of a third node.
func TestPID_inMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Node: func(int, *actor.System) cluster.Config {
			types := &cluster.Types{}
			cluster.Register[known](types, "known")
			return cluster.Config{Types: types}
		}})
		forward := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
			m := msg.(known)
			if !m.Who.Send(m) {
				t.Errorf("Send to %v of a message = false", m.Who)
			}
			return nil
		}}, actor.SpawnOptions{})
		ins := []*inbox{newInbox(t, c.System(0)), newInbox(t, c.System(1)), newInbox(t, c.System(2))}
		for _, in := range ins {
			c.At(0, forward).Send(known{"hi", c.At(0, in.pid)})
		}
		wait(time.Second)
		for i, in := range ins {
			if got := in.all(); len(got) != 1 || got[0] != (known{"hi", in.pid}) {
				t.Errorf("node %d received %v, want a message with its own PID %v", i, got, in.pid)
			}
		}
	})
}
