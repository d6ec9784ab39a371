package actor_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
)

// stuckProcess is a process whose callback does not return until release is called.
func stuckProcess(t *testing.T, sys *actor.System) (pid actor.PID, release func()) {
	t.Helper()
	pid = spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
	return pid, block(t, pid)
}

// stacks is what the log says of the stack of each callback that did not return.
func stacks(l *logs) (all []string) {
	for _, r := range l.find("its goroutine is abandoned") {
		all = append(all, fmt.Sprint(r.Attrs["stack"]))
	}
	return all
}

// To take the stack of a goroutine stops the whole program for as long as it takes to write down all of them. Among many
// no kill does that: 2,000 callbacks run, 50,000 with TROUPE_STRESS=1.
func TestKill_takesNoStackAmongManyGoroutines(t *testing.T) {
	many := 2_000
	if os.Getenv("TROUPE_STRESS") != "" {
		many = 50_000
	}
	for _, n := range []int{10, many} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, logs := newSystem(t, actor.Config{})
				pid, release := stuckProcess(t, sys)
				defer release()
				others := make([]func(), n)
				for i := range others {
					_, others[i] = stuckProcess(t, sys)
				}
				pid.Exit(actor.ErrKilled)
				time.Sleep(reported)
				for _, release := range others {
					release()
				}
				got := stacks(logs)
				if len(got) != 1 {
					t.Fatalf("%d lines about the callback that is stuck, want 1: %q", len(got), got)
				}
				taken := strings.Contains(got[0], "actor_test.block")
				said := strings.Contains(got[0], "not taken: ") && strings.Contains(got[0], "goroutines run, above 1000")
				if want := n <= 1000; taken != want || said == want {
					t.Errorf("with %d callbacks that run, the log has as the stack:\n%s\nwant it taken: %t", n, got[0], want)
				}
			})
		})
	}
}

// However many callbacks are abandoned, one stack is taken a second, and Exit waits for none.
func TestKill_takesOneStackASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, logs := newSystem(t, actor.Config{})
		kill := func() {
			pid, release := stuckProcess(t, sys)
			t.Cleanup(release)
			pid.Exit(actor.ErrKilled)
		}
		kill()
		kill()
		if got := stacks(logs); len(got) != 0 {
			t.Errorf("Exit(ErrKilled) reported by itself: %q", got)
		}
		time.Sleep(time.Second) // so that the next is reported when the last stack is a second old
		kill()
		time.Sleep(200 * time.Millisecond)
		kill()
		time.Sleep(900 * time.Millisecond)
		kill()
		time.Sleep(time.Second)
		var got []bool
		for _, s := range stacks(logs) {
			got = append(got, !strings.HasPrefix(s, "not taken: "))
		}
		if want := []bool{true, false, true, false, true}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stacks were taken: %v, want %v", got, want)
		}
	})
}

// A callback that returns a moment after the kill was not stuck.
func TestKill_ofACallbackThatReturnsIsNoAlarm(t *testing.T) {
	for returns, want := range map[time.Duration]int{0: 0, 50 * time.Millisecond: 0, time.Minute: 1} {
		t.Run(returns.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sys, logs := newSystem(t, actor.Config{})
				pid := spawn(t, sys, &behaviour{}, actor.SpawnOptions{})
				pid.Send(do(func(ctx context.Context) error { <-ctx.Done(); time.Sleep(returns); return nil }))
				synctest.Wait()
				pid.Exit(actor.ErrKilled)
				time.Sleep(reported)
				lines := logs.find("its goroutine is abandoned")
				if len(lines) != want {
					t.Errorf("%d lines about a callback that returns %v after the kill, want %d: %v", len(lines), returns, want, lines)
				}
				if want == 1 && (lines[0].Attrs["handling"] != "actor_test.do" || lines[0].Attrs["for"] != "100ms") {
					t.Errorf("handling %v for %v, want actor_test.do for 100ms", lines[0].Attrs["handling"], lines[0].Attrs["for"])
				}
				time.Sleep(time.Hour)
			})
		})
	}
}

// Shutdown waits for what is to be reported, since the program may end with it.
func TestSystem_Shutdown_reportsWhatDoesNotReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &logs{}
		sys, err := actor.NewSystem(configWith(actor.Config{}, l))
		if err != nil {
			t.Fatal(err)
		}
		_, release := stuckProcess(t, sys)
		defer release()
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := sys.Shutdown(over); err == nil {
			t.Errorf("Shutdown of a stuck process with a ctx that is done: nil")
		}
		if got := stacks(l); len(got) != 1 {
			t.Errorf("when Shutdown has returned, %d lines are about the callback that is stuck, want 1: %q", len(got), got)
		}
	})
}
