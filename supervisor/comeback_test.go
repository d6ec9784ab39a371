package supervisor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/supervisor"
)

// diary is what keepers have been told, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

// want compares the lines since the last call.
func (d *diary) want(t *testing.T, when, want string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	got := strings.Join(d.lines, " ")
	d.lines = nil
	d.mu.Unlock()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", when, got, want)
	}
}

// keeper is a service that keeps something for its next Serve. It notes "+a" when Serve begins, "a:restarting" or
// "a:shutdown" for the cause of its end, and "a:over" when Shutdown is called.
type keeper struct {
	*service
	id       string
	diary    *diary
	shutdown func(ctx context.Context) error // nil: return nil
}

func (d *diary) keeper(id string) *keeper {
	k := &keeper{service: newService(), id: id, diary: d}
	k.begin = func(ctx context.Context) error { d.add("+" + id); supervisor.Ready(ctx); return errCarryOn }
	k.stop = func(ctx context.Context) error {
		word := "shutdown"
		if errors.Is(context.Cause(ctx), supervisor.ErrRestarting) {
			word = "restarting"
		}
		d.add(id + ":" + word)
		return nil
	}
	return k
}

// spec is one with which the next child starts after k has noted that it begins.
func (k *keeper) spec() supervisor.ChildSpec {
	return supervisor.ChildSpec{ID: k.id, Service: k, StartTimeout: time.Second}
}

func (k *keeper) Shutdown(ctx context.Context) error {
	k.diary.add(k.id + ":over")
	if k.shutdown != nil {
		return k.shutdown(ctx)
	}
	return nil
}

// newTree makes a Supervisor to put below another one.
func newTree(t *testing.T, cfg supervisor.Config, children ...supervisor.ChildSpec) *supervisor.Supervisor {
	t.Helper()
	cfg.Logger = quiet
	s, err := supervisor.New(cfg, children...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The children of a supervisor that gives up hear ErrRestarting when it will be started again, by its own supervisor or
// by one above, and else ErrShutdown.
func TestErrRestarting_ofASupervisorThatGivesUp(t *testing.T) {
	never := supervisor.Config{MaxRestarts: -1}
	type family struct {
		*diary
		crashes *service // the child for whose sake the inner supervisor gives up
		inner   *supervisor.Supervisor
	}
	spec := func(f *family, r supervisor.Restart) supervisor.ChildSpec { return spec("inner", f.inner, r) }
	for name, test := range map[string]struct {
		parent func(t *testing.T, f *family) // serves it
		want   string
	}{
		"nobody above": {func(t *testing.T, f *family) {
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- f.inner.Serve(ctx) }()
			t.Cleanup(func() { cancel(); <-served })
			synctest.Wait()
		}, "k:shutdown"},
		"permanent": {func(t *testing.T, f *family) {
			serve(t, supervisor.Config{}, spec(f, supervisor.Permanent))
		}, "k:restarting +k"},
		"transient": {func(t *testing.T, f *family) {
			serve(t, supervisor.Config{}, spec(f, supervisor.Transient))
		}, "k:restarting +k"},
		"temporary": {func(t *testing.T, f *family) {
			serve(t, supervisor.Config{}, spec(f, supervisor.Temporary))
		}, "k:shutdown"},
		"the parent gives up, too": {func(t *testing.T, f *family) {
			serve(t, never, spec(f, 0))
		}, "k:shutdown"},
		"the parent gives up, and is restarted": {func(t *testing.T, f *family) {
			serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "middle", Service: newTree(t, never, spec(f, 0))})
		}, "k:restarting +k"},
		"the parent gives up, is restarted, and has got the supervisor by StartChild": {func(t *testing.T, f *family) {
			middle := newTree(t, never)
			serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "middle", Service: middle})
			wantErr(t, "StartChild", middle.StartChild(t.Context(), spec(f, 0)), nil)
		}, "k:shutdown"},
		"a Dynamic that restarts": {func(t *testing.T, f *family) {
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
		}, "k:restarting +k"},
		"a Dynamic that does not restart": {func(t *testing.T, f *family) {
			d := serveDynamic(t, supervisor.DynamicConfig{})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
		}, "k:shutdown"},
		"a Dynamic that has restarted it often enough": {func(t *testing.T, f *family) {
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestarts: -1})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
		}, "k:shutdown"},
		"a Dynamic that has restarted others often enough": {func(t *testing.T, f *family) {
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent, MaxRestartsAll: -1})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
		}, "k:shutdown"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := &family{diary: &diary{}, crashes: newService()}
				f.inner = newTree(t, never, supervisor.ChildSpec{ID: "crashes", Service: f.crashes}, supervisor.ChildSpec{ID: "k", Service: f.keeper("k")})
				test.parent(t, f)
				f.want(t, "the start", "+k")
				f.crashes.end(errCrash)
				f.want(t, "a crash", test.want)
			})
		})
	}
}

// A child of StartChild does not come back when its supervisor is restarted, whether it runs then or waits to be started again.
func TestErrRestarting_ofStartChild(t *testing.T) {
	for name, waits := range map[string]bool{"running": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d, outer, sibling := &diary{}, newService(), newService()
				inner := newTree(t, supervisor.Config{Strategy: supervisor.OneForAll, Backoff: time.Minute, Within: time.Hour}, spec("sibling", sibling, 0))
				serve(t, supervisor.Config{Strategy: supervisor.OneForAll}, spec("outer", outer, 0), spec("inner", inner, 0))
				wantErr(t, "StartChild", inner.StartChild(t.Context(), spec("k", d.keeper("k"), 0)), nil)
				d.want(t, "the start", "+k")
				want := "k:shutdown"
				if waits {
					sibling.end(errCrash)
					d.want(t, "a sibling crashes", "k:restarting")
					want = "k:over"
				}
				outer.end(errCrash)
				d.want(t, "the supervisor is restarted", want)
			})
		})
	}
}

// When the first start of a supervisor fails, and that of the whole tree with it, nobody hears of a restart.
func TestErrRestarting_ofAFirstStartThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := &diary{}
		fails := supervisor.ServiceFunc(func(context.Context) error { return errCrash })
		inner := newTree(t, supervisor.Config{}, supervisor.ChildSpec{ID: "k", Service: d.keeper("k")},
			supervisor.ChildSpec{ID: "fails", Service: fails, StartTimeout: time.Second})
		r := serve(t, supervisor.Config{}, supervisor.ChildSpec{ID: "inner", Service: inner})
		d.want(t, "the start", "+k k:shutdown")
		wantErr(t, "Serve", r.wait(), errCrash)
	})
}

// A service that was stopped with ErrRestarting and is not started again is told so, once, and in its turn.
func TestService_doesNotComeBack(t *testing.T) {
	// begin serves a OneForAll tree of a, which crashes, and of the keepers b and c, and has it wait for a restart of a
	// that comes a minute after the crash.
	begin := func(t *testing.T, cfg supervisor.Config) (*tree, *diary, *service, *keeper) {
		d, a := &diary{}, newService()
		cfg.Strategy = supervisor.OneForAll
		b := d.keeper("b")
		r := serve(t, cfg, spec("a", a, 0), b.spec(), d.keeper("c").spec())
		d.want(t, "the start", "+b +c")
		return r, d, a, b
	}
	waiting := supervisor.Config{Backoff: 2 * time.Minute, Within: time.Hour}
	bubble(t, func(t *testing.T) {
		r, d, a, _ := begin(t, supervisor.Config{})
		a.end(errCrash)
		d.want(t, "a restart", "c:restarting b:restarting +b +c")
		wantErr(t, "Serve", r.end(), nil)
		d.want(t, "the end", "c:shutdown b:shutdown")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, _ := begin(t, supervisor.Config{})
		a.begin = func(context.Context) error { return errCrash }
		a.end(errCrash)
		var gaveUp *supervisor.IntensityError
		if err := r.wait(); !errors.As(err, &gaveUp) {
			t.Errorf("Serve: %v, want an *IntensityError", err)
		}
		// With StartTimeout 0 a is ready when Serve runs, so each time b and c may have begun.
		d.mu.Lock()
		lines := slices.Clone(d.lines)
		d.mu.Unlock()
		if n := len(lines); n < 2 || lines[n-1] == "b:restarting" || lines[n-1] == "c:restarting" {
			t.Errorf("a tree that gives up ends with %q, and nobody was told", lines)
		}
		kept := map[string]bool{}
		for _, line := range lines {
			switch id, word, _ := strings.Cut(strings.TrimPrefix(line, "+"), ":"); word {
			case "restarting":
				kept[id] = true
			case "over":
				if !kept[id] {
					t.Errorf("%q: %s is told that it is over, and has kept nothing", lines, id)
				}
				delete(kept, id)
			default:
				delete(kept, id)
			}
		}
		if len(kept) > 0 {
			t.Errorf("%q: %v were not told that they do not come back", lines, kept)
		}
	})
	bubble(t, func(t *testing.T) {
		r, d, a, _ := begin(t, waiting)
		a.end(errCrash)
		d.want(t, "a crash", "c:restarting b:restarting")
		wantErr(t, "Serve", r.end(), nil)
		d.want(t, "the end before the restart", "c:over b:over")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		b.stop = func(ctx context.Context) error { d.add("b:restarting"); time.Sleep(time.Second); return nil }
		a.end(errCrash)
		d.want(t, "a crash", "c:restarting b:restarting")
		wantErr(t, "Serve", r.end(), nil)
		d.want(t, "the end while b stops", "c:over b:over")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		b.shutdown = func(context.Context) error { time.Sleep(time.Second); return nil }
		a.end(errCrash)
		d.want(t, "a crash", "c:restarting b:restarting")
		start := time.Now()
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "b"), nil)
		if took := time.Since(start); took != time.Second {
			t.Errorf("TerminateChild took %v, want it to wait for Shutdown, 1 s", took)
		}
		d.want(t, "TerminateChild before the restart", "b:over")
		r.wantChildren("after TerminateChild", "a:restarting b:stopped c:restarting")
		time.Sleep(3 * time.Minute)
		d.want(t, "the restart", "+c")
		wantErr(t, "RestartChild", r.RestartChild(t.Context(), "b"), nil)
		d.want(t, "RestartChild", "+b")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		b.stop = func(ctx context.Context) error { d.add("b:restarting"); time.Sleep(time.Second); return nil }
		a.end(errCrash)
		d.want(t, "a crash", "c:restarting b:restarting")
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "b"), nil)
		d.want(t, "TerminateChild while it stops", "b:over")
		r.wantChildren("after that", "a:restarting b:stopped c:restarting")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		never := make(chan struct{})
		b.shutdown = func(ctx context.Context) error {
			<-ctx.Done()
			d.add("b:late")
			<-never
			return nil
		}
		a.end(errCrash)
		d.want(t, "a crash", "c:restarting b:restarting")
		start := time.Now()
		err := r.end()
		abandoned, ok := errors.AsType[*supervisor.AbandonedError](err)
		if took := time.Since(start); !ok || !slices.Equal(abandoned.Children, []string{"b"}) || took != 6*time.Second {
			t.Errorf("Serve: %v after %v, want an *AbandonedError of b after 6 s", err, took)
		}
		d.want(t, "a Shutdown that hangs", "c:over b:over b:late")
		close(never)
		synctest.Wait()
	})
	bubble(t, func(t *testing.T) {
		r, d, a, _ := begin(t, waiting)
		started, late := make(chan error, 1), d.keeper("new")
		late.begin = func(context.Context) error { d.add("+new"); return errCarryOn }
		go func() {
			started <- r.StartChild(t.Context(), supervisor.ChildSpec{ID: "new", Service: late, StartTimeout: time.Minute})
		}()
		d.want(t, "StartChild", "+new")
		a.end(errCrash)
		d.want(t, "a crash before it is ready", "new:restarting c:restarting b:restarting")
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "new"), nil)
		wantErr(t, "StartChild", <-started, supervisor.ErrTerminated)
		d.want(t, "TerminateChild before the restart", "new:over")
		r.wantChildren("after that", "a:restarting b:restarting c:restarting")
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		never := make(chan struct{})
		b.stop = func(context.Context) error { d.add("b:hangs"); <-never; return nil }
		a.end(errCrash)
		time.Sleep(time.Minute / 2)
		d.want(t, "a crash", "c:restarting b:hangs")
		if abandoned, ok := errors.AsType[*supervisor.AbandonedError](r.end()); !ok || !slices.Equal(abandoned.Children, []string{"b"}) {
			t.Errorf("Serve: %v, want an *AbandonedError of b", r.result)
		}
		d.want(t, "the end: no Shutdown of b, whose Serve still runs", "c:over")
		close(never)
		synctest.Wait()
	})
	bubble(t, func(t *testing.T) {
		r, d, a, b := begin(t, waiting)
		b.shutdown = func(context.Context) error { panic("boom") }
		a.end(errCrash)
		synctest.Wait()
		r.journal.take()
		wantErr(t, "Serve", r.end(), nil)
		d.want(t, "a Shutdown that panics", "c:restarting b:restarting c:over b:over")
		r.want("its event", "-b:abnormal")
	})
}

// What a supervisor's children have kept is over, too, when the supervisor itself does not come back after all.
func TestSupervisor_doesNotComeBack(t *testing.T) {
	type family struct {
		*diary
		crashes *service
		k       *keeper
		inner   *supervisor.Supervisor
	}
	begin := func(t *testing.T) *family {
		f := &family{diary: &diary{}, crashes: newService()}
		f.k = f.keeper("k")
		f.inner = newTree(t, supervisor.Config{MaxRestarts: -1}, f.k.spec(), spec("crashes", f.crashes, 0), f.keeper("l").spec())
		return f
	}
	waiting := supervisor.Config{Backoff: 2 * time.Minute, Within: time.Hour}
	bubble(t, func(t *testing.T) {
		f := begin(t)
		r := serve(t, waiting, spec("inner", f.inner, 0))
		f.crashes.end(errCrash)
		f.want(t, "it gives up", "+k +l l:restarting k:restarting")
		wantErr(t, "Serve", r.end(), nil)
		f.want(t, "the end before it is restarted", "l:over k:over")
	})
	bubble(t, func(t *testing.T) {
		f := begin(t)
		serve(t, waiting, spec("inner", f.inner, 0))
		f.crashes.end(errCrash)
		f.want(t, "it gives up", "+k +l l:restarting k:restarting")
		time.Sleep(3 * time.Minute)
		f.want(t, "the restart", "+k +l")
	})
	bubble(t, func(t *testing.T) {
		f := begin(t)
		r := serve(t, supervisor.Config{}, spec("middle", newTree(t, waiting, spec("inner", f.inner, 0)), 0))
		f.crashes.end(errCrash)
		f.want(t, "it gives up", "+k +l l:restarting k:restarting")
		wantErr(t, "Serve", r.end(), nil)
		f.want(t, "the end of all before it is restarted", "l:over k:over")
	})
	bubble(t, func(t *testing.T) { // a sibling brings the middle down meanwhile, so it comes back, and then does not
		f, crashes := begin(t), newService()
		middle := newTree(t, supervisor.Config{Backoff: 2 * time.Minute, Within: time.Hour, MaxRestarts: 1}, spec("inner", f.inner, 0), spec("crashes", crashes, 0))
		r := serve(t, waiting, spec("middle", middle, 0))
		f.crashes.end(errCrash)
		f.want(t, "the inner one gives up", "+k +l l:restarting k:restarting")
		crashes.end(errCrash)
		f.want(t, "the middle gives up, and is to be restarted", "")
		wantErr(t, "TerminateChild", r.TerminateChild(t.Context(), "middle"), nil)
		f.want(t, "TerminateChild of the middle", "l:over k:over")
	})
	bubble(t, func(t *testing.T) { // what one run has kept and the next has not begun is over when there is no third
		f, starts := begin(t), 0
		fails := supervisor.ServiceFunc(func(ctx context.Context) error {
			if starts++; starts > 1 {
				return errCrash
			}
			supervisor.Ready(ctx)
			return f.crashes.Serve(ctx)
		})
		inner := newTree(t, supervisor.Config{MaxRestarts: -1}, f.k.spec(),
			supervisor.ChildSpec{ID: "fails", Service: fails, StartTimeout: time.Second}, f.keeper("l").spec())
		r := serve(t, supervisor.Config{MaxRestarts: 2}, spec("inner", inner, 0))
		f.crashes.end(errCrash)
		wantErr(t, "Serve", r.wait(), errCrash)
		f.want(t, "it gives up, and starts no more", "+k +l l:restarting k:restarting +k k:restarting +k l:over k:shutdown")
	})
	// Whoever ends the supervisor decides otherwise while it is still stopping its children for a restart.
	for name, end := range map[string]func(t *testing.T, f *family) (end func() error){
		"a tree ends": func(t *testing.T, f *family) func() error {
			return serve(t, waiting, spec("inner", f.inner, 0)).end
		},
		"TerminateChild": func(t *testing.T, f *family) func() error {
			r := serve(t, waiting, spec("inner", f.inner, 0))
			return func() error { return r.TerminateChild(t.Context(), "inner") }
		},
		"a Dynamic ends": func(t *testing.T, f *family) func() error {
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
			return d.end
		},
		"Stop": func(t *testing.T, f *family) func() error {
			d := serveDynamic(t, supervisor.DynamicConfig{Restart: supervisor.Permanent})
			wantErr(t, "Start", d.Start(t.Context(), "inner", f.inner), nil)
			return func() error { return d.Stop(t.Context(), "inner") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := begin(t)
				ends := end(t, f)
				f.k.stop = func(context.Context) error { f.add("k:slow"); time.Sleep(time.Second); return nil }
				f.k.shutdown = func(context.Context) error { time.Sleep(time.Second); return nil }
				f.crashes.end(errCrash)
				f.want(t, "it gives up", "+k +l l:restarting k:slow")
				start := time.Now()
				wantErr(t, "the end", ends(), nil)
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("the end took %v, want 2 s: Serve and Shutdown of k", took)
				}
				f.want(t, "the end while it stops", "l:over k:over")
			})
		})
	}
}
