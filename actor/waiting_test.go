package actor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// TestInspect_oldest: what is said of the oldest message is never less than its age, and more by no more than is allowed.
func TestInspect_oldest(t *testing.T) {
	for name, tt := range map[string]struct {
		messages int           // sent one after the other, each as long after the one before as every says
		every    time.Duration // the first one comes as long after the callback began
		handled  int           // so many of them are handled then, each at once
		want     time.Duration
	}{
		"none":                           {0, time.Second, 0, 0},
		"one: since the callback began":  {1, 10 * time.Second, 0, 10*time.Second + time.Minute},
		"two":                            {2, time.Second, 0, 2*time.Second + time.Minute},
		"many":                           {200, time.Second, 0, 200*time.Second + time.Minute},
		"many that came in one moment":   {200, 0, 0, time.Minute},
		"the first segment is half done": {200, time.Second, 17, 200*time.Second + time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, _ := newSystem(t, actor.Config{})
				var steps = make(chan struct{})
				pid := spawn(t, sys, &behaviour{receive: func(context.Context, any) error { <-steps; return nil }}, actor.SpawnOptions{})
				pid.Send("the callback")
				synctest.Wait()
				sent := make([]time.Time, 0, tt.messages)
				for range tt.messages {
					time.Sleep(tt.every)
					sent = append(sent, time.Now())
					pid.Send("waits")
				}
				for range tt.handled {
					steps <- struct{}{}
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				info, err := actor.Inspect(pid)
				if err != nil || info.Mailbox != tt.messages-tt.handled {
					t.Fatalf("Inspect: %+v, %v; want %d messages", info, err, tt.messages-tt.handled)
				}
				if info.Oldest != tt.want {
					t.Errorf("Oldest is %v, want %v", info.Oldest, tt.want)
				}
				if len(sent) > 0 {
					if age := time.Since(sent[tt.handled]); info.Oldest < age {
						t.Errorf("Oldest is %v, and the oldest message has waited %v", info.Oldest, age)
					}
				}
				close(steps)
			})
		})
	}
}

// TestInspect_oldestOfMany: when each message is handled as long as it takes for the next one to come, what is said stays
// near the age of the oldest, however long that goes on.
func TestInspect_oldestOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const behind, every = 100, time.Second
		sys, _ := newSystem(t, actor.Config{})
		pid := spawn(t, sys, &behaviour{receive: func(context.Context, any) error { time.Sleep(every); return nil }}, actor.SpawnOptions{})
		for range behind {
			pid.Send("waits")
		}
		time.Sleep(every / 2)
		for i := range 1000 {
			pid.Send("waits")
			info, _ := actor.Inspect(pid)
			age := min(time.Duration(i)*every, behind*every) // the first ones have come at once
			if most := age + 34*every; info.Oldest < age-every || info.Oldest > most {
				t.Fatalf("after %d s Oldest is %v, want %v to %v", i, info.Oldest, age-every, most)
			}
			time.Sleep(every)
		}
		pid.Exit(actor.ErrKilled)
		time.Sleep(time.Minute)
	})
}

// TestPort_Load_callback: for how long the callback runs, until it has returned or is abandoned.
func TestPort_Load_callback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		want := func(when string, d time.Duration) {
			t.Helper()
			synctest.Wait()
			if _, _, got := port.Load(); got != d {
				t.Errorf("%s: Load says that a callback has been running for %v, want %v", when, got, d)
			}
		}
		want("at rest", 0)
		release := block(t, port.PID())
		time.Sleep(time.Second)
		want("after a second", time.Second)
		release()
		want("when it has returned", 0)
		release = block(t, port.PID())
		defer release()
		time.Sleep(time.Second)
		port.PID().Exit(actor.ErrKilled)
		want("abandoned", 0)
	})
}

// TestInspect_oldestBeforeInit: a process that has not begun has a mailbox, too.
func TestInspect_oldestBeforeInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		port.PID().Send("one")
		time.Sleep(time.Second)
		if n, oldest, _ := port.Load(); n != 1 || oldest != 2*time.Second {
			t.Errorf("Load() = %d, %v; want 1, 2s: since it was made", n, oldest)
		}
		port.PID().Send("two")
		port.Start()
		if n, oldest, _ := port.Load(); n != 0 || oldest != 0 {
			t.Errorf("Load() = %d, %v after Start; want 0, 0", n, oldest)
		}
		port.PID().Exit(actor.ErrKilled)
	})
}

// TestInspect_oldestWhenItIsWoken: after a long rest, the rest does not count.
func TestInspect_oldestWhenItIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		in := newInbox(t, sys, actor.SpawnOptions{})
		in.pid.Send("before")
		synctest.Wait()
		time.Sleep(time.Hour)
		for range 3 {
			in.pid.Send("after")
			if info, _ := actor.Inspect(in.pid); info.Oldest > time.Second {
				t.Errorf("Oldest is %v, with %d messages that have just come", info.Oldest, info.Mailbox)
			}
		}
	})
}

// Several messages that come to a process at rest have waited since they came, not since it did something last.
func TestInspect_oldestOfSeveralThatWakeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		pid := spawn(t, sys, &behaviour{receive: func(context.Context, any) error { time.Sleep(time.Second); return nil }}, actor.SpawnOptions{})
		for range 50 {
			time.Sleep(time.Hour)
			for range 4 {
				pid.Send("after")
			}
			time.Sleep(1500 * time.Millisecond) // the second one is being handled
			if info, _ := actor.Inspect(pid); info.Mailbox != 2 || info.Oldest != 1500*time.Millisecond {
				t.Fatalf("%d messages wait, the oldest for %v; want 2 for 1.5 s", info.Mailbox, info.Oldest)
			}
		}
	})
}

func TestPort_WaitingBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, _ := newSystem(t, actor.Config{})
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for i := range 100 {
			want += int64(i)
			port.PID().Send(make([]byte, i))
			port.PID().Send("of no size")
		}
		size := func(msg any) int {
			p, _ := msg.([]byte)
			return len(p)
		}
		if got := port.WaitingBytes(size); got != want {
			t.Errorf("WaitingBytes() = %d, want %d", got, want)
		}
		port.Start()
		synctest.Wait()
		if got := port.WaitingBytes(size); got != 0 {
			t.Errorf("WaitingBytes() = %d when nothing waits", got)
		}
		port.PID().Exit(actor.ErrKilled)
	})
}
