package registry_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// Each step says what a watcher gets; one that is busy meanwhile gets only the last of it.
func TestWatchName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		a, b, w := spawn(t, sys), spawn(t, sys), spawn(t, sys)
		if err := errors.Join(reg.WatchName("x", w.pid), reg.WatchName("x", w.pid), reg.WatchName("other", w.pid)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		free, taken := func() any { return registry.NameFree{Name: "x"} }, func(m *member, meta any) any {
			return registry.NameTaken{Name: "x", PID: m.pid, Meta: meta}
		}
		wantGot(t, w, free(), registry.NameFree{Name: "other"})
		for _, step := range []struct {
			name string
			do   func()
			want []any
		}{
			{"register", func() { reg.Register("x", a.pid, 1) }, []any{taken(a, 1)}},
			{"new meta", func() { reg.Register("x", a.pid, 2) }, []any{taken(a, 2)}},
			{"refused", func() { reg.Register("x", b.pid, 3) }, nil},
			{"replace", func() { reg.Replace("x", b.pid, 4) }, []any{taken(b, 4)}},
			{"not its name", func() { reg.Unregister("x", a.pid) }, nil},
			{"unregister", func() { reg.Unregister("x", b.pid) }, []any{free()}},
			{"freed and taken while busy", func() {
				defer block(t, w.pid)()
				reg.Register("x", a.pid, 5)
				reg.Unregister("x", a.pid)
				reg.Register("x", b.pid, 6)
				if info, err := actor.Inspect(w.pid); err != nil || info.Mailbox != 1 {
					t.Errorf("%d messages wait, %v; want one", info.Mailbox, err)
				}
			}, []any{taken(b, 6)}},
			{"taken by the same anew while busy", func() {
				defer block(t, w.pid)()
				reg.Unregister("x", b.pid)
				reg.Register("x", b.pid, 7)
			}, []any{taken(b, 7)}},
			{"taken and freed while busy", func() {
				reg.Unregister("x", b.pid)
				synctest.Wait()
				w.take()
				defer block(t, w.pid)()
				reg.Register("x", b.pid, 8)
				reg.Unregister("x", b.pid)
			}, nil},
			{"the holder ends", func() {
				reg.Register("x", b.pid, 9)
				synctest.Wait()
				w.take()
				end(t, b.pid, errBoom)
			}, []any{free()}},
			{"unwatched while it waits", func() {
				defer block(t, w.pid)()
				reg.Register("x", a.pid, 10)
				reg.UnwatchName("x", w.pid)
				reg.UnwatchName("x", w.pid)
			}, nil},
			{"unwatched", func() { reg.Unregister("x", a.pid) }, nil},
		} {
			step.do()
			synctest.Wait()
			if got := w.take(); !slices.Equal(got, step.want) {
				t.Errorf("%s: got %v, want %v", step.name, got, step.want)
			}
		}
		for _, m := range []*member{a, w} {
			end(t, m.pid, actor.ErrNormal)
		}
		for name, pid := range noProcesses(t, sys) {
			if err := reg.WatchName("x", pid); !errors.Is(err, registry.ErrNoProcess) {
				t.Errorf("WatchName by %s: %v, want ErrNoProcess", name, err)
			}
		}
		if p, n, _ := reg.Records(); p+n != 0 || reg.NameWatchers() != 0 {
			t.Errorf("records of %d processes and %d names, and %d watchers are left", p, n, reg.NameWatchers())
		}
	})
}

// Of several standbys that are told that the name is free, one gets it, each time, until none is left.
func TestWatchName_standby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		const n = 20
		for range n {
			spawnWith(t, sys, &member{init: func(ctx context.Context) error { return reg.WatchName("x", actor.Self(ctx)) }},
				actor.SpawnOptions{})
		}
		var standbys []actor.PID
		for info := range sys.Processes() {
			standbys = append(standbys, info.PID)
		}
		held := map[actor.PID]bool{}
		for round := range n {
			var wg sync.WaitGroup
			for _, pid := range standbys {
				wg.Go(func() { pid.Send(func(ctx context.Context) { reg.Register("x", pid, nil) }) })
			}
			wg.Wait()
			synctest.Wait()
			pid, _, ok := reg.Whereis("x")
			if !ok || held[pid] {
				t.Fatalf("round %d: %v, %t holds the name", round, pid, ok)
			}
			held[pid] = true
			end(t, pid, actor.ErrNormal)
		}
	})
}

// However a name changes hands, what a watcher was told last is how things are at the end.
func TestWatchName_noGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		ms, ws := spawnMany(t, sys, 4), spawnMany(t, sys, 20)
		var wg sync.WaitGroup
		var left atomic.Int64
		left.Store(int64(len(ms)))
		for i, m := range ms {
			wg.Go(func() {
				for n := range 2000 {
					reg.Register("x", m.pid, n)
					if (n+i)%3 == 0 {
						reg.Replace("x", m.pid, n)
					}
					if (n+i)%2 == 0 {
						reg.Unregister("x", m.pid)
					}
				}
				left.Add(-1)
			})
		}
		wg.Go(func() {
			for i := 0; left.Load() > 0; i++ {
				w := ws[i%len(ws)]
				reg.WatchName("x", w.pid)
				reg.UnwatchName("x", ws[(i+7)%len(ws)].pid)
			}
			for _, w := range ws {
				reg.WatchName("x", w.pid)
			}
		})
		wg.Wait()
		synctest.Wait()
		want := any(registry.NameFree{Name: "x"})
		if pid, meta, ok := reg.Whereis("x"); ok {
			want = registry.NameTaken{Name: "x", PID: pid, Meta: meta}
		}
		for _, w := range ws {
			got := w.take()
			if len(got) == 0 || got[len(got)-1] != want {
				t.Errorf("a watcher was told last %v, want %v", got[max(0, len(got)-1):], want)
			}
		}
	})
}
