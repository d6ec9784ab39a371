package supervisor_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/supervisor"
)

func TestSupervisor_intensity(t *testing.T) {
	const s, ns = time.Second, time.Nanosecond
	for _, test := range []struct {
		name    string
		max     int
		within  time.Duration
		crashes []time.Duration // since the start
		survive bool
	}{
		{"default: three at once", 0, 0, []time.Duration{0, 0, 0}, true},
		{"default: four at once", 0, 0, []time.Duration{0, 0, 0, 0}, false},
		{"default: the fourth just within the period", 0, 0, []time.Duration{0, 1 * s, 2 * s, 5*s - ns}, false},
		{"default: the fourth exactly at the period", 0, 0, []time.Duration{0, 1 * s, 2 * s, 5 * s}, false},
		{"default: the fourth just after the period", 0, 0, []time.Duration{0, 1 * s, 2 * s, 5*s + ns}, true},
		{"the period slides", 0, 0, []time.Duration{0, 1 * s, 2 * s, 5*s + ns, 6*s + ns, 7 * s}, false},
		{"the period slides on", 0, 0, []time.Duration{0, 1 * s, 2 * s, 5*s + ns, 6*s + ns, 7*s + ns, 11 * s}, true},
		{"one in a minute, exactly at the period", 1, time.Minute, []time.Duration{0, time.Minute}, false},
		{"one in a minute, after the period", 1, time.Minute, []time.Duration{0, time.Minute + ns, 2*time.Minute + 2*ns}, true},
		{"none", -1, 0, []time.Duration{0}, false},
		{"five", 5, 0, []time.Duration{0, 0, 0, 0, 0}, true},
		{"five and one", 5, 0, []time.Duration{0, 0, 0, 0, 0, 0}, false},
	} {
		for _, strategy := range strategies {
			t.Run(test.name+"/"+strategy.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					a := newService()
					r := serve(t, supervisor.Config{Name: "main", Strategy: strategy, MaxRestarts: test.max, Within: test.within},
						spec("before", newService(), 0), spec("a", a, 0), spec("after", newService(), 0))
					start := time.Now()
					for _, at := range test.crashes {
						time.Sleep(at - time.Since(start))
						synctest.Wait()
						r.journal.take()
						a.end(errCrash)
						synctest.Wait()
					}
					if test.survive {
						r.wantChildren("after the crashes", "before:running a:running after:running")
						return
					}
					err := r.wait()
					var gaveUp *supervisor.IntensityError
					if !errors.As(err, &gaveUp) || gaveUp.Child != "a" || gaveUp.Supervisor != "main" || !errors.Is(err, errCrash) {
						t.Fatalf("Serve returned %v, want an *IntensityError of main about a and its crash", err)
					}
					if k := exit.KindOf(err); k != exit.Abnormal {
						t.Errorf("kind of %v is %v, want abnormal", err, k)
					}
					r.want("giving up", "-a:abnormal gave up a -after:shutdown -before:shutdown")
				})
			})
		}
	}
}

// A supervisor that gives up fails abnormally, even when the end of the child was normal.
func TestIntensityError_isAbnormal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newService()
		r := serve(t, supervisor.Config{MaxRestarts: -1}, spec("a", a, 0))
		a.end(actor.ErrShutdown)
		err := r.wait()
		if exit.KindOf(err) != exit.Abnormal || !errors.Is(err, actor.ErrShutdown) {
			t.Errorf("%v is %v, want it abnormal, and to unwrap to ErrShutdown", err, exit.KindOf(err))
		}
	})
}

// Intensities multiply through the levels of a tree, as in OTP.
func TestSupervisor_escalates(t *testing.T) {
	for _, test := range []struct {
		name    string
		restart supervisor.Restart // of the inner supervisor
		crashes int                // that the whole survives
		then    string             // children of the outer one after one crash more
	}{
		{"permanent", supervisor.Permanent, 3, ""},
		{"transient", supervisor.Transient, 3, ""},
		{"temporary", supervisor.Temporary, 1, "sibling:running"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				leaf := newService()
				var inner journal
				sub, err := supervisor.New(supervisor.Config{Name: "inner", MaxRestarts: 1, Logger: quiet, OnEvent: inner.add}, spec("leaf", leaf, 0))
				if err != nil {
					t.Fatal(err)
				}
				r := serve(t, supervisor.Config{Name: "outer", MaxRestarts: 1}, spec("sibling", newService(), 0), spec("sub", sub, test.restart))
				for range test.crashes {
					leaf.end(errCrash)
					synctest.Wait()
				}
				r.wantChildren("before", "sibling:running sub:running")
				leaf.end(errCrash)
				synctest.Wait()
				if test.then != "" {
					r.wantChildren("after", test.then)
					return
				}
				err = r.wait()
				var outer *supervisor.IntensityError
				if !errors.As(err, &outer) || outer.Supervisor != "outer" || outer.Child != "sub" || !errors.Is(err, errCrash) {
					t.Errorf("Serve returned %v, want that outer gave up about sub because of the crash", err)
				}
				r.want("outer", "+sibling +sub -sub:abnormal +sub -sub:abnormal gave up sub -sibling:shutdown")
				if got, want := inner.words(), "+leaf -leaf:abnormal +leaf -leaf:abnormal gave up leaf +leaf -leaf:abnormal +leaf -leaf:abnormal gave up leaf"; got != want {
					t.Errorf("inner:\n got %s\nwant %s", got, want)
				}
			})
		})
	}
}

func TestSupervisor_backoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newService()
		r := serve(t, supervisor.Config{Strategy: supervisor.OneForAll, MaxRestarts: 100, Within: 10 * time.Second, Backoff: time.Second},
			spec("before", newService(), 0), spec("a", a, 0), spec("after", newService(), 0))
		crash := func() time.Duration {
			t.Helper()
			synctest.Wait()
			r.journal.take()
			a.end(errCrash)
			synctest.Wait()
			r.want("crash", "-a:abnormal -after:shutdown -before:shutdown")
			r.wantChildren("crash", "before:restarting a:restarting after:restarting")
			start := time.Now()
			for r.Children()[2].State != supervisor.StateRunning {
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			r.want("restart", "+before +a +after")
			return time.Since(start)
		}
		for i, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
			if d := crash(); d < most/2 || d > most+time.Millisecond {
				t.Errorf("restart %d came after %v, want one between %v and %v", i+1, d, most/2, most)
			}
		}
		jittered := false
		for range 20 {
			jittered = jittered || crash() < 9*time.Second
		}
		if !jittered {
			t.Error("20 restarts all came after about 10 s: no jitter")
		}
		time.Sleep(10 * time.Second)
		if d := crash(); d > time.Second+time.Millisecond {
			t.Errorf("restart after it had been up for Config.Within came after %v, want at most 1 s", d)
		}
		// The end does not wait for a restart.
		a.end(errCrash)
		synctest.Wait()
		start := time.Now()
		wantErr(t, "Serve", r.end(), nil)
		if d := time.Since(start); d != 0 {
			t.Errorf("the end took %v, want none", d)
		}
	})
}

// While one child waits for its restart, the others do not.
func TestSupervisor_backoffIsOfOneChild(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newService(), newService()
		r := serve(t, supervisor.Config{Within: time.Minute, Backoff: time.Minute}, spec("a", a, 0), spec("b", b, 0))
		a.end(errCrash)
		time.Sleep(29 * time.Second)
		r.want("crash of a", "+a +b -a:abnormal")
		b.end(errCrash)
		r.wantChildren("both", "a:restarting b:restarting")
		ctx := context.Background()
		wantErr(t, "RestartChild", r.RestartChild(ctx, "a"), supervisor.ErrRestarting)
		wantErr(t, "DeleteChild", r.DeleteChild("a"), supervisor.ErrRestarting)
		err := r.StartChild(ctx, spec("a", newService(), 0))
		wantErr(t, "StartChild", err, supervisor.ErrAlreadyPresent)
		wantErr(t, "StartChild", err, supervisor.ErrRestarting)
		wantErr(t, "TerminateChild", r.TerminateChild(ctx, "a"), nil)
		r.wantChildren("a is terminated", "a:stopped b:restarting")
		start := time.Now()
		wantErr(t, "RestartChild", r.RestartChild(ctx, "a"), nil)
		if took := time.Since(start); took != 0 {
			t.Errorf("RestartChild took %v, want no backoff", took)
		}
		r.wantChildren("a is started without backoff", "a:running b:restarting")
		wantErr(t, "TerminateChild", r.TerminateChild(ctx, "a"), nil)
		time.Sleep(time.Minute)
		r.wantChildren("a minute later", "a:stopped b:running")
	})
}
