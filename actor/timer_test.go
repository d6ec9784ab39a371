package actor_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// clocked is an inbox that notes the second at which each message came.
func clocked(t *testing.T, sys *actor.System) (ctx context.Context, got *journal[string]) {
	t.Helper()
	start := time.Now()
	got = &journal[string]{}
	spawn(t, sys, &behaviour{
		init: func(c context.Context) error { ctx = c; return nil },
		receive: func(_ context.Context, msg any) error {
			got.add(fmt.Sprintf("%v at %v", msg, time.Since(start)))
			return nil
		},
	}, actor.SpawnOptions{})
	return ctx, got
}

func TestSendAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		ctx, got := clocked(t, sys)
		actor.SendAfter(ctx, 2*time.Second, "two")
		actor.SendAfter(ctx, time.Second, "one")
		actor.SendAfter(ctx, 0, "now")
		actor.SendAfter(context.WithValue(ctx, actor.PID{}, 1), 3*time.Second, "derived")
		time.Sleep(time.Minute)
		want := []string{"now at 0s", "one at 1s", "two at 2s", "derived at 3s"}
		if !slices.Equal(got.all(), want) {
			t.Errorf("received %q, want %q", got.all(), want)
		}
	})
}

func TestSendEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		ctx, got := clocked(t, sys)
		timer := actor.SendEvery(ctx, time.Second, "tick")
		time.Sleep(3500 * time.Millisecond)
		if !timer.Stop() {
			t.Errorf("Stop = false")
		}
		time.Sleep(time.Minute)
		want := []string{"tick at 1s", "tick at 2s", "tick at 3s"}
		if !slices.Equal(got.all(), want) {
			t.Errorf("received %q, want %q", got.all(), want)
		}
	})
}

func TestSendEvery_atMostOneTickWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		ctx, got := clocked(t, sys)
		timer := actor.SendEvery(ctx, time.Second, "tick")
		actor.Self(ctx).Send(do(func(context.Context) error { time.Sleep(4500 * time.Millisecond); return nil }))
		time.Sleep(4 * time.Second)
		if info, _ := actor.Inspect(actor.Self(ctx)); info.Mailbox != 1 {
			t.Errorf("%d ticks wait, want 1", info.Mailbox)
		}
		time.Sleep(2200 * time.Millisecond)
		timer.Stop()
		want := []string{"tick at 4.5s", "tick at 5s", "tick at 6s"}
		if !slices.Equal(got.all(), want) {
			t.Errorf("received %q, want %q", got.all(), want)
		}
	})
}

func TestTimer_Stop(t *testing.T) {
	tests := []struct {
		name string
		run  func(ctx context.Context) (stopped bool)
		want bool
		got  int // messages
	}{
		{"before it is due", func(ctx context.Context) bool {
			return actor.SendAfter(ctx, time.Second, "x").Stop()
		}, true, 0},
		{"after it was handled", func(ctx context.Context) bool {
			tm := actor.SendAfter(ctx, time.Second, "x")
			time.Sleep(2 * time.Second)
			return tm.Stop()
		}, false, 1},
		{"twice", func(ctx context.Context) bool {
			tm := actor.SendAfter(ctx, time.Second, "x")
			tm.Stop()
			return tm.Stop()
		}, false, 0},
		{"while it waits in the mailbox", func(ctx context.Context) bool {
			tm := actor.SendAfter(ctx, time.Second, "x")
			actor.Self(ctx).Send(do(func(context.Context) error { time.Sleep(3 * time.Second); return nil }))
			time.Sleep(2 * time.Second)
			return tm.Stop()
		}, true, 0},
		{"a tick that waits in the mailbox", func(ctx context.Context) bool {
			tm := actor.SendEvery(ctx, time.Second, "x")
			actor.Self(ctx).Send(do(func(context.Context) error { time.Sleep(3 * time.Second); return nil }))
			time.Sleep(2 * time.Second)
			return tm.Stop()
		}, true, 0},
		{"in the callback of its own tick", func(ctx context.Context) bool {
			tm := actor.SendEvery(ctx, time.Second, "x")
			time.Sleep(1500 * time.Millisecond)
			return tm.Stop()
		}, true, 1},
		{"after the process's end", func(ctx context.Context) bool {
			tm := actor.SendEvery(ctx, time.Second, "x")
			actor.Self(ctx).Exit(actor.ErrKilled)
			return tm.Stop()
		}, false, 0},
		{"the zero Timer", func(context.Context) bool { return actor.Timer{}.Stop() }, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				ctx, got := clocked(t, sys)
				if stopped := tt.run(ctx); stopped != tt.want {
					t.Errorf("Stop = %t, want %t", stopped, tt.want)
				}
				time.Sleep(time.Minute)
				if got.len() != tt.got {
					t.Errorf("received %q, want %d messages", got.all(), tt.got)
				}
			})
		})
	}
}

func TestTimer_isComparable(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	a, b := actor.SendAfter(in.ctx, time.Hour, 1), actor.SendAfter(in.ctx, time.Hour, 1)
	if a == b || a == (actor.Timer{}) {
		t.Errorf("two timers are equal")
	}
}

func TestSendEvery_panicsOnNoInterval(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	for _, d := range []time.Duration{0, -1} {
		mustPanic(t, fmt.Sprintf("SendEvery(%v)", d), func() { actor.SendEvery(in.ctx, d, "x") })
	}
}
