package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/websock"
)

func TestReplace_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 5 * time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		old, err := c.regs[1].Replace("user:42", b.pid, "laptop")
		if err != nil || old != c.At(1, a.pid) {
			t.Errorf("Replace = %v, %v; want %v", old, err, a.pid)
		}
		settle()
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		if !a.pid.Alive() {
			t.Error("the one that was replaced has ended by itself")
		}
		for r := range c.regs[0].Of(a.pid) {
			t.Errorf("the one that was replaced still has %v", r)
		}
		old.Exit(actor.ErrNormal)
		settle()
		if a.pid.Alive() {
			t.Error("the one that was replaced lives on after the Exit")
		}
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		conflicts.want(t)
	})
}

// A Replace on another node ends nothing by itself, by whatever way it is heard of, as long as the link to that node lasts: the Exit of
// its caller is on its way.
func TestReplace_cluster_slowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		var reason error
		a.pid.OnExit(func(err error) { reason = err })
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		c.Cut(0, 1) // shorter than DownAfter; node 2 hears of both
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil || old != c.At(1, a.pid) {
			t.Fatalf("Replace = %v, %v", old, err)
		}
		old.Exit(&websock.CloseError{Code: 4001})
		settle()
		if !a.pid.Alive() {
			t.Error("the old holder has ended before it was told to")
		}
		c.Heal(0, 1)
		settle()
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		if closed := (*websock.CloseError)(nil); !errors.As(reason, &closed) || closed.Code != 4001 {
			t.Errorf("the old holder has ended with %v, want what the caller of Replace has said", reason)
		}
		conflicts.want(t)
	})
}

// When the link ends before a Replace and the Exit have got through, the old holder has lost once there is another link.
func TestReplace_cluster_lostExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		c.Cut(0, 1)
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil {
			t.Fatal(err)
		}
		old.Exit(actor.ErrNormal)
		time.Sleep(10 * time.Second)
		c.Heal(0, 1)
		c.Connect()
		settle()
		c.wantHolder(t, "user:42", b, 0, 1)
		conflicts.want(t, fmt.Sprintf("on node 0: user:42 lost %v won %v", a.pid, b.pid))
	})
}

// When the link ends after a Replace and before its Exit has got through, the old holder has no name any more and nobody ends it: a Down
// says that nothing is known of it, and a second Exit ends it.
func TestReplace_cluster_lostExitOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil {
			t.Fatal(err)
		}
		var down actor.Down
		b.down = func(d actor.Down) { down = d }
		b.pid.Send(func(ctx context.Context) { actor.Monitor(ctx, old) })
		settle()
		c.Cut(0, 1)
		old.Exit(actor.ErrNormal)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if down.PID != old || !errors.Is(down.Reason, actor.ErrNodeDown) {
			t.Errorf("whoever monitors the old holder got %+v, want a Down with ErrNodeDown", down)
		}
		c.Heal(0, 1)
		c.Connect()
		settle()
		c.wantHolder(t, "user:42", b, 0, 1)
		conflicts.want(t)
		if !a.pid.Alive() {
			t.Error("the old holder has ended: the Exit has got through, or somebody else ends it; the docs say otherwise")
		}
		old.Exit(actor.ErrNormal)
		settle()
		if a.pid.Alive() {
			t.Error("the old holder lives on after a second Exit")
		}
	})
}
