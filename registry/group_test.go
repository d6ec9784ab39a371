package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// sizes are numbers of members: of a group that is empty, small, just divided, and large.
var sizes = []int{0, 1, 2, 64, 65, 66, 300}

func TestJoin(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			reg, sys := newRegistry(t)
			want := map[actor.PID]any{}
			for i, m := range spawnMany(t, sys, n) {
				if reg.Join("g", m.pid, i) != nil {
					t.Fatalf("Join of %v says false", m.pid)
				}
				want[m.pid] = i
			}
			wantMembers(t, reg, "g", want)
			wantMembers(t, reg, "other", nil)
			for pid := range want { // again: once, with new meta
				if reg.Join("g", pid, "new") != nil {
					t.Fatalf("second Join of %v says false", pid)
				}
				want[pid] = "new"
			}
			wantMembers(t, reg, "g", want)
			for pid := range want {
				reg.Leave("other", pid)
				reg.Leave("g", pid)
				reg.Leave("g", pid)
				delete(want, pid)
				wantMembers(t, reg, "g", want)
			}
			if _, _, groups := reg.Records(); groups != 0 {
				t.Errorf("%d groups are left", groups)
			}
		})
	}
}

// A group is divided when it has more than 64 members, whichever way the next one takes.
func TestJoin_divides(t *testing.T) {
	reg, sys := newRegistry(t)
	for i, m := range spawnMany(t, sys, 70) {
		if err := reg.Join("g", m.pid, nil); err != nil {
			t.Fatal(err)
		}
		if n := i + 1; reg.Extras("g") != (n > 64) {
			t.Fatalf("with %d members the group is divided: %v", n, reg.Extras("g"))
		}
	}
}

func TestLeave_byEnding(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			reg, sys := newRegistry(t)
			ms := spawnMany(t, sys, n)
			want := map[actor.PID]any{}
			for _, m := range ms {
				reg.Join("g", m.pid, nil)
				want[m.pid] = nil
			}
			for i, m := range ms {
				reason := actor.ErrNormal
				if i%2 == 0 {
					reason = actor.ErrKilled
				}
				end(t, m.pid, reason)
				delete(want, m.pid)
				wantMembers(t, reg, "g", want)
			}
			if p, _, groups := reg.Records(); groups+p != 0 {
				t.Errorf("%d groups and %d processes are left", groups, p)
			}
		})
	}
}

// The body of a loop over Members may use the registry, and stop.
func TestMembers_body(t *testing.T) {
	for _, n := range sizes[1:] {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			reg, sys := newRegistry(t)
			for _, m := range spawnMany(t, sys, n) {
				reg.Join("g", m.pid, nil)
			}
			seen := 0
			for pid := range reg.Members("g") {
				seen++
				reg.Leave("g", pid)
				reg.Join("h", pid, nil)
				if got := len(members(t, reg, "g")); got != n-seen {
					t.Fatalf("after %d left, %d of %d are members", seen, got, n)
				}
			}
			if seen != n || reg.Count("h") != n {
				t.Errorf("saw %d members, %d are in the other group, want %d", seen, reg.Count("h"), n)
			}
			stopped := 0
			for range reg.Members("h") {
				if stopped++; stopped == (n+1)/2 {
					break
				}
			}
			if stopped != (n+1)/2 {
				t.Errorf("the loop ran %d times after a break at %d", stopped, (n+1)/2)
			}
		})
	}
}

// groupEvents collects what OnGroup tells.
type groupEvents struct {
	mu  sync.Mutex
	all []string
}

func (e *groupEvents) add(group string, open bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprint(group, " ", open))
}

func (e *groupEvents) want(t testing.TB, want ...string) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !slices.Equal(e.all, want) {
		t.Errorf("OnGroup told %q, want %q", e.all, want)
	}
	e.all = nil
}

func TestOnGroup(t *testing.T) {
	reg, sys := newRegistry(t)
	a, b := spawn(t, sys), spawn(t, sys)
	var first, second groupEvents
	cancel := reg.OnGroup(first.add)
	first.want(t)
	reg.Join("g", a.pid, nil)
	first.want(t, "g true")
	reg.Join("g", b.pid, nil)
	reg.Join("g", b.pid, "meta")
	reg.Leave("g", a.pid)
	reg.Watch("g", a.pid)
	reg.Watch("w", a.pid)
	reg.Track("p", a.pid, "k", nil)
	first.want(t)

	cancelSecond := reg.OnGroup(second.add)
	second.want(t, "g true")
	end(t, b.pid, actor.ErrKilled)
	first.want(t, "g false")
	second.want(t, "g false")
	reg.Join("g", a.pid, nil)
	first.want(t, "g true")
	cancel()
	cancel()
	end(t, a.pid, actor.ErrNormal)
	first.want(t)
	second.want(t, "g true", "g false")
	cancelSecond()
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}

func TestOnGroup_largeGroup(t *testing.T) {
	reg, sys := newRegistry(t)
	var events groupEvents
	defer reg.OnGroup(events.add)()
	ms := spawnMany(t, sys, 200)
	for range 2 {
		for _, m := range ms {
			reg.Join("g", m.pid, nil)
		}
		events.want(t, "g true")
		for _, m := range ms {
			reg.Leave("g", m.pid)
		}
		events.want(t, "g false")
	}
	// Kept large by a watcher.
	reg.Watch("g", ms[0].pid)
	for _, m := range ms {
		reg.Join("g", m.pid, nil)
	}
	for _, m := range ms {
		reg.Leave("g", m.pid)
	}
	reg.Join("g", ms[0].pid, nil)
	events.want(t, "g true", "g false", "g true")
}

// f may use the registry; what it changes is told after the present call.
func TestOnGroup_usesTheRegistry(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawn(t, sys)
	var events groupEvents
	turns := 0
	defer reg.OnGroup(func(group string, open bool) {
		events.add(group, open)
		switch {
		case group != "g":
		case open:
			reg.Leave(group, m.pid)
			reg.Join("h", m.pid, nil)
		case turns < 2:
			turns++
			reg.Join(group, m.pid, nil)
		}
	})()
	reg.Join("g", m.pid, nil)
	events.want(t, "g true", "h true", "g false", "g true", "g false", "g true", "g false")
}

// An f that panics, or ends its goroutine, is logged by the System, and has no other effect: not on the goroutine
// that joined or left, nor on the process whose callback or end it was, nor on the other listeners.
func TestOnGroup_panics(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic(errBoom) }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			var log lines
			sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			reg := registry.New(sys)
			var events groupEvents
			cancels := []func(){reg.OnGroup(func(string, bool) { fail() }), reg.OnGroup(events.add)}
			m := spawn(t, sys)
			returned := false
			ended := make(chan struct{})
			go func() { // a plain goroutine: nobody recovers there
				defer close(ended)
				if err := reg.Join("g", m.pid, nil); err != nil {
					t.Errorf("Join: %v", err)
				}
				returned = true
			}()
			<-ended
			if !returned {
				t.Error("Join did not return, since f has ended its goroutine")
			}
			events.want(t, "g true")
			wantMembers(t, reg, "g", map[actor.PID]any{m.pid: nil})

			joins, err := sys.Spawn(t.Context(), &joiner{reg: reg}, actor.SpawnOptions{})
			if err != nil || !joins.Alive() {
				t.Errorf("a process whose Init joins: %v, alive %v", err, joins.Alive())
			}
			events.want(t, "of its own true")
			cancels = append(cancels, reg.OnGroup(func(string, bool) { fail() })) // for the groups that are there
			end(t, joins, actor.ErrNormal)
			end(t, m.pid, actor.ErrNormal)
			events.want(t, "of its own false", "g false")
			for _, cancel := range cancels {
				cancel()
			}
			if p, n, g := reg.Records(); p+n+g != 0 {
				t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
			}
			if err := sys.Shutdown(t.Context()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			// Two calls of the first f when the groups open, two of the third in its OnGroup, two of each when they close.
			if n := strings.Count(log.String(), "level=ERROR msg=\"panic in a callback\" callback=Registry.OnGroup"); n != 8 ||
				strings.Contains(log.String(), "process ended") {
				t.Errorf("%d lines about f, want 8, and none about a process; the log:\n%s", n, log.String())
			}
		})
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// joiner joins a group in its Init.
type joiner struct{ reg *registry.Registry }

func (j *joiner) Init(ctx context.Context) error {
	return j.reg.Join("of its own", actor.Self(ctx), nil)
}

func (j *joiner) Receive(context.Context, any) error { return nil }

// Functions of the caller that run on its goroutine may panic: the panic reaches the caller, and no lock stays held.
func TestRegistry_callersPanics(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawn(t, sys)
	use := func() {
		reg.Register("n", m.pid, nil)
		reg.Join("g", m.pid, nil)
		reg.Track("t", m.pid, "k", nil)
	}
	use()
	for name, f := range map[string]func(){
		"BroadcastWhere": func() { reg.BroadcastWhere("g", func(actor.PID, any) bool { panic(errBoom) }, 1) },
		"Ensure": func() {
			reg.Ensure(t.Context(), "new", func(context.Context) (actor.PID, error) { panic(errBoom) })
		},
		"Ask": func() {
			registry.Ask[int](t.Context(), reg, "new", func(context.Context) (actor.PID, error) { panic(errBoom) }, 1)
		},
		"Members": func() {
			for range reg.Members("g") {
				panic(errBoom)
			}
		},
		"Present": func() {
			for range reg.Present("t") {
				panic(errBoom)
			}
		},
		"Names": func() {
			for range reg.Names() {
				panic(errBoom)
			}
		},
		"Groups": func() {
			for range reg.Groups() {
				panic(errBoom)
			}
		},
		"Topics": func() {
			for range reg.Topics() {
				panic(errBoom)
			}
		},
		"Of": func() {
			for range reg.Of(m.pid) {
				panic(errBoom)
			}
		},
	} {
		if v := mustPanic(t, name, f); v != errBoom {
			t.Errorf("%s panicked with %v, want %v", name, v, errBoom)
		}
		use()
		reg.Leave("g", m.pid)
		reg.Untrack("t", m.pid, "k")
		reg.Unregister("n", m.pid)
		use()
	}
	end(t, m.pid, actor.ErrNormal)
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}

// For each group the calls alternate, whoever joins and leaves.
func TestOnGroup_alternates(t *testing.T) {
	reg, sys := newRegistry(t)
	open := map[string]bool{}
	var mu sync.Mutex
	listen := func(group string, o bool) {
		runtime.Gosched()
		mu.Lock()
		defer mu.Unlock()
		if open[group] == o {
			t.Errorf("OnGroup(%q, %t) twice", group, o)
		}
		open[group] = o
	}
	var wg sync.WaitGroup
	for i, m := range spawnMany(t, sys, 4) {
		wg.Go(func() {
			for n := range 3000 {
				group := fmt.Sprint((n + i) % 3)
				reg.Join(group, m.pid, nil)
				reg.Leave(group, m.pid)
			}
			reg.Join(fmt.Sprint(i%3), m.pid, nil)
		})
	}
	defer reg.OnGroup(listen)()
	wg.Wait()
	for i := range 3 {
		if !open[fmt.Sprint(i)] {
			t.Errorf("group %d is said to be closed, and has %d members", i, reg.Count(fmt.Sprint(i)))
		}
	}
}

// A group that was large gives its memory back.
func TestGroup_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		a, w := spawn(t, sys), spawn(t, sys)
		reg.Join("g", a.pid, nil)
		cancel := reg.OnGroup(func(string, bool) {})
		reg.Watch("g", w.pid)
		reg.Track("g", w.pid, "k", nil)
		if !reg.Extras("g") {
			t.Error("a watched group has no extras: the test tests nothing")
		}
		reg.Unwatch("g", w.pid)
		reg.Untrack("g", w.pid, "k")
		cancel()
		synctest.Wait()
		if reg.Extras("g") {
			t.Error("a group keeps its extras when nobody watches it any more")
		}
		// None of these leaves a trace of a group without members.
		reg.Leave("g", a.pid)
		reg.Broadcast("g", 1)
		reg.Count("g")
		for range reg.Members("g") {
		}
		for range reg.Present("g") {
		}
		if _, _, groups := reg.Records(); groups != 0 {
			t.Errorf("%d groups are left", groups)
		}
	})
}
