package supervisor_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// lingering takes d to stop, whatever happens.
func lingering(d time.Duration) *service {
	s := newService()
	s.stop = func(context.Context) error { time.Sleep(d); return nil }
	return s
}

// asking is a service with a ShutdownTime.
type asking struct {
	*service
	d time.Duration
}

func (a asking) ShutdownTime() time.Duration { return a.d }

func TestSupervisor_shutdownTimes(t *testing.T) {
	const never = 1000 * time.Hour
	inner := func(s supervisor.Service, shutdown time.Duration) *supervisor.Supervisor {
		sup, err := supervisor.New(supervisor.Config{Logger: quiet, Name: "inner"}, supervisor.ChildSpec{ID: "x", Service: s, Shutdown: shutdown})
		if err != nil {
			panic(err)
		}
		return sup
	}
	for _, test := range []struct {
		name      string
		service   func() supervisor.Service // made in the bubble
		shutdown  time.Duration
		takes     time.Duration
		abandoned []string
	}{
		{"default, in time", func() supervisor.Service { return lingering(5*time.Second - 1) }, 0, 5*time.Second - 1, nil},
		{"default, too long", func() supervisor.Service { return lingering(never) }, 0, 5 * time.Second, []string{"child"}},
		{"its own, in time", func() supervisor.Service { return lingering(time.Minute) }, time.Minute + 1, time.Minute, nil},
		{"its own, too long", func() supervisor.Service { return lingering(never) }, time.Minute, time.Minute, []string{"child"}},
		{"what the Service asks for", func() supervisor.Service { return asking{lingering(time.Minute), time.Minute + 1} }, 0, time.Minute, nil},
		{"more than the Service asks for", func() supervisor.Service { return asking{lingering(never), time.Minute} }, 0, time.Minute, []string{"child"}},
		{"less than the Service asks for", func() supervisor.Service { return asking{lingering(never), time.Minute} }, time.Second, time.Second, []string{"child"}},
		{"the Service asks for nothing", func() supervisor.Service { return asking{lingering(never), 0} }, 0, 5 * time.Second, []string{"child"}},
		{"the Service asks for no limit", func() supervisor.Service { return asking{lingering(time.Hour), supervisor.Infinity} }, 0, time.Hour, nil},
		{"Infinity", func() supervisor.Service { return lingering(time.Hour) }, supervisor.Infinity, time.Hour, nil},
		{"Kill, returns", func() supervisor.Service { return newService() }, supervisor.Kill, 0, nil},
		{"Kill, does not return", func() supervisor.Service { return lingering(never) }, supervisor.Kill, time.Second, []string{"child"}},
		{"a supervisor has no limit", func() supervisor.Service { return inner(lingering(time.Hour), supervisor.Infinity) }, 0, time.Hour, nil},
		{"a supervisor names whom it has abandoned", func() supervisor.Service { return inner(lingering(never), time.Minute) }, 0, time.Minute, []string{"child/x"}},
		{"a supervisor with a limit kills", func() supervisor.Service { return inner(lingering(never), time.Hour) }, time.Minute, time.Minute + time.Second, []string{"child/x"}},
		{"a supervisor that is killed kills", func() supervisor.Service { return inner(lingering(never), time.Hour) }, supervisor.Kill, time.Second, []string{"child/x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serve(t, supervisor.Config{Name: "main"}, spec("before", newService(), 0),
					supervisor.ChildSpec{ID: "child", Service: test.service(), Shutdown: test.shutdown}, spec("after", newService(), 0))
				r.journal.take()
				start := time.Now()
				err := r.end()
				if took := time.Since(start); took != test.takes {
					t.Errorf("the shutdown took %v, want %v", took, test.takes)
				}
				var abandoned *supervisor.AbandonedError
				var names []string
				if errors.As(err, &abandoned) {
					names = abandoned.Children
				}
				if !slices.Equal(names, test.abandoned) || err != nil && abandoned == nil {
					t.Errorf("Serve returned %v, want one that names %q", err, test.abandoned)
				}
				events := r.journal.take()
				if last := events[len(events)-2]; last.Child != "before" || last.Kind != supervisor.EventExited {
					t.Errorf("last but one event %v, want the exit of what was started before it", last)
				}
				time.Sleep(never) // what was abandoned returns, and nothing happens
			})
		})
	}
}

func TestSupervisor_stopCause(t *testing.T) {
	for shutdown, want := range map[time.Duration]error{0: actor.ErrShutdown, supervisor.Infinity: actor.ErrShutdown, supervisor.Kill: actor.ErrKilled} {
		bubble(t, func(t *testing.T) {
			var cause error
			s := newService()
			s.stop = func(ctx context.Context) error { cause = context.Cause(ctx); return nil }
			type key struct{}
			sup, err := supervisor.New(supervisor.Config{Logger: quiet}, supervisor.ChildSpec{ID: "a", Service: s, Shutdown: shutdown})
			if err != nil {
				t.Fatal(err)
			}
			var value any
			s.begin = func(ctx context.Context) error { value = ctx.Value(key{}); return errCarryOn }
			ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Second)
			defer cancel()
			wantErr(t, "Serve", sup.Serve(ctx), nil)
			wantErr(t, "cause", cause, want)
			if value != "v" {
				t.Errorf("value in the child's ctx: %v, want that of Serve's ctx", value)
			}
		})
	}
}

// A child that was abandoned has a successor; its own late return is not mistaken for that of the successor.
func TestSupervisor_leftBehindThenRestarted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := lingering(time.Minute)
		a := newService()
		r := serve(t, supervisor.Config{Strategy: supervisor.OneForAll}, spec("a", a, 0), spec("b", b, 0))
		r.want("start", "+a +b")
		a.end(errCrash)
		r.want("crash", "-a:abnormal")
		time.Sleep(5 * time.Second)
		r.want("at 5 s", "abandoned b +a +b")
		b.stop = nil
		time.Sleep(time.Hour)
		r.want("at 1 h", "")
		r.wantChildren("at 1 h", "a:running b:running")
		wantErr(t, "Serve", r.end(), nil) // the old b has returned meanwhile
	})
}

// A late Ready of a child that was abandoned does not make its successor ready.
func TestSupervisor_leftBehindSaysReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		b := supervisor.ServiceFunc(func(ctx context.Context) error {
			if n++; n == 1 {
				supervisor.Ready(ctx)
				<-ctx.Done()
				time.Sleep(10 * time.Second)
				supervisor.Ready(ctx)
				return nil
			}
			<-ctx.Done()
			return nil
		})
		a := newService()
		r := serve(t, supervisor.Config{Strategy: supervisor.OneForAll}, spec("a", a, 0),
			supervisor.ChildSpec{ID: "b", Service: b, StartTimeout: time.Minute})
		a.end(errCrash)
		time.Sleep(20 * time.Second)
		r.wantChildren("after the late Ready", "a:running b:starting")
	})
}

// A child that fails while the tree stops does not change how the others are stopped.
func TestSupervisor_troubleDuringShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := (*tree)(nil)
		late := newService()
		panics := newService()
		panics.stop = func(context.Context) error { panic("boom") }
		fails := newService()
		fails.stop = func(context.Context) error { return errCrash }
		returnsEarly, crashesEarly := newService(), newService()
		orders := newService()
		orders.stop = func(ctx context.Context) error {
			returnsEarly.end(nil)
			synctest.Wait()
			crashesEarly.end(errCrash)
			time.Sleep(time.Second)
			bg := context.Background()
			wantErr(t, "StartChild", r.StartChild(bg, spec("new", newService(), 0)), supervisor.ErrNotRunning)
			wantErr(t, "RestartChild", r.RestartChild(bg, "early"), supervisor.ErrNotRunning)
			wantErr(t, "DeleteChild", r.DeleteChild("early"), nil)
			wantErr(t, "TerminateChild of an earlier one", r.TerminateChild(bg, "late"), nil)
			return nil
		}
		r = serve(t, supervisor.Config{Strategy: supervisor.OneForAll}, spec("a", newService(), 0), spec("late", late, 0), spec("panics", panics, 0),
			spec("fails", fails, 0), spec("early", returnsEarly, 0), spec("crashes", crashesEarly, 0), spec("orders", orders, 0))
		r.want("start", "+a +late +panics +fails +early +crashes +orders")
		wantErr(t, "Serve", r.end(), nil)
		synctest.Wait()
		r.want("all", "-early:normal -crashes:abnormal -late:shutdown -orders:shutdown -fails:shutdown -panics:abnormal -a:shutdown")
	})
}

// Siblings stop one after the other, so a child may use those before it until it has returned.
func TestSupervisor_stopsOneAfterTheOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serve(t, supervisor.Config{}, spec("a", lingering(time.Second), 0), spec("b", lingering(time.Second), 0), spec("c", lingering(time.Second), 0))
		r.cancel()
		for _, want := range []string{
			"a:running b:running c:stopping", "a:running b:stopping c:stopped", "a:stopping b:stopped c:stopped",
		} {
			r.wantChildren("meanwhile", want)
			time.Sleep(time.Second)
		}
		wantErr(t, "Serve", r.wait(), nil)
		var steps []int
		for _, e := range r.journal.take() {
			if e.Kind == supervisor.EventShutdown {
				steps = append(steps, e.Remaining)
			}
		}
		if want := []int{3, 2, 1, 0}; !slices.Equal(steps, want) {
			t.Errorf("shutdown progress: %v, want %v", steps, want)
		}
	})
}
