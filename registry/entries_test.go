package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// everywhere registers pid under a name, in groups, in presences and as a watcher.
func everywhere(t testing.TB, reg *registry.Registry, pid actor.PID) {
	t.Helper()
	if err := reg.Register("name", pid, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(reg.Join("group", pid, nil), reg.Track("topic", pid, "key", nil), topicOf[int](t, reg, "typed").Subscribe(pid),
		reg.Watch("group", pid), reg.Watch("topic", pid), reg.Watch("nobody", pid)); err != nil {
		t.Fatalf("%v is refused: %v", pid, err)
	}
}

// where tells where pid is, after everywhere.
func where(reg *registry.Registry, pid actor.PID) []string {
	var in []string
	if reg.Holder("name") == pid { // Whereis returns nobody who is ending
		in = append(in, "name")
	}
	for _, group := range []string{"group", "typed"} {
		for p := range reg.Members(group) {
			if p == pid {
				in = append(in, group)
			}
		}
	}
	for key := range reg.Present("topic") {
		in = append(in, key)
	}
	return in
}

// A process is in everything until its Terminate has returned, and in nothing by the time anybody learns of its end.
func TestEntries_endsOutOfEverything(t *testing.T) {
	const all = "[name group typed key]"
	tests := []struct {
		name       string
		end        func(t *testing.T, m *member)
		terminates bool
	}{
		{"exit", func(_ *testing.T, m *member) { m.pid.Exit(actor.ErrNormal) }, true},
		{"own error", func(_ *testing.T, m *member) { m.pid.Send(errBoom) }, true},
		{"panic", func(_ *testing.T, m *member) { m.pid.Send(func(context.Context) { panic("boom") }) }, true},
		{"kill", func(_ *testing.T, m *member) { m.pid.Exit(actor.ErrKilled) }, false},
		{"kill with a callback that is stuck", func(t *testing.T, m *member) {
			release := block(t, m.pid)
			t.Cleanup(release)
			m.pid.Exit(actor.ErrKilled)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reg, sys := newRegistry(t)
			var during, after, late string
			m := &member{terminate: func(ctx context.Context) {
				during = fmt.Sprint(where(reg, actor.Self(ctx)))
			}}
			spawnWith(t, sys, m, actor.SpawnOptions{})
			everywhere(t, reg, m.pid)
			if got := fmt.Sprint(where(reg, m.pid)); got != all {
				t.Fatalf("before the end it is in %s, want %s", got, all)
			}
			// This hook runs after the registry's, and before the process is dead and any Down.
			if _, ok := m.pid.OnExit(func(error) {
				after = fmt.Sprint(where(reg, m.pid))
				if _, err := actor.Inspect(m.pid); err != nil {
					t.Errorf("before its hooks have run: %v", err)
				}
				for _, err := range []error{reg.Register("late", m.pid, nil), reg.Join("late", m.pid, nil),
					reg.Track("late", m.pid, "k", nil), topicOf[int](t, reg, "late").Subscribe(m.pid), reg.Watch("late", m.pid)} {
					late += fmt.Sprintf("%t ", errors.Is(err, registry.ErrNoProcess))
				}
			}); !ok {
				t.Fatal("OnExit says false")
			}
			down := make(chan string, 1)
			observer := spawnWith(t, sys, &member{down: func(d actor.Down) { down <- fmt.Sprint(where(reg, d.PID)) }},
				actor.SpawnOptions{})
			monitored := make(chan struct{})
			observer.pid.Send(func(ctx context.Context) { actor.Monitor(ctx, m.pid); close(monitored) })
			<-monitored
			tt.end(t, m)
			if got := <-down; got != "[]" {
				t.Errorf("when its Down comes it is in %s", got)
			}
			if tt.terminates && during != all {
				t.Errorf("during Terminate it is in %s, want %s", during, all)
			}
			if after != "[]" {
				t.Errorf("after its exit hook it is in %s", after)
			}
			if late != "true true true true true " {
				t.Errorf("after the exit hook Register, Join, Track, Subscribe and Watch say ErrNoProcess: %s", late)
			}
			if p, n, g := reg.Records(); p+n+g != 0 {
				t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
			}
		})
	}
}

// What a process registers for in its Terminate is taken out, too.
func TestEntries_entersDuringTerminate(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawnWith(t, sys, &member{terminate: func(ctx context.Context) { everywhere(t, reg, actor.Self(ctx)) }},
		actor.SpawnOptions{})
	end(t, m.pid, actor.ErrNormal)
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}

// Whatever a process registers for while it is killed, nothing is left of it.
func TestEntries_entersWhileKilled(t *testing.T) {
	reg, sys := newRegistry(t)
	for range 200 {
		m := spawn(t, sys)
		reg.Join("first", m.pid, nil)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for i := 0; m.pid.Alive(); i++ {
					reg.Join(fmt.Sprint(i%8), m.pid, nil)
					reg.Track("topic", m.pid, fmt.Sprint(i%8), nil)
					reg.Watch("watched", m.pid)
				}
			})
		}
		runtime.Gosched()
		m.pid.Exit(actor.ErrKilled)
		wg.Wait()
		if p, n, g := reg.Records(); p+n+g != 0 {
			t.Fatalf("records of %d processes, %d names and %d groups are left", p, n, g)
		}
	}
}

// A process can register in its Init; of one whose Init fails nothing is left.
func TestEntries_initFails(t *testing.T) {
	reg, sys := newRegistry(t)
	_, err := sys.Spawn(context.Background(), &member{init: func(ctx context.Context) error {
		everywhere(t, reg, actor.Self(ctx))
		return errBoom
	}}, actor.SpawnOptions{})
	if err != errBoom {
		t.Fatalf("Spawn: %v", err)
	}
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}

// A process has one exit hook for each registry, however often it has registered.
func TestEntries_many(t *testing.T) {
	reg, sys := newRegistry(t)
	other := registry.New(sys)
	m := spawn(t, sys)
	const n = 100
	for i := range n {
		name := fmt.Sprint(i)
		if err := reg.Register(name, m.pid, i); err != nil {
			t.Fatal(err)
		}
		reg.Join(name, m.pid, i)
		reg.Track(name, m.pid, "a", i)
		reg.Track(name, m.pid, "b", i)
		reg.Watch(name, m.pid)
		other.Join(name, m.pid, i)
	}
	for i := 0; i < n; i += 3 {
		name := fmt.Sprint(i)
		reg.Unregister(name, m.pid)
		reg.Leave(name, m.pid)
		reg.Untrack(name, m.pid, "a")
	}
	for i := range n {
		name := fmt.Sprint(i)
		_, _, named := reg.Whereis(name)
		present := 0
		for range reg.Present(name) {
			present++
		}
		out := i%3 == 0
		if named == out || (reg.Count(name) == 0) != out || (present == 1) != out {
			t.Errorf("%d: named %t, %d members, %d present; taken out: %t", i, named, reg.Count(name), present, out)
		}
		reg.Join(name, m.pid, -i) // again: found by the index
		wantMembers(t, reg, name, map[actor.PID]any{m.pid: -i})
	}
	end(t, m.pid, actor.ErrNormal)
	for name, r := range map[string]*registry.Registry{"first": reg, "other": other} {
		if p, n, g := r.Records(); p+n+g != 0 {
			t.Errorf("%s registry: records of %d processes, %d names and %d groups are left", name, p, n, g)
		}
	}
}

func TestRegistry_afterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		for _, m := range spawnMany(t, sys, 100) {
			reg.Join("group", m.pid, nil)
			reg.Track("group", m.pid, m.pid.String(), nil)
			reg.Watch("group", m.pid)
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		if p, n, g := reg.Records(); p+n+g != 0 {
			t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
		}
	})
}

func TestNew_nilSystem(t *testing.T) {
	mustPanic(t, "New(nil)", func() { registry.New(nil) })
}
