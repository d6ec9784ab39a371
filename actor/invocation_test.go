package actor_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// throughProto tells whether protoactor's message invocation is on the stack.
func throughProto() bool {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "(*actorContext).InvokeUserMessage") {
			return true
		}
		if !more {
			return false
		}
	}
}

// Every message to an actor passes protoactor's invocation, where receiver middleware sits. Those to a process that has a
// host do not: its frames are no messages, and what is sent to it is broadcast to very many.
func TestReceive_passesProtoactor(t *testing.T) {
	for _, isHosted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sys, _ := newSystem(t, actor.Config{})
			other := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
			seen := map[string]bool{}
			b := behaviour{
				init: func(ctx context.Context) error {
					actor.Monitor(ctx, other)
					actor.SendAfter(ctx, time.Second, "timer")
					actor.Async(ctx, func(context.Context) (int, error) { return 0, nil })
					return nil
				},
				receive: func(ctx context.Context, msg any) error {
					name := "Down"
					switch m := msg.(type) {
					case string:
						name = m
					case actor.Done[int]:
						name = "Done"
					}
					seen[name] = throughProto()
					actor.Reply(ctx, nil)
					return nil
				},
			}
			var pid actor.PID
			if isHosted {
				port, err := host.Spawn(sys, &hosted{behaviour: b}, actor.SpawnOptions{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				pid = port.PID()
				port.Start()
			} else {
				pid = spawn(t, sys, &b, actor.SpawnOptions{})
			}
			pid.Send("Send")
			if _, err := actor.Call[any](t.Context(), pid, "Call"); err != nil {
				t.Error(err)
			}
			if ref, ok := host.RefOf(pid); !ok || !ref.Send("Ref") || !ref.Defer(due("Defer")) || !ref.Notify(due("Notify")) {
				t.Error("a message is refused")
			}
			other.Exit(actor.ErrNormal)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			for _, name := range []string{"Send", "Call", "Ref", "Defer", "Notify", "timer", "Down", "Done"} {
				if through, ok := seen[name]; !ok || through == isHosted {
					t.Errorf("hosted %t: %s arrived %t, through protoactor %t; want true, %t", isHosted, name, ok, through, !isHosted)
				}
			}
		})
	}
}

// due is a Deferred that is always itself.
type due string

func (d due) Due(actor.PID) (any, bool) { return string(d), true }
func (d due) Content() any              { return string(d) }
