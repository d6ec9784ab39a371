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
	"github.com/troupe-dev/troupe/actor/host"
)

// The callee knows its caller, who may be of a third node, or nobody.
func TestCall_caller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 3, Seed: 1})
		callers := &journal[actor.PID]{}
		callee := spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			from, _ := actor.Caller(ctx)
			callers.add(from.PID())
			from.Reply(1)
			return nil
		}}, actor.SpawnOptions{})
		here, third := newInbox(t, c.System(0)), newInbox(t, c.System(2))
		if _, err := actor.Call[int](here.ctx, c.At(0, callee), 1); err != nil {
			t.Error(err)
		}
		if _, err := ask(c.At(0, callee), 1); err != nil {
			t.Error(err)
		}
		host.Ask(c.At(0, callee), c.At(0, third.pid), 1, time.Time{}, func(any, error) {})
		synctest.Wait()
		if got, want := callers.all(), []actor.PID{c.At(1, here.pid), {}, c.At(1, third.pid)}; !slices.Equal(got, want) {
			t.Errorf("the callers were %v, want %v", got, want)
		}
	})
}

// Call says what it says at one node: no reply, full mailbox, the end of the callee, the time.
func TestCall_fails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond})
		release := make(chan struct{})
		handled := &journal[any]{}
		callee := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			handled.add(msg)
			switch msg {
			case "wait":
				<-release
			case "end":
				return actor.ErrNormal
			case "boom":
				panic("boom")
			}
			return nil
		}}, actor.SpawnOptions{MailboxLimit: 2}))
		if _, err := ask(callee, "no reply"); !errors.Is(err, actor.ErrNoReply) {
			t.Errorf("Call without a reply = %v, want ErrNoReply", err)
		}
		callee.Send("wait")
		synctest.Wait()
		wait(time.Second)
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := actor.Call[any](short, callee, "in time"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Call with a time = %v after %v, want DeadlineExceeded after 1s", err, time.Since(start))
		}
		wait(time.Second)
		callee.Send("fills it")
		if _, err := ask(callee, "full"); !errors.Is(err, actor.ErrMailboxFull) {
			t.Errorf("Call of a process whose mailbox is full = %v, want ErrMailboxFull", err)
		}
		close(release)
		wait(time.Second)
		if _, err := ask(callee, "end"); !errors.Is(err, actor.ErrNoReply) && !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call of a process that ends = %v, want ErrNoReply or ErrNoProcess", err)
		}
		if _, err := ask(callee, "gone"); !errors.Is(err, actor.ErrNoProcess) {
			t.Errorf("Call of a process that has ended = %v, want ErrNoProcess", err)
		}
		if got, want := handled.all(), []any{"no reply", "wait", "fills it", "end"}; !slices.Equal(got, want) {
			t.Errorf("handled %v, want %v: what was cancelled or refused is not", got, want)
		}
	})
}

// A long answer waits for the window, or the caller is told: the session goes on.
func TestCall_longAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window, size, calls = 256 << 10, 100 << 10, 20
		ev := &events{}
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond, Node: func(int, *actor.System) cluster.Config {
			return cluster.Config{Window: window, MaxMessage: 128 << 10, OnEvent: ev.add}
		}})
		callee := c.At(0, spawn(t, c.System(1), &behaviour{receive: func(ctx context.Context, msg any) error {
			actor.Reply(ctx, make([]byte, size))
			return nil
		}}, actor.SpawnOptions{}))
		results := make(chan error, calls)
		for range calls {
			host.Ask(callee, actor.PID{}, 1, time.Time{}, func(v any, err error) {
				if b, ok := v.([]byte); err == nil && (!ok || len(b) != size) {
					err = fmt.Errorf("the answer is %.20v", v)
				}
				results <- err
			})
		}
		wait(10 * time.Second)
		came, refused := 0, 0
		for range calls {
			switch err := <-results; {
			case err == nil:
				came++
			case errors.Is(err, actor.ErrNoReply) && strings.Contains(err.Error(), "no room for the reply"):
				refused++
			default:
				t.Errorf("Call = %v, want the answer or that the window had no room", err)
			}
		}
		if came == 0 || refused == 0 {
			t.Errorf("%d answers came and %d were refused, want some of both", came, refused)
		}
		if slices.ContainsFunc(ev.kinds(), func(k string) bool { return strings.HasPrefix(k, "node down") }) {
			t.Errorf("events %q: the session has ended", ev.kinds())
		}
	})
}
