package actor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		start := time.Now()
		in := newInbox(t, sys, actor.SpawnOptions{Label: "room"})
		time.Sleep(time.Second)
		check := func(when string, want actor.ProcessInfo) {
			t.Helper()
			want.PID, want.Label, want.Since = in.pid, "room", start
			got, err := actor.Inspect(in.pid)
			if err != nil || got.PID != want.PID || got.Label != want.Label || !got.Since.Equal(want.Since) ||
				got.Mailbox != want.Mailbox || got.Handled != want.Handled || got.Dropped != want.Dropped ||
				got.Ending != want.Ending || got.Handling != want.Handling || got.For != want.For {
				t.Errorf("%s:\ngot  %+v, %v\nwant %+v", when, got, err, want)
			}
		}
		check("at rest", actor.ProcessInfo{})
		in.pid.Send("one")
		synctest.Wait()
		check("after a message", actor.ProcessInfo{Handled: 1})
		release := block(t, in.pid)
		in.pid.Send("waits")
		time.Sleep(3 * time.Second)
		check("in a callback", actor.ProcessInfo{Handled: 2, Mailbox: 1, Handling: "actor_test.do", For: 3 * time.Second})
		release()
		synctest.Wait()
		check("at rest again", actor.ProcessInfo{Handled: 3})
	})
}

func TestInspect_handling(t *testing.T) {
	tests := []struct {
		name string
		send func(pid actor.PID, ctx context.Context)
		want string
	}{
		{"nil", func(pid actor.PID, _ context.Context) { pid.Send(nil) }, "<nil>"},
		{"a string", func(pid actor.PID, _ context.Context) { pid.Send("x") }, "string"},
		{"a Call shows its request", func(pid actor.PID, _ context.Context) {
			go actor.Call[any](context.Background(), pid, 7)
		}, "int"},
		{"a timer shows its message", func(_ actor.PID, ctx context.Context) { actor.SendAfter(ctx, 0, 1.5) }, "float64"},
		{"a Down", func(_ actor.PID, ctx context.Context) { actor.Monitor(ctx, actor.PID{}) }, "actor.Down"},
		{"Terminate", func(pid actor.PID, _ context.Context) { pid.Exit(errBoom) }, "terminate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				var ctx context.Context
				pid := spawn(t, sys, &behaviour{
					init:      func(c context.Context) error { ctx = c; return nil },
					receive:   func(context.Context, any) error { time.Sleep(2 * time.Second); return nil },
					terminate: func(context.Context, error) { time.Sleep(2 * time.Second) },
				}, actor.SpawnOptions{})
				tt.send(pid, ctx)
				time.Sleep(time.Second)
				info, err := actor.Inspect(pid)
				if info.Handling != tt.want || info.For != time.Second || err != nil {
					t.Errorf("Handling %q for %v, %v; want %q for 1s", info.Handling, info.For, err, tt.want)
				}
				if info.Ending != (tt.name == "Terminate") {
					t.Errorf("Ending %t", info.Ending)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestInspect_for: of messages that an actor handles in a row, some of which take long, what is said is never less than how long
// the callback has been running, and more by 10 ms at most: no timer of a bubble is late.
func TestInspect_for(t *testing.T) {
	const slack = 10 * time.Millisecond
	for name, long := range map[string]func(i int) time.Duration{
		"all of them":        func(int) time.Duration { return time.Second },
		"after many short":   func(i int) time.Duration { return time.Duration(i/100%2) * time.Second },
		"now and then":       func(i int) time.Duration { return time.Duration(max(i%7-5, 0)) * time.Second },
		"about as long":      func(i int) time.Duration { return time.Duration(i%5) * slack / 2 },
		"each a little more": func(i int) time.Duration { return time.Duration(i) * time.Microsecond * 100 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				n, looks := 0, 0
				pid := spawn(t, sys, &behaviour{receive: func(ctx context.Context, _ any) error {
					d, begin := long(n), time.Now()
					n++
					for _, part := range []time.Duration{0, d / 2, d - d/2} {
						time.Sleep(part)
						looks++
						info, err := actor.Inspect(actor.Self(ctx))
						if ran := time.Since(begin); err != nil || info.For < ran || info.For > ran+slack {
							t.Errorf("message %d, after %v: For is %v, %v", n, ran, info.For, err)
						}
					}
					return nil
				}}, actor.SpawnOptions{})
				release := block(t, pid)
				for range 300 {
					pid.Send("waits")
				}
				release()
				time.Sleep(time.Hour)
				synctest.Wait()
				if n != 300 || looks != 900 {
					t.Errorf("%d messages were handled, %d looks", n, looks)
				}
			})
		})
	}
}

func TestSystem_Processes(t *testing.T) {
	sys, _ := newSystem(t, actor.Config{})
	want := make(map[actor.PID]bool)
	for range 200 {
		want[newInbox(t, sys, actor.SpawnOptions{}).pid] = true
	}
	dead := newInbox(t, sys, actor.SpawnOptions{}).pid
	dead.Exit(actor.ErrKilled)
	for info := range sys.Processes() {
		if !want[info.PID] {
			t.Errorf("unexpected %v", info.PID)
		}
		delete(want, info.PID)
		info.PID.Exit(actor.ErrKilled) // the loop body may use the System
	}
	if len(want) != 0 {
		t.Errorf("%d processes left out", len(want))
	}
	for range sys.Processes() {
		break
	}
}
