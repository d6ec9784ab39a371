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
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/exit"
)

// ErrKilled overtakes what waits in the mailbox, ends a callback that does not return, and Terminate does not run. A
// function of OnExit that takes its time keeps nobody else.
func TestExit_killed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		release, terminated := make(chan struct{}), false
		stuck := spawn(t, c.System(1), &behaviour{
			receive:   func(context.Context, any) error { <-release; return nil },
			terminate: func(context.Context, error) { terminated = true },
		}, actor.SpawnOptions{})
		stuck.OnExit(func(error) { <-release })
		watcher, other := newInbox(t, c.System(0)), newInbox(t, c.System(1))
		away := c.At(0, stuck)
		ref := actor.Monitor(watcher.ctx, away)
		away.Send(1)
		away.Send(2)
		synctest.Wait()
		if !away.Exit(fmt.Errorf("no use: %w", actor.ErrKilled)) {
			t.Error("Exit = false, want true")
		}
		for range 100 {
			away.Exit(actor.ErrKilled)
		}
		c.At(0, other.pid).Send("is not kept")
		synctest.Wait()
		if got := other.all(); !slices.Equal(got, []any{"is not kept"}) {
			t.Errorf("while a function of OnExit runs, another process received %v", got)
		}
		close(release)
		wait(time.Second)
		got := watcher.all()
		if len(got) != 1 {
			t.Fatalf("the watcher received %v, want one Down", got)
		}
		if d := got[0].(actor.Down); d.Ref != ref || !errors.Is(d.Reason, actor.ErrKilled) || exit.KindOf(d.Reason) != exit.KindOf(actor.ErrKilled) {
			t.Errorf("the watcher received %v, want a Down with ErrKilled", d)
		}
		if terminated {
			t.Error("Terminate has run")
		}
	})
}

// A kill overtakes what was sent before it, and nothing that is sent after it overtakes the kill.
func TestExit_killKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond})
		for range 100 {
			in := newInbox(t, c.System(1))
			away := c.At(0, in.pid)
			away.Send("before")
			away.Exit(actor.ErrKilled)
			away.Send("after")
			wait(100 * time.Millisecond)
			if slices.Contains(in.all(), "after") {
				t.Fatalf("a process received %v, of which one was sent after the kill", in.all())
			}
		}
	})
}
