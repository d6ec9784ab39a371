package registry_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
)

// sizes are those of a group that is empty, small, divided, and large.
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

// What f does with the registry is done, and told after what is being told.
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

// A panic in f reaches who joined, and leaves the registry, and the other listeners, as they should be.
func TestOnGroup_panics(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawn(t, sys)
	var events groupEvents
	cancel := reg.OnGroup(func(string, bool) { panic(errBoom) })
	reg.OnGroup(events.add)
	if v := mustPanic(t, "Join", func() { reg.Join("g", m.pid, nil) }); v != errBoom {
		t.Errorf("Join panicked with %v", v)
	}
	events.want(t, "g true")
	wantMembers(t, reg, "g", map[actor.PID]any{m.pid: nil})
	for _, group := range []string{"h", "i", "j"} {
		mustPanic(t, "Join", func() { reg.Join(group, m.pid, nil) })
	}
	events.want(t, "h true", "i true", "j true")
	end(t, m.pid, actor.ErrNormal) // the hook panics, and has done its work
	events.want(t, "g false", "h false", "i false", "j false")
	cancel()
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}

// Per group the calls alternate, whoever joins and leaves.
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

// A group gives back what its great times have cost.
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
