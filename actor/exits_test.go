package actor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestSystem_LastExits(t *testing.T) {
	for _, tt := range []struct{ setting, kept int }{{0, 256}, {3, 3}, {-1, 0}} {
		t.Run(fmt.Sprint(tt.setting), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{LastExits: tt.setting})
				if got := sys.LastExits(); len(got) != 0 {
					t.Errorf("before all: %+v", got)
				}
				var want []actor.Exit
				for i := range 600 {
					pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Label: fmt.Sprint(i)})
					reason := actor.ErrShutdown
					if i%2 == 0 {
						reason = fmt.Errorf("error %d", i)
						want = append(want, actor.Exit{PID: pid, Label: fmt.Sprint(i), Actor: "*actor_test.behaviour", Reason: reason, At: time.Now()})
					}
					pid.Exit(reason)
					synctest.Wait()
					time.Sleep(time.Second)
				}
				want = want[len(want)-tt.kept:]
				got := sys.LastExits()
				if len(got) != len(want) {
					t.Fatalf("%d exits, want %d", len(got), len(want))
				}
				for i := range got {
					if !got[i].At.Equal(want[i].At) {
						t.Errorf("exit %d: at %v, want %v", i, got[i].At, want[i].At)
					}
					if got[i].At = want[i].At; got[i] != want[i] {
						t.Errorf("exit %d: got %+v, want %+v", i, got[i], want[i])
					}
				}
			})
		})
	}
}

// Panics and kills are abnormal ends; a host has a list of its own.
func TestSystem_LastExits_which(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		panics := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		panics.Send(do(func(context.Context) error { panic("boom") }))
		synctest.Wait()
		killed := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		killed.Exit(actor.ErrKilled)
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		got := sys.LastExits()
		if len(got) != 2 || got[0].PID != panics || got[1].PID != killed || !errors.Is(got[1].Reason, actor.ErrKilled) {
			t.Fatalf("got %+v, want the panic and the kill", got)
		}
		var panicked *actor.PanicError
		if !errors.As(got[0].Reason, &panicked) {
			t.Errorf("the reason is %v, want a *PanicError", got[0].Reason)
		}
	})
}

func TestInspect_actor(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	in := newInbox(t, sys, actor.SpawnOptions{})
	if info, err := actor.Inspect(in.pid); err != nil || info.Actor != "*actor_test.behaviour" {
		t.Errorf("Actor is %q, %v", info.Actor, err)
	}
}
