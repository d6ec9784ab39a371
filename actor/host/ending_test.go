package host_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// ends is an actor whose Terminate is noted.
type ends struct {
	receive
	terminated func()
}

func (e ends) Terminate(context.Context, error) { e.terminated() }

func TestOnEnding(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		end  func(p actor.PID)
		want []string
	}{
		{"an Exit", func(p actor.PID) { p.Exit(boom) }, []string{"ending", "terminate", "exit"}},
		{"an error of Receive", func(p actor.PID) { p.Send(boom) }, []string{"ending", "terminate", "exit"}},
		{"a kill", func(p actor.PID) { p.Exit(actor.ErrKilled) }, []string{"exit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys := newSystem(t)
				var got []string
				pid, err := sys.Spawn(context.Background(), ends{
					func(_ context.Context, msg any) error { return msg.(error) },
					func() { got = append(got, "terminate") },
				}, actor.SpawnOptions{})
				if err != nil {
					t.Fatal(err)
				}
				pid.OnExit(func(error) { got = append(got, "exit") })
				if !host.OnEnding(sys, func(p actor.PID) {
					got = append(got, "ending")
					if p != pid || p.Alive() {
						t.Errorf("told of %v, alive: %t; want %v, which takes no more messages", p, p.Alive(), pid)
					}
					panic("boom")
				}) {
					t.Fatal("the first OnEnding = false")
				}
				if host.OnEnding(sys, func(actor.PID) { got = append(got, "second") }) {
					t.Error("the second OnEnding = true")
				}
				tt.end(pid)
				time.Sleep(time.Second)
				synctest.Wait()
				if !slices.Equal(got, tt.want) {
					t.Errorf("%q, want %q", got, tt.want)
				}
			})
		})
	}
}
