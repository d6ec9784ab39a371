package clustertest_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
)

// keeper keeps the numbers it gets, and answers a Call with how many have come in order. Then it ends.
type keeper struct{ got []int }

func (k *keeper) Receive(ctx context.Context, msg any) error {
	if n, ok := msg.(int); ok {
		k.got = append(k.got, n)
		return nil
	}
	if !slices.IsSorted(k.got) {
		return errors.New("out of order")
	}
	actor.Reply(ctx, len(k.got))
	return actor.ErrNormal
}

// TestNode_overTCP: nodes owe nothing to one engine. This runs in real time, on loopback.
func TestNode_overTCP(t *testing.T) {
	net, silent := &tcpNet{nodes: map[tcpNode]string{}}, slog.New(slog.DiscardHandler)
	start := func(name string) *actor.System {
		sys, err := actor.NewSystem(actor.Config{Node: name, Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		node, err := cluster.New(sys, cluster.Config{Engine: net, Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		go func() { served <- node.Serve(ctx) }()
		t.Cleanup(func() {
			_ = sys.Shutdown(context.Background())
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
		return sys
	}
	here, there := start("here"), start("there")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	pid, err := there.Spawn(ctx, &keeper{}, actor.SpawnOptions{MailboxLimit: -1})
	if err != nil {
		t.Fatal(err)
	}
	away, err := here.ParsePID(pid.String())
	if err != nil {
		t.Fatal(err)
	}
	for !away.Alive() {
		if ctx.Err() != nil {
			t.Fatal("the nodes do not find each other")
		}
		time.Sleep(time.Millisecond)
	}
	ended := make(chan error, 1)
	go func() {
		reason, err := actor.Wait(ctx, away)
		ended <- errors.Join(reason, err)
	}()
	for i := range 1000 {
		if !away.Send(i) {
			t.Fatalf("Send %d = false", i)
		}
	}
	if n, err := actor.Call[int](ctx, away, "how many"); n != 1000 || err != nil {
		t.Errorf("it has got %d of 1000: %v", n, err)
	}
	if reason := <-ended; !errors.Is(reason, actor.ErrNormal) && !errors.Is(reason, actor.ErrNoProcess) {
		t.Errorf("its end: %v, want %v", reason, actor.ErrNormal)
	}
}
