package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

func wantHolder(t testing.TB, reg *registry.Registry, name string, pid actor.PID, meta any) {
	t.Helper()
	if p, m, ok := reg.Whereis(name); p != pid || m != meta || ok != (pid != actor.PID{}) {
		t.Errorf("Whereis(%q) = %v, %v, %t; want %v, %v", name, p, m, ok, pid, meta)
	}
}

func TestRegister(t *testing.T) {
	reg, sys := newRegistry(t)
	a, b := spawn(t, sys), spawn(t, sys)
	wantHolder(t, reg, "x", actor.PID{}, nil)
	if err := reg.Register("x", a.pid, 1); err != nil {
		t.Fatalf("Register of a free name: %v", err)
	}
	wantHolder(t, reg, "x", a.pid, 1)

	err := reg.Register("x", b.pid, 2)
	taken, ok := errors.AsType[*registry.TakenError](err)
	if !ok || *taken != (registry.TakenError{Name: "x", PID: a.pid, Meta: 1}) {
		t.Errorf("Register of a taken name: %#v, want a *TakenError of x, %v and 1", err, a.pid)
	}
	if want := fmt.Sprintf("registry: the name \"x\" is taken by %v", a.pid); err.Error() != want {
		t.Errorf("error text %q, want %q", err, want)
	}
	wantHolder(t, reg, "x", a.pid, 1)

	if err := reg.Register("x", a.pid, 3); err != nil {
		t.Errorf("Register by the holder: %v", err)
	}
	wantHolder(t, reg, "x", a.pid, 3)
	if err := reg.Register("y", a.pid, nil); err != nil {
		t.Errorf("Register of a second name: %v", err)
	}

	reg.Unregister("x", b.pid)
	wantHolder(t, reg, "x", a.pid, 3)
	reg.Unregister("x", a.pid)
	reg.Unregister("x", a.pid)
	wantHolder(t, reg, "x", actor.PID{}, nil)
	wantHolder(t, reg, "y", a.pid, nil)
	if err := reg.Register("x", b.pid, nil); err != nil {
		t.Errorf("Register of a name that was given up: %v", err)
	}
}

// noProcesses are PIDs that are no process of sys.
func noProcesses(t *testing.T, sys *actor.System) map[string]actor.PID {
	other := spawn(t, newSystem(t, nil))
	dead, killed := spawn(t, sys), spawn(t, sys)
	end(t, dead.pid, actor.ErrNormal)
	end(t, killed.pid, actor.ErrKilled)
	elsewhere, err := sys.ParsePID("7.0123456789abcdef@elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := sys.ParsePID(other.pid.String())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]actor.PID{
		"zero": {}, "dead": dead.pid, "killed": killed.pid, "another System's": other.pid,
		"another System's, as text": foreign, "another node's": elsewhere,
	}
}

func TestRegistry_refusesWhatIsNoProcess(t *testing.T) {
	reg, sys := newRegistry(t)
	for name, pid := range noProcesses(t, sys) {
		t.Run(name, func(t *testing.T) {
			if err := reg.Register("x", pid, nil); !errors.Is(err, registry.ErrNoProcess) || !errors.Is(err, actor.ErrNoProcess) {
				t.Errorf("Register: %v, want ErrNoProcess", err)
			}
			if old, err := reg.Replace("x", pid, nil); !errors.Is(err, registry.ErrNoProcess) || old != (actor.PID{}) {
				t.Errorf("Replace = %v, %v; want nobody, ErrNoProcess", old, err)
			}
			got, err := reg.Ensure(context.Background(), "x", func(context.Context) (actor.PID, error) { return pid, nil })
			if !errors.Is(err, registry.ErrNoProcess) || got != (actor.PID{}) {
				t.Errorf("Ensure = %v, %v; want nobody, ErrNoProcess", got, err)
			}
			for what, err := range map[string]error{"Join": reg.Join("x", pid, nil), "Track": reg.Track("x", pid, "k", nil),
				"Subscribe": topicOf[int](t, reg, "x").Subscribe(pid), "Watch": reg.Watch("x", pid)} {
				if !errors.Is(err, registry.ErrNoProcess) {
					t.Errorf("%s: %v, want ErrNoProcess", what, err)
				}
			}
			reg.Unwatch("x", pid)
			reg.Leave("x", pid)
			reg.Untrack("x", pid, "k")
			reg.Unregister("x", pid)
			if p, n, g := reg.Records(); p+n+g != 0 {
				t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
			}
		})
	}
}

func TestReplace(t *testing.T) {
	reg, sys := newRegistry(t)
	a, b := spawn(t, sys), spawn(t, sys)
	replace := func(pid actor.PID, meta any, want actor.PID) {
		t.Helper()
		if old, err := reg.Replace("x", pid, meta); old != want || err != nil {
			t.Errorf("Replace by %v = %v, %v; want %v", pid, old, err, want)
		}
		wantHolder(t, reg, "x", pid, meta)
	}
	replace(a.pid, 1, actor.PID{}) // nobody held it
	replace(a.pid, 2, actor.PID{}) // itself
	replace(b.pid, 3, a.pid)
	replace(a.pid, 4, b.pid)
	replace(b.pid, 5, a.pid)
	if n := reg.Entries(a.pid); n != 0 {
		t.Errorf("%d registrations are noted for a process whose name was taken", n)
	}

	reg.Unregister("x", a.pid)
	end(t, a.pid, actor.ErrNormal)
	wantHolder(t, reg, "x", b.pid, 5)
	end(t, b.pid, actor.ErrNormal)
	wantHolder(t, reg, "x", actor.PID{}, nil)
}

// Replace is atomic: while processes take the name from each other it is never free, and each hand-over has one old
// holder: each process is returned as the old one as often as it got the name, except for the last time.
func TestReplace_atomic(t *testing.T) {
	reg, sys := newRegistry(t)
	ms := spawnMany(t, sys, 4)
	reg.Register("x", ms[0].pid, nil)
	balance := map[actor.PID]*atomic.Int64{}
	for _, m := range ms {
		balance[m.pid] = new(atomic.Int64)
	}
	balance[ms[0].pid].Add(1)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, ok := reg.Whereis("x"); !ok {
					t.Error("the name is free")
					return
				}
				runtime.Gosched()
			}
		})
	}
	var takers sync.WaitGroup
	for _, m := range ms {
		takers.Go(func() {
			for range 500 {
				old, err := reg.Replace("x", m.pid, nil)
				if err != nil || old == m.pid {
					t.Errorf("Replace = %v, %v", old, err)
				}
				if old != (actor.PID{}) {
					balance[m.pid].Add(1)
					balance[old].Add(-1)
				}
			}
		})
	}
	takers.Wait()
	close(stop)
	wg.Wait()
	holder, _, _ := reg.Whereis("x")
	for _, m := range ms {
		want := int64(0)
		if m.pid == holder {
			want = 1
		}
		if n := balance[m.pid].Load(); n != want {
			t.Errorf("%v got the name %d times more than it lost it, want %d", m.pid, n, want)
		}
		if m.pid != holder {
			end(t, m.pid, actor.ErrNormal)
		}
	}
	if pid, _, ok := reg.Whereis("x"); !ok || pid != holder {
		t.Errorf("the holder lost the name when others ended: %v, %t", pid, ok)
	}
}

// A process that ends while its name is taken from it does not free the name.
func TestReplace_whileTheHolderEnds(t *testing.T) {
	reg, sys := newRegistry(t)
	next := spawn(t, sys)
	for range 500 {
		old := spawn(t, sys)
		reg.Register("x", old.pid, nil)
		var wg sync.WaitGroup
		wg.Go(func() { old.pid.Exit(actor.ErrKilled) })
		wg.Go(func() { reg.Replace("x", next.pid, nil) })
		wg.Wait()
		wantHolder(t, reg, "x", next.pid, nil)
		reg.Unregister("x", next.pid)
	}
}

// When names are freed, so is their memory.
func TestRegister_memory(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawn(t, sys)
	const n, stay = 20_000, 1_000
	for i := range n {
		reg.Register(fmt.Sprint(i), m.pid, nil)
	}
	for i := range n - stay {
		reg.Unregister(fmt.Sprint(i), m.pid)
	}
	if names, _ := reg.Kept(); names > n/4 { // 128 parts, each of which may keep a little
		t.Errorf("there is memory for %d names, and %d are held", names, stay)
	}
	for i := n - stay; i < n; i++ {
		wantHolder(t, reg, fmt.Sprint(i), m.pid, nil)
	}
	end(t, m.pid, actor.ErrNormal)
	if _, all := reg.Kept(); all > n/10 { // each of the tables may keep a little
		t.Errorf("there is memory for %d entries, and nobody is there", all)
	}
}
