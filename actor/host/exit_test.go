package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestOnExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		pid := h.port.PID()
		h.port.Start()
		exit := func(name string) func(error) {
			return func(reason error) {
				h.note(fmt.Sprintf("%s: %v, alive %t, ctx %v", name, reason, pid.Alive(), h.ctx.Err()))
			}
		}
		host.OnExit(pid, exit("first"))
		cancel, ok := host.OnExit(pid, exit("cancelled"))
		if !ok {
			t.Errorf("OnExit of a living process: false")
		}
		host.OnExit(pid, func(error) { panic("in a hook") })
		host.OnExit(pid, func(reason error) {
			if _, ok := host.OnExit(pid, exit("late")); ok {
				t.Errorf("OnExit while the hooks run: true")
			}
			if !pid.Exit(actor.ErrKilled) { // it is ending anyway; nothing may hang
				t.Errorf("Exit in a hook: false")
			}
		})
		host.OnExit(pid, exit("last"))
		cancel()
		cancel()
		pid.Exit(errBoom)
		synctest.Wait()
		h.want(t, "init", "turn end, delivering true", "ending: boom", "terminate: boom",
			"first: boom, alive false, ctx <nil>", "last: boom, alive false, ctx <nil>")
		if !strings.Contains(h.log(), `where="exit hook" panic="in a hook"`) {
			t.Errorf("the panic was not logged: %s", h.log())
		}
		cancel()
		if cancel, ok := host.OnExit(pid, exit("dead")); ok {
			t.Errorf("OnExit of a dead process: true")
		} else {
			cancel()
		}
		if _, ok := host.OnExit(actor.PID{}, exit("nobody")); ok {
			t.Errorf("OnExit of nobody: true")
		}
	})
}

func TestOnExit_goexitDoesNotKeepTheProcessFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		host.OnExit(h.port.PID(), func(error) { runtime.Goexit() })
		host.OnExit(h.port.PID(), func(error) { h.note("second hook") })
		go h.port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		if h.port.PID().Alive() || !slices.Contains(h.all(), "second hook") {
			t.Errorf("alive %t, happened %q", h.port.PID().Alive(), h.all())
		}
	})
}

func TestOnExit_runsBeforeAnyDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, actor.SpawnOptions{})
		h.port.Start()
		host.OnExit(h.port.PID(), func(error) { time.Sleep(time.Second); h.note("hook") })
		go func() {
			actor.Wait(context.Background(), h.port.PID())
			h.note("waited")
		}()
		synctest.Wait()
		h.port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		h.want(t, "init", "turn end, delivering true", "hook", "waited")
	})
}

func TestCalling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, err := actor.NewSystem(actor.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Shutdown(context.Background())
		var got []bool
		pid, err := sys.Spawn(context.Background(), receive(func(ctx context.Context, _ any) error {
			got = append(got, host.Calling(ctx))
			actor.Reply(ctx, nil)
			return nil
		}), actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pid.Send("sent")
		actor.Call[any](context.Background(), pid, "called")
		if !slices.Equal(got, []bool{false, true}) {
			t.Errorf("Calling: %v, want false for a message and true for a Call", got)
		}
		if host.ActorOf(context.Background()) != nil || host.Calling(context.Background()) {
			t.Errorf("a ctx of no process has an actor")
		}
	})
}

type receive func(ctx context.Context, msg any) error

func (f receive) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

func TestSpawn_afterShutdown(t *testing.T) {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		t.Fatal(err)
	}
	sys.Shutdown(context.Background())
	if port, err := host.Spawn(sys, receive(nil), actor.SpawnOptions{}, host.Hooks{}); !errors.Is(err, actor.ErrShutdown) || port != (host.Port{}) {
		t.Errorf("Spawn after Shutdown = %v, %v; want ErrShutdown", port, err)
	}
}

// departing is a Host that wants to know when it ends.
type departing struct {
	receive
	exited func(info actor.ProcessInfo, reason error)
}

func (departing) TurnEnd(bool)                                  {}
func (departing) Overflow()                                     {}
func (departing) Ending(error)                                  {}
func (d departing) Exited(info actor.ProcessInfo, reason error) { d.exited(info, reason) }

func TestExited(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"returns": func() {},
		"panics":  func() { panic("in Exited") },
		"Goexit":  runtime.Goexit,
	} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, killed %t", name, killed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
					if err != nil {
						t.Fatal(err)
					}
					defer sys.Shutdown(context.Background())
					var happened []string
					port, err := host.Spawn(sys, departing{exited: func(info actor.ProcessInfo, reason error) {
						happened = append(happened, fmt.Sprintf("Exited: %v, alive %t, label %s", reason, info.PID.Alive(), info.Label))
						misbehave()
					}}, actor.SpawnOptions{Label: "host"})
					if err != nil {
						t.Fatal(err)
					}
					host.OnExit(port.PID(), func(error) { happened = append(happened, "hook") })
					port.Start()
					reason := errBoom
					if killed {
						reason = actor.ErrKilled
					}
					go port.PID().Exit(reason)
					synctest.Wait()
					want := []string{fmt.Sprintf("Exited: %v, alive false, label host", reason), "hook"}
					if !slices.Equal(happened, want) || port.PID().Alive() {
						t.Errorf("got %q, alive %t; want %q", happened, port.PID().Alive(), want)
					}
				})
			})
		}
	}
}
