package actor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

func TestConfig_OnEvent_ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events journal[actor.Event]
		sys, _ := newSystem(t, actor.Config{OnEvent: events.add, LastExits: -1})
		for name, end := range map[string]struct {
			by   func(pid actor.PID)
			want string // of the reason; empty: no event
		}{
			"normal":   {func(pid actor.PID) { pid.Exit(actor.ErrNormal) }, ""},
			"shutdown": {func(pid actor.PID) { pid.Exit(actor.ErrShutdown) }, ""},
			"error":    {func(pid actor.PID) { pid.Send(do(func(context.Context) error { return errBoom })) }, errBoom.Error()},
			"panic":    {func(pid actor.PID) { pid.Send(do(func(context.Context) error { panic("as asked") })) }, "panic: as asked"},
			"kill":     {func(pid actor.PID) { pid.Exit(actor.ErrKilled) }, actor.ErrKilled.Error()},
		} {
			before := events.len()
			pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Label: name})
			end.by(pid)
			synctest.Wait()
			got := events.all()[before:]
			if end.want == "" {
				if len(got) > 0 {
					t.Errorf("%s: got %+v, want no event", name, got)
				}
				continue
			}
			if len(got) != 1 {
				t.Errorf("%s: got %d events %+v, want one", name, len(got), got)
				continue
			}
			e, ok := got[0].(actor.Ended)
			if !ok || e.PID != pid || e.Label != name || e.Actor != "*actor_test.behaviour" || e.Reason.Error() != end.want || !e.At.Equal(time.Now()) {
				t.Errorf("%s: got %+v, want Ended of %v with %s", name, got[0], pid, end.want)
			}
		}
		before := events.len()
		port, err := host.Spawn(sys, &hosted{}, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.PID().Exit(actor.ErrKilled)
		synctest.Wait()
		if got := events.all()[before:]; len(got) > 0 {
			t.Errorf("the end of a process with a host: got %+v, want no event, since its host tells", got)
		}
	})
}

// The first message is told of at once, those of the next second together, and the sum is what Stats says.
func TestConfig_OnEvent_undelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type told struct {
			after time.Duration
			typ   string
			count int
		}
		start := time.Now()
		var events journal[told]
		sys, _ := newSystem(t, actor.Config{OnEvent: func(e actor.Event) {
			u := e.(actor.Undelivered)
			events.add(told{time.Since(start), u.Type, u.Count})
		}})
		dead := newInbox(t, sys, actor.SpawnOptions{})
		dead.pid.Exit(actor.ErrNormal)
		synctest.Wait()
		want := []told{}
		check := func(when string, more ...told) {
			t.Helper()
			synctest.Wait()
			want = append(want, more...)
			if got := events.all(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		dead.pid.Send("first")
		check("at once", told{0, "string", 1})
		for i := range 1000 {
			dead.pid.Send(i)
			dead.pid.Send("no int")
		}
		time.Sleep(999 * time.Millisecond)
		check("before the second is over")
		time.Sleep(time.Millisecond)
		check("after a second", told{time.Second, "int", 2000})
		dead.pid.Send("third second")
		check("not at once, since there was an event just now")
		time.Sleep(time.Second)
		check("but after one more second", told{2 * time.Second, "string", 1})
		time.Sleep(9 * time.Second)
		check("nothing has come since")
		dead.pid.Send(1.5)
		check("after a pause at once", told{11 * time.Second, "float64", 1})
		dead.pid.Send("at the end")
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("when Shutdown has returned", told{11 * time.Second, "string", 1})
		sum := 0
		for _, e := range events.all() {
			sum += e.count
		}
		if got := sys.Stats().Undelivered; got != uint64(sum) {
			t.Errorf("Stats says %d, the events %d", got, sum)
		}
	})
}

func TestConfig_OnEvent_abandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events journal[actor.Event]
		sys, logs := newSystem(t, actor.Config{OnEvent: events.add})
		pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{Label: "stuck"})
		release := block(t, pid)
		defer release()
		time.Sleep(time.Second)
		pid.Exit(actor.ErrKilled)
		quick := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
		returns := block(t, quick)
		quick.Exit(actor.ErrKilled)
		returns()
		time.Sleep(reported)
		var got []actor.Abandoned
		for _, e := range events.all() {
			if a, ok := e.(actor.Abandoned); ok {
				got = append(got, a)
			}
		}
		if len(got) != 1 {
			t.Fatalf("got %+v, want one event: the other callback has returned in time", got)
		}
		a := got[0]
		if a.PID != pid || a.Label != "stuck" || a.Actor != "*actor_test.behaviour" || a.Handling != "actor_test.do" ||
			a.For != 1100*time.Millisecond || !errors.Is(a.Reason, actor.ErrKilled) || !strings.Contains(a.Stack, "actor_test.block") {
			t.Errorf("got %+v", a)
		}
		if said := stacks(logs); len(said) != 1 || said[0] != a.Stack {
			t.Errorf("the log says\n%s\nwant the stack of the event\n%s", said, a.Stack)
		}
	})
}

// A host is told of a callback that does not return; the System's OnEvent is not.
func TestAbandoner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events journal[actor.Event]
		sys, _ := newSystem(t, actor.Config{OnEvent: events.add})
		h := &abandonedHost{}
		port, err := host.Spawn(sys, h, actor.SpawnOptions{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		port.Start()
		release := block(t, port.PID())
		defer release()
		port.PID().Exit(actor.ErrKilled)
		time.Sleep(reported)
		if got, want := h.all(), []string{"actor_test.do for 100ms, with a stack: true"}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the host was told %q, want %q", got, want)
		}
		if got := events.all(); len(got) > 0 {
			t.Errorf("OnEvent got %+v, want nothing", got)
		}
	})
}

// abandonedHost is a host.Abandoner.
type abandonedHost struct {
	hosted
	journal[string]
}

func (h *abandonedHost) Abandoned(handling string, d time.Duration, stack string) {
	h.add(fmt.Sprintf("%s for %v, with a stack: %t", handling, d, strings.Contains(stack, "actor_test.block")))
}

// TestSystem_Shutdown_waitsForOnEvent: as long as a call does not take too long.
func TestSystem_Shutdown_waitsForOnEvent(t *testing.T) {
	for name, tt := range map[string]struct{ takes, want time.Duration }{
		"in time": {200 * time.Millisecond, 200 * time.Millisecond},
		"stuck":   {time.Hour, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told journal[actor.Event]
				sys, _ := newSystem(t, actor.Config{OnEvent: func(e actor.Event) {
					time.Sleep(tt.takes)
					told.add(e)
				}})
				spawn(t, sys, &behaviour{}, actor.SpawnOptions{}).Exit(actor.ErrKilled)
				start := time.Now()
				if err := sys.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				if took, in := time.Since(start), told.len() > 0; took != tt.want || in != (tt.takes == tt.want) {
					t.Errorf("Shutdown took %v, and OnEvent had returned: %t; want %v, %t", took, in, tt.want, tt.takes == tt.want)
				}
				time.Sleep(tt.takes)
			})
		})
	}
}

// OnEvent may panic, leave its goroutine or block: nothing waits for it but the end.
func TestConfig_OnEvent_thatDoesAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		sys, _ := newSystem(t, actor.Config{OnEvent: func(actor.Event) {
			switch n++; n {
			case 1:
				panic("as asked")
			case 2:
				runtime.Goexit()
			case 3:
				time.Sleep(time.Hour)
			}
		}})
		for range 5 {
			pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
			pid.Exit(actor.ErrKilled)
			if pid.Alive() {
				t.Error("a process waits for OnEvent")
			}
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n != 5 {
			t.Errorf("OnEvent was called %d times, want 5", n)
		}
	})
}
