package cluster_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// A producer of another node goes on at the receiver's pace, as one of this node does, and the mailbox of a process that would
// end when it is over its limit never is.
func TestSendWait_overNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		var got journal[int]
		const n, limit, every = 300, 8, 100 * time.Millisecond
		pid := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
			time.Sleep(every)
			got.add(msg.(int))
			return nil
		}}, actor.SpawnOptions{MailboxLimit: limit, Overflow: actor.OverflowExit})
		to, start := c.At(0, pid), time.Now()
		for i := range n {
			if err := actor.SendWait(t.Context(), to, i); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if info, _ := actor.Inspect(pid); info.Mailbox > limit/2 {
				t.Fatalf("%d messages wait, want %d at most", info.Mailbox, limit/2)
			}
		}
		if took := time.Since(start); took < (n-limit)*every {
			t.Errorf("all were sent after %v, want %v at least", took, (n-limit)*every)
		}
		wait(time.Minute)
		for i, msg := range got.all() {
			if msg != i {
				t.Fatalf("message %d is %d", i, msg)
			}
		}
		if len(got.all()) != n {
			t.Errorf("%d of %d messages have arrived", len(got.all()), n)
		}
	})
}

func TestSendWait_overNodes_ends(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func(c *clustertest.Cluster, pid actor.PID, cancel context.CancelCauseFunc)
		want error
	}{
		"ctx":          {func(_ *clustertest.Cluster, _ actor.PID, cancel context.CancelCauseFunc) { cancel(errGaveUp) }, errGaveUp},
		"the process":  {func(_ *clustertest.Cluster, pid actor.PID, _ context.CancelCauseFunc) { pid.Exit(actor.ErrKilled) }, actor.ErrNoProcess},
		"its node":     {func(c *clustertest.Cluster, _ actor.PID, _ context.CancelCauseFunc) { c.Kill(1) }, actor.ErrNodeDown},
		"the network":  {func(c *clustertest.Cluster, _ actor.PID, _ context.CancelCauseFunc) { c.Cut(0, 1) }, actor.ErrNodeDown},
		"it is no end": {func(_ *clustertest.Cluster, _ actor.PID, _ context.CancelCauseFunc) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
				release := make(chan struct{})
				var got journal[any]
				pid := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error {
					<-release
					got.add(msg)
					return nil
				}}, actor.SpawnOptions{MailboxLimit: 2})
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				to := c.At(0, pid)
				to.Send("is handled")
				wait(time.Second)
				to.Send("waits")
				wait(time.Second)
				told := make(chan error, 1)
				go func() { told <- actor.SendWait(ctx, to, "waits for room") }()
				wait(time.Second)
				select {
				case err := <-told:
					t.Fatalf("SendWait has not waited: %v", err)
				default:
				}
				tt.end(c, pid, cancel)
				if tt.want == nil {
					close(release)
				}
				select {
				case err := <-told:
					if !errors.Is(err, tt.want) {
						t.Errorf("got %v, want %v", err, tt.want)
					}
				case <-time.After(10 * time.Minute):
					t.Error("SendWait has not returned in ten minutes")
				}
				if tt.want != nil {
					wait(time.Second)
					close(release)
				}
				wait(time.Second)
				if all := got.all(); tt.want == errGaveUp && len(all) != 2 || tt.want == nil && len(all) != 3 {
					t.Errorf("arrived: %v", all)
				}
			})
		})
	}
}

var errGaveUp = errors.New("gave up")

// While the window of the link is full, SendWait waits, too.
func TestSendWait_overNodes_windowFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		var got journal[any]
		pid := spawn(t, c.System(1), &behaviour{receive: func(_ context.Context, msg any) error { got.add(len(msg.(string))); return nil }}, actor.SpawnOptions{})
		to, large := c.At(0, pid), string(make([]byte, 100<<10))
		sent := 0
		for ; to.Send(large); sent++ { // until the window is full
		}
		if err := actor.SendWait(t.Context(), to, "when there is room"); err != nil {
			t.Errorf("with a full window: %v", err)
		}
		wait(time.Second)
		if all := got.all(); len(all) != sent+1 || all[sent] != len("when there is room") {
			t.Errorf("%d messages have arrived, want %d and the last one", len(all), sent)
		}
	})
}

// A message that reaches nobody is counted once: by the node of the process, as what Send has sent is, or by that of the sender, when
// it has not left it. Of one that was on its way when the link ended nobody knows.
func TestSendWait_overNodes_undelivered(t *testing.T) {
	sendWait := func(to actor.PID, msg any) chan error {
		told := make(chan error, 1)
		go func() { told <- actor.SendWait(context.Background(), to, msg) }()
		wait(time.Second)
		return told
	}
	type counted struct{ Here, There, Link uint64 } // by the sender's System, by the other one, and by the link there
	for name, tt := range map[string]struct {
		do   func(c *clustertest.Cluster, to, pid actor.PID, release func()) (told chan error)
		want counted
		is   error
	}{
		"the process is gone": {func(_ *clustertest.Cluster, to, pid actor.PID, release func()) chan error {
			release()
			pid.Exit(actor.ErrNormal)
			wait(time.Second)
			return sendWait(to, "m")
		}, counted{0, 1, 1}, actor.ErrNoProcess},
		"the process ends": {func(_ *clustertest.Cluster, to, pid actor.PID, _ func()) chan error {
			pid.Exit(actor.ErrNormal)
			return sendWait(to, "m")
		}, counted{0, 1, 1}, actor.ErrNoProcess},
		"the process ends while it waits": {func(_ *clustertest.Cluster, to, pid actor.PID, release func()) chan error {
			to.Send("waits") // and is handled
			told := sendWait(to, "m")
			pid.Exit(actor.ErrNormal)
			release()
			return told
		}, counted{0, 1, 1}, actor.ErrNoProcess},
		"it cannot be encoded": {func(_ *clustertest.Cluster, to, _ actor.PID, _ func()) chan error {
			return sendWait(to, make(chan int))
		}, counted{1, 0, 0}, nil},
		"it cannot be decoded": {func(_ *clustertest.Cluster, to, _ actor.PID, _ func()) chan error {
			return sendWait(to, known{})
		}, counted{1, 0, 0}, nil},
		"not connected": {func(c *clustertest.Cluster, to, _ actor.PID, _ func()) chan error {
			c.Cut(0, 1)
			wait(time.Minute)
			return sendWait(to, "m")
		}, counted{1, 0, 0}, actor.ErrNodeDown},
		"the link ends while it waits": {func(c *clustertest.Cluster, to, _ actor.PID, _ func()) chan error {
			to.Send("waits")
			told := sendWait(to, "m")
			c.Cut(0, 1)
			return told
		}, counted{}, actor.ErrNodeDown},
		"the link ends before the answer comes": {func(c *clustertest.Cluster, to, pid actor.PID, _ func()) chan error {
			pid.Exit(actor.ErrNormal)
			c.CutOneWay(1, 0)
			return sendWait(to, "m")
		}, counted{0, 1, 1}, actor.ErrNodeDown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
					types := &cluster.Types{}
					if i == 0 {
						cluster.Register[known](types, "known")
					}
					return cluster.Config{Types: types}
				}})
				released := make(chan struct{})
				release := sync.OnceFunc(func() { close(released) })
				defer release()
				pid := spawn(t, c.System(1), &behaviour{receive: func(context.Context, any) error { <-released; return nil }},
					actor.SpawnOptions{MailboxLimit: 2})
				pid.Send("is handled")
				wait(time.Second)
				told := tt.do(c, c.At(0, pid), pid, release)
				wait(time.Second)
				var got counted
				for p := range c.Node(1).Peers() { // before the link may end
					got.Link = p.Undelivered
				}
				wait(time.Minute)
				err := <-told
				if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("SendWait: %v, want %v", err, tt.is)
				}
				got.Here, got.There = c.System(0).Stats().Undelivered, c.System(1).Stats().Undelivered
				if got != tt.want {
					t.Errorf("counted %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}
