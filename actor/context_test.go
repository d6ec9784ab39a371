package actor_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestSelf_andSetLabel_workWithDerivedContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{Label: "first"})
		type key struct{}
		derived, cancel := context.WithTimeout(context.WithValue(in.ctx, key{}, 1), time.Hour)
		defer cancel()
		if got := actor.Self(derived); got != in.pid {
			t.Errorf("Self = %v, want %v", got, in.pid)
		}
		if got := actor.Self(context.WithoutCancel(derived)); got != in.pid {
			t.Errorf("Self of WithoutCancel = %v, want %v", got, in.pid)
		}
		actor.SetLabel(derived, "second")
		if info, err := actor.Inspect(in.pid); info.Label != "second" || err != nil {
			t.Errorf("label %q, %v; want second", info.Label, err)
		}
		if v := derived.Value(key{}); v != 1 {
			t.Errorf("Value(key) = %v, want 1", v)
		}
	})
}

func TestContextOfNoProcess(t *testing.T) {
	ctx := context.Background()
	if got := actor.Self(ctx); got != (actor.PID{}) {
		t.Errorf("Self = %v, want zero", got)
	}
	actor.SetLabel(ctx, "nobody")
	var pid actor.PID
	for name, f := range map[string]func(){
		"Spawn":     func() { actor.Spawn(ctx, &behaviour{}, actor.SpawnOptions{}) },
		"Monitor":   func() { actor.Monitor(ctx, pid) },
		"SendAfter": func() { actor.SendAfter(ctx, 0, 1) },
		"SendEvery": func() { actor.SendEvery(ctx, 1, 1) },
		"Async":     func() { actor.Async(ctx, func(context.Context) (int, error) { return 0, nil }) },
	} {
		mustPanic(t, name, f)
	}
}

func TestContext_isDoneAfterTerminateWithItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var ctx context.Context
		var inTerminate error
		pid := spawn(t, sys, &behaviour{
			init:      func(c context.Context) error { ctx = c; return nil },
			terminate: func(c context.Context, _ error) { inTerminate = ctx.Err() },
		}, actor.SpawnOptions{})
		if _, ok := ctx.Deadline(); ok {
			t.Errorf("the ctx of a process has a deadline")
		}
		pid.Exit(errBoom)
		synctest.Wait()
		if inTerminate != nil || ctx.Err() != context.Canceled || context.Cause(ctx) != errBoom {
			t.Errorf("in Terminate %v, then %v with cause %v; want nil, then Canceled with %v", inTerminate, ctx.Err(),
				context.Cause(ctx), errBoom)
		}
	})
}

func TestContext_derivedOnesCostNoGoroutine(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	derive := func(parent context.Context) {
		before := runtime.NumGoroutine()
		var cancels []context.CancelFunc
		for range 100 {
			ctx, cancel := context.WithCancel(parent)
			ctx2, cancel2 := context.WithTimeout(context.WithValue(ctx, actor.PID{}, 1), time.Hour)
			_ = ctx2
			cancels = append(cancels, cancel, cancel2)
		}
		if got := runtime.NumGoroutine(); got > before+50 {
			t.Errorf("200 derived contexts started %d goroutines", got-before)
		}
		for _, cancel := range cancels {
			cancel()
		}
	}
	derive(in.ctx)
	pid := server(t, sys, func(ctx context.Context, _ any) error { derive(ctx); actor.Reply(ctx, nil); return nil })
	if err := callErr(pid); err != nil {
		t.Error(err)
	}
}
