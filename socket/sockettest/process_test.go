package sockettest_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket/sockettest"
)

type tick struct{}

// stuck blocks in Receive until release is closed.
type stuck struct{ release chan struct{} }

func (s *stuck) Receive(context.Context, any) error { <-s.release; return nil }

func TestNewSystem(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		var sys *actor.System
		var ctx context.Context
		passes(t, func(t testing.TB) {
			sys = sockettest.NewSystem(t)
			ctx, _ = sockettest.NewProcess(t, sys)
			if !actor.Self(ctx).Alive() {
				t.Errorf("the process of NewProcess is dead while the test runs")
			}
		})
		if actor.Self(ctx).Alive() || !errors.Is(context.Cause(ctx), actor.ErrShutdown) {
			t.Errorf("after the test: process alive %v, cause %v; want false, ErrShutdown", actor.Self(ctx).Alive(), context.Cause(ctx))
		}
		if _, err := sys.Spawn(context.Background(), &stuck{}, actor.SpawnOptions{}); !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("Spawn after the test: got %v, want ErrShutdown", err)
		}
	})
}

// A process that does not end fails the test.
func TestNewSystem_stuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		failsWith(t, func(t testing.TB) {
			sys := sockettest.NewSystem(t)
			pid, err := sys.Spawn(context.Background(), &stuck{release}, actor.SpawnOptions{Shutdown: -1})
			if err != nil {
				t.Fatalf("Spawn: %v", err)
			}
			pid.Send("go")
		}, "at the end of the test", "1 processes killed")
		close(release)
	})
}

func TestNewSystem_logs(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		fake := passes(t, func(t testing.TB) {
			ctx, _ := sockettest.NewProcess(t, sockettest.NewSystem(t))
			dead := actor.Self(ctx)
			dead.Exit(actor.ErrNormal)
			<-ctx.Done()
			dead.Send("nobody is there")
		})
		if !slices.ContainsFunc(fake.logs, func(l string) bool { return strings.Contains(l, "message reached nobody") }) {
			t.Errorf("log: got %q, want a line of the System", fake.logs)
		}
	})
}

func TestNewProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, p := sockettest.NewProcess(t, sockettest.NewSystem(t))
		if got := p.Messages(); len(got) != 0 {
			t.Errorf("Messages before anything was sent: got %v, want none", got)
		}
		actor.Self(ctx).Send("one")
		actor.SendAfter(ctx, time.Minute, tick{})
		synctest.Wait()
		before := p.Messages()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []any{"one"}; !reflect.DeepEqual(before, want) {
			t.Errorf("Messages after a send: got %v, want %v", before, want)
		}
		if got, want := p.Messages(), []any{"one", tick{}}; !reflect.DeepEqual(got, want) {
			t.Errorf("Messages after a minute: got %v, want %v", got, want)
		}
	})
}

// Next waits, and returns each message once; Messages has all of them.
func TestProcess_Next(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		ctx, p := sockettest.NewProcess(t, sockettest.NewSystem(t))
		actor.Self(ctx).Send("one")
		actor.Self(ctx).Send("two")
		actor.SendAfter(ctx, 10*time.Millisecond, tick{})
		for _, want := range []any{"one", "two", tick{}} {
			if got := p.Next(); got != want {
				t.Errorf("Next: got %v, want %v", got, want)
			}
		}
		if got, want := p.Messages(), []any{"one", "two", tick{}}; !reflect.DeepEqual(got, want) {
			t.Errorf("Messages: got %v, want %v", got, want)
		}
	})
}

func TestProcess_Next_failures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			_, p := sockettest.NewProcess(t, sockettest.NewSystem(t))
			p.Next()
		}, "Process.Next: got nothing within 168h0m0s, want a message")
	})
	everywhere(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			ctx, p := sockettest.NewProcess(t, sockettest.NewSystem(t))
			actor.Self(ctx).Send("last")
			actor.Self(ctx).Exit(actor.ErrNormal)
			if got := p.Next(); got != "last" {
				t.Errorf("Next: got %v, want last", got)
			}
			p.Next()
		}, "Process.Next: got nothing before the process ended, want a message")
	})
}

// More messages than a mailbox takes by default are collected.
func TestNewProcess_noLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, p := sockettest.NewProcess(t, sockettest.NewSystem(t))
		for i := range 5000 {
			if !actor.Self(ctx).Send(i) {
				t.Fatalf("message %d was refused", i)
			}
		}
		synctest.Wait()
		if n := len(p.Messages()); n != 5000 {
			t.Errorf("got %d messages, want 5000", n)
		}
	})
}

func TestNewProcess_systemHasEnded(t *testing.T) {
	everywhere(t, func(t *testing.T) {
		failsWith(t, func(t testing.TB) {
			sys := sockettest.NewSystem(t)
			if err := sys.Shutdown(context.Background()); err != nil {
				t.Fatalf("Shutdown: %v", err)
			}
			sockettest.NewProcess(t, sys)
		}, "start a process", actor.ErrShutdown.Error())
	})
}
