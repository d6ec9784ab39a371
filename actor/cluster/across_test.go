package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/websock"
)

// These are the words of docs/explanation/across-nodes.md that no guarantee of the simulations covers.

type follower struct {
	node   *cluster.Node
	leader actor.PID // a process of another node
}

func (f *follower) Init(ctx context.Context) error {
	f.node.Watch(actor.Self(ctx)) // tells of the nodes that are up, too
	return nil
}

func (f *follower) Receive(ctx context.Context, msg any) error {
	switch m := msg.(type) {
	case cluster.NodeUp:
		if m.Node == f.leader.Node() && f.leader.Alive() { // its node, in the boot of that PID
			actor.Monitor(ctx, f.leader)
		}
	case actor.Down:
		if m.PID == f.leader && !errors.Is(m.Reason, actor.ErrNodeDown) {
			return m.Reason // it has ended
		} // else nothing is known, and a NodeUp may come
	}
	return nil
}

// A process that follows one of another node outlives a partition and the restart of a third node, and ends with what it
// follows, with the real exit reason.
func TestAcross_followsThroughAPartition(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *clustertest.Cluster, leader actor.PID)
		ends bool
	}{
		{"its leader ends after the heal", func(c *clustertest.Cluster, leader actor.PID) {
			c.Heal(0, 1)
			c.Connect()
			leader.Exit(errWork)
		}, true},
		{"its leader has ended before the heal", func(c *clustertest.Cluster, leader actor.PID) {
			leader.Exit(errWork)
			time.Sleep(time.Second)
			c.Heal(0, 1)
			c.Connect()
		}, true},
		{"the node is started anew", func(c *clustertest.Cluster, leader actor.PID) {
			c.Kill(1)
			c.Restart(1)
			c.Heal(0, 1) // a cut outlasts a restart
			c.Connect()
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				types := &cluster.Types{}
				cluster.RegisterError(types, "work", errWork)
				c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1, Node: func(int, *actor.System) cluster.Config {
					return cluster.Config{Types: types}
				}})
				leader := spawn(t, c.System(1), &behaviour{}, actor.SpawnOptions{})
				f := spawn(t, c.System(0), &follower{node: c.Node(0), leader: c.At(0, leader)}, actor.SpawnOptions{})
				c.Restart(2)
				c.Cut(0, 1)
				time.Sleep(20 * time.Second)
				if c.At(0, leader).Alive() || !f.Alive() {
					t.Fatalf("in the partition: leader connected %t, follower alive %t; want false, true", c.At(0, leader).Alive(), f.Alive())
				}
				ended := make(chan error, 1)
				go func() { reason, _ := actor.Wait(t.Context(), f); ended <- reason }()
				tt.end(c, leader)
				time.Sleep(20 * time.Second)
				synctest.Wait()
				select {
				case reason := <-ended:
					if !tt.ends || !errors.Is(reason, errWork) && !errors.Is(reason, actor.ErrNoProcess) {
						t.Errorf("the follower has ended with %v", reason)
					}
				default:
					if tt.ends {
						t.Error("the follower has not heard of the end of its leader")
					}
				}
				f.Exit(actor.ErrShutdown)
				synctest.Wait()
			})
		})
	}
}

var errWork = errors.New("no work left")

// A process passes on that a third node is down, as its exit reason. That does not look like the end of the link to its own
// node: whoever follows it ends, Wait returns the reason, and no monitor sees ErrNodeDown.
func TestAcross_passesNodeDownOn(t *testing.T) {
	wrapped := fmt.Errorf("ask the store: %w", actor.ErrNodeDown)
	for name, reason := range map[string]error{
		"itself":                         actor.ErrNodeDown,
		"wrapped":                        wrapped,
		"joined":                         errors.Join(errWork, wrapped),
		"in a CloseError":                &websock.CloseError{Code: websock.CloseGoingAway, Reason: "store", Err: wrapped},
		"in a ProtocolError":             &websock.ProtocolError{Code: websock.CloseInternalError, Rule: "store", Err: wrapped},
		"wrapped in an error in another": fmt.Errorf("twice: %w", &websock.CloseError{Code: websock.CloseGoingAway, Err: errors.Join(wrapped, errWork)}),
		"in a registered error":          storeError{Node: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				types := &cluster.Types{}
				cluster.RegisterError(types, "work", errWork)
				cluster.Register[storeError](types, "store")
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(int, *actor.System) cluster.Config {
					return cluster.Config{Types: types}
				}})
				leader := spawn(t, c.System(1), &behaviour{receive: func(context.Context, any) error { return reason }}, actor.SpawnOptions{})
				f := spawn(t, c.System(0), &follower{node: c.Node(0), leader: c.At(0, leader)}, actor.SpawnOptions{})
				in := newInbox(t, c.System(0))
				actor.Monitor(in.ctx, c.At(0, leader))
				type waited struct{ reason, err error }
				ended := make(chan waited, 1)
				go func() {
					reason, err := actor.Wait(t.Context(), c.At(0, leader))
					ended <- waited{reason, err}
				}()
				wait(time.Second)
				leader.Send("end")
				wait(20 * time.Second)
				if f.Alive() {
					t.Error("the follower waits for a leader that has ended")
				}
				f.Exit(actor.ErrShutdown)
				var got error
				for _, msg := range in.all() {
					got = msg.(actor.Down).Reason
				}
				if got == nil || errors.Is(got, actor.ErrNodeDown) || !errors.Is(got, actor.ErrNoProcess) {
					t.Errorf("Down of a process that ended with %v: %v, want a reason that is ErrNoProcess and no ErrNodeDown", reason, got)
				}
				if exit.KindOf(got) != exit.KindOf(reason) || !strings.Contains(fmt.Sprint(got), "node down") {
					t.Errorf("it is %v with kind %v, want the text and the kind %v", got, exit.KindOf(got), exit.KindOf(reason))
				}
				if errors.Is(got, errWork) != errors.Is(reason, errWork) {
					t.Errorf("errors.Is(%v, %v) = %t, want %t", got, errWork, errors.Is(got, errWork), errors.Is(reason, errWork))
				}
				if closed, ok := errors.AsType[*websock.CloseError](reason); ok {
					if got, ok := errors.AsType[*websock.CloseError](got); !ok || got.Code != closed.Code || got.Reason != closed.Reason {
						t.Errorf("errors.As a CloseError = %v, want %v", got, closed)
					}
				}
				if w := <-ended; w.err != nil || fmt.Sprint(w.reason) != fmt.Sprint(got) {
					t.Errorf("Wait = %v, %v; want %v, nil", w.reason, w.err, got)
				}
			})
		})
	}
}

// storeError is a registered error that wraps ErrNodeDown.
type storeError struct{ Node bool }

func (e storeError) Error() string { return "no store: " + e.Unwrap().Error() }
func (e storeError) Unwrap() error { return actor.ErrNodeDown }

// Partitions overlap: who is linked to both sides passes nothing on.
func TestAcross_nobodyPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		in := []*inbox{newInbox(t, c.System(0)), newInbox(t, c.System(1)), newInbox(t, c.System(2))}
		c.Cut(0, 2)
		time.Sleep(10 * time.Second)
		var got []string
		for from := range 3 {
			for to := range 3 {
				if from != to {
					got = append(got, fmt.Sprint(from, to, c.At(from, in[to].pid).Send(from)))
				}
			}
		}
		if want := []string{"0 1 true", "0 2 false", "1 0 true", "1 2 true", "2 0 false", "2 1 true"}; !slices.Equal(got, want) {
			t.Errorf("Send from, to: %q, want %q", got, want)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, want := range [][]any{{1}, {0, 2}, {1}} {
			all := in[i].all()
			slices.SortFunc(all, func(a, b any) int { return a.(int) - b.(int) })
			if !slices.Equal(all, want) {
				t.Errorf("node %d has got %v, want %v", i, all, want)
			}
		}
	})
}

// A full mailbox at another node: the sender has long had its true. The message is counted there.
func TestAcross_fullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		leave := make(chan struct{})
		var got journal[any]
		busy := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
			got.add(msg)
			<-leave
			return nil
		}}, actor.SpawnOptions{MailboxLimit: 2})
		for i := range 5 {
			if !c.At(0, busy).Send(i) {
				t.Errorf("Send %d = false", i)
			}
			time.Sleep(time.Second)
		}
		for p := range c.Node(1).Peers() {
			if p.Undelivered != 2 {
				t.Errorf("Undelivered of %s = %d, want 2: one is handled, two wait", p.Node, p.Undelivered)
			}
		}
		close(leave)
		synctest.Wait()
		if want := []any{0, 1, 2}; !slices.Equal(got.all(), want) {
			t.Errorf("handled %v, want %v", got.all(), want)
		}
	})
}
