package cluster_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/websock"
)

// Wait returns the exit reason of a process of another node, or that its node is lost.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 5 * time.Millisecond})
		type result struct{ reason, err error }
		waitFor := func(p actor.PID) chan result {
			ch := make(chan result, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				defer cancel()
				reason, err := actor.Wait(ctx, p)
				ch <- result{reason, err}
			}()
			return ch
		}
		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		ends := waitFor(away)
		wait(time.Second)
		away.Exit(&websock.CloseError{Code: 4001, Reason: "bye"})
		r := <-ends
		var closed *websock.CloseError
		if !errors.As(r.reason, &closed) || closed.Code != 4001 || r.err != nil {
			t.Errorf("Wait = %v, %v; want the CloseError", r.reason, r.err)
		}
		if r := <-waitFor(away); !errors.Is(r.err, actor.ErrNoProcess) || errors.Is(r.err, actor.ErrNodeDown) {
			t.Errorf("Wait for a process that is gone = %v, %v; want ErrNoProcess", r.reason, r.err)
		}
		lost := waitFor(c.At(0, newInbox(t, c.System(1)).pid))
		wait(time.Second)
		c.Kill(1)
		if r := <-lost; !errors.Is(r.err, actor.ErrNodeDown) {
			t.Errorf("Wait for a process of a node that was killed = %v, %v; want ErrNodeDown", r.reason, r.err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Restart(1)
		c.Connect()
		if reason, err := actor.Wait(ctx, c.At(0, newInbox(t, c.System(1)).pid)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait for a process that lives = %v, %v; want its time to end", reason, err)
		}
	})
}
