package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
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

// TestContext_ofAProcessThatHasEnded has one row for each thing that may be asked first of a ctx whose process has ended,
// and that nobody asked for anything before; and the same of one that lives.
func TestContext_ofAProcessThatHasEnded(t *testing.T) {
	type key struct{}
	tests := []struct {
		name string
		ask  func(ctx context.Context) any
		live any
		dead any
	}{
		{"Err", func(ctx context.Context) any { return ctx.Err() }, nil, context.Canceled},
		{"Cause", func(ctx context.Context) any { return context.Cause(ctx) }, nil, errBoom},
		{"Done", func(ctx context.Context) any {
			select {
			case <-ctx.Done():
				return true
			default:
				return false
			}
		}, false, true},
		{"Value", func(ctx context.Context) any { return ctx.Value(key{}) }, nil, nil},
		{"a derived Err", func(ctx context.Context) any {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			return ctx.Err()
		}, nil, context.Canceled},
		{"a derived Cause", func(ctx context.Context) any {
			ctx, cancel := context.WithTimeout(context.WithValue(ctx, key{}, 1), time.Hour)
			defer cancel()
			return context.Cause(ctx)
		}, nil, errBoom},
		{"the Cause of a value", func(ctx context.Context) any {
			return context.Cause(context.WithValue(ctx, key{}, 1))
		}, nil, errBoom},
		{"AfterFunc", func(ctx context.Context) any {
			ran := false
			stop := context.AfterFunc(ctx, func() { ran = true })
			synctest.Wait()
			stop()
			return ran
		}, false, true},
	}
	for _, tt := range tests {
		for _, asked := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				in := newInbox(t, sys, actor.SpawnOptions{})
				if asked {
					if got := tt.ask(in.ctx); got != tt.live {
						t.Errorf("%s while it lives: %v, want %v", tt.name, got, tt.live)
					}
				}
				in.pid.Exit(errBoom)
				synctest.Wait()
				if got := tt.ask(in.ctx); got != tt.dead {
					t.Errorf("%s after the end, asked before %t: %v, want %v", tt.name, asked, got, tt.dead)
				}
			})
		}
	}
}

// TestContext_askedWhileItEnds: whoever asks at any moment learns of the end, with its cause.
func TestContext_askedWhileItEnds(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	for i := range 3000 {
		in := newInbox(t, sys, actor.SpawnOptions{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for range i % 40 {
				runtime.Gosched()
			}
			ctx, cancel := context.WithCancel(in.ctx)
			defer cancel()
			<-ctx.Done()
			if err := context.Cause(ctx); err != errBoom {
				t.Errorf("the cause of a derived ctx is %v, want %v", err, errBoom)
			}
		})
		wg.Go(func() {
			for in.ctx.Err() == nil {
				runtime.Gosched()
			}
			if err := context.Cause(in.ctx); err != errBoom {
				t.Errorf("the cause of a ctx that is done is %v, want %v", err, errBoom)
			}
		})
		in.pid.Exit(errBoom)
		wg.Wait()
	}
}

// TestContext_ofTerminate: at its deadline it is done, with the kill as the cause.
func TestContext_ofTerminate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		var waited time.Duration
		var cause, derived error
		pid := spawn(t, sys, &behaviour{terminate: func(ctx context.Context, _ error) {
			began := time.Now()
			d, ok := ctx.Deadline()
			if !ok || d.Sub(began) != 3*time.Second {
				t.Errorf("the deadline is in %v, %t; want 3s", d.Sub(began), ok)
			}
			longer, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-longer.Done()
			waited, cause, derived = time.Since(began), context.Cause(ctx), longer.Err()
		}}, actor.SpawnOptions{Shutdown: 3 * time.Second})
		pid.Exit(errBoom)
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if waited != 3*time.Second || !errors.Is(cause, actor.ErrKilled) || derived == nil {
			t.Errorf("done after %v, cause %v, derived %v; want 3s and ErrKilled", waited, cause, derived)
		}
	})
}

// TestContext_String: a ctx may be printed while its process is written to; fmt would read the record itself.
func TestContext_String(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	printed := make(chan string)
	pid := server(t, sys, func(ctx context.Context, msg any) error {
		if msg == "print" {
			printed <- fmt.Sprint(ctx, context.WithValue(ctx, new(int), 1))
		}
		return nil
	})
	pid.Send("print")
	more := make(chan struct{})
	go func() { // while it is printed
		defer close(more)
		for range 100 {
			pid.Send("more")
		}
	}()
	if got := <-printed; !strings.Contains(got, pid.String()) {
		t.Errorf("a ctx is printed as %q, want it to name %v", got, pid)
	}
	<-more
}
