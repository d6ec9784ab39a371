package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/websock"
)

// What takes a PID takes one of another node: the thin path through all of it.
func TestNode_reachesProcessesOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond})
		in := newInbox(t, c.System(0))
		ended := &journal[error]{}
		echo := spawn(t, c.System(1), &behaviour{
			receive: func(ctx context.Context, msg any) error {
				if from, ok := actor.Caller(ctx); ok {
					from.Reply(msg)
					return nil
				}
				c.At(1, in.pid).Send(msg)
				return nil
			},
			terminate: func(_ context.Context, reason error) {
				ended.add(reason)
				c.At(1, in.pid).Send("last words")
			},
		}, actor.SpawnOptions{})
		away := c.At(0, echo)
		if v, err := actor.Call[string](in.ctx, away, "hello"); v != "hello" || err != nil {
			t.Errorf(`Call = %q, %v; want "hello"`, v, err)
		}
		ref := actor.Monitor(in.ctx, away)
		var want []any
		for i := range 100 {
			if !away.Send(i) {
				t.Fatalf("Send %d = false", i)
			}
			want = append(want, i)
		}
		kick := &websock.CloseError{Code: 4001, Reason: "kicked"}
		if !away.Exit(kick) {
			t.Error("Exit = false")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want = append(want, "last words")
		got := in.all()
		if len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Fatalf("received %v, want %v and then a Down", got, want)
		}
		var closed *websock.CloseError
		down, ok := got[len(want)].(actor.Down)
		if !ok || down.Ref != ref || down.PID != away || !errors.As(down.Reason, &closed) || *closed != *kick {
			t.Errorf("after all messages came %v, want a Down with %v", got[len(want)], kick)
		}
		if r := ended.all(); len(r) != 1 || !errors.As(r[0], &closed) || closed.Code != 4001 {
			t.Errorf("the process ended with %v, want %v once", r, kick)
		}
		if _, err := actor.Call[any](in.ctx, away, 1); !errors.Is(err, actor.ErrNoProcess) || errors.Is(err, actor.ErrNodeDown) {
			t.Errorf("Call of a dead process = %v, want ErrNoProcess", err)
		}
	})
}

// A node that goes fires the monitors of its processes, and then those that watch nodes are told.
func TestNode_goes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		end    func(c *clustertest.Cluster)
		down   error // of the monitored process
		node   error // of the node
		within time.Duration
	}{
		{"killed", func(c *clustertest.Cluster) { c.Kill(1) }, actor.ErrNodeDown, actor.ErrNodeDown, 7 * time.Second},
		{"cut off", func(c *clustertest.Cluster) { c.Cut(0, 1) }, actor.ErrNodeDown, actor.ErrNodeDown, 7 * time.Second},
		{"in order", func(c *clustertest.Cluster) { c.Stop(1) }, actor.ErrShutdown, actor.ErrShutdown, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond})
				in := newInbox(t, c.System(0))
				silent := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, _ any) error {
					_, _ = actor.Caller(ctx) // and never answers
					return nil
				}}, actor.SpawnOptions{})
				away := c.At(0, silent)
				c.Node(0).Watch(in.pid)
				actor.Monitor(in.ctx, away)
				failed := make(chan error, 1)
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				go func() { _, err := actor.Call[any](ctx, away, 1); failed <- err }()
				time.Sleep(time.Second)
				tt.end(c)
				time.Sleep(tt.within)
				synctest.Wait()
				var got []string
				for _, m := range in.all() {
					switch m := m.(type) {
					case cluster.NodeUp:
						got = append(got, "up "+m.Node)
					case cluster.NodeDown:
						got = append(got, fmt.Sprintf("node down %s %t", m.Node, m.Reason == tt.node))
					case actor.Down:
						got = append(got, fmt.Sprint("down ", errors.Is(m.Reason, tt.down)))
					}
				}
				if want := []string{"up n1", "down true", "node down n1 true"}; !slices.Equal(got, want) {
					t.Errorf("within %v: %q, want %q (all: %v)", tt.within, got, want, in.all())
				}
				select {
				case err := <-failed:
					if !errors.Is(err, actor.ErrNoProcess) {
						t.Errorf("the Call that waited = %v, want ErrNoProcess or ErrNodeDown", err)
					}
				default:
					t.Error("the Call that waited still waits")
				}
				if away.Send("x") || away.Alive() {
					t.Error("Send or Alive = true after the node has gone")
				}
			})
		})
	}
}
