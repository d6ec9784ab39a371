package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// view is what a watcher knows from its messages. What contradicts what it knows fails the test.
type view struct {
	t       testing.TB
	group   string
	members map[actor.PID]any
	present map[string][]any
}

func newView(t testing.TB, group string) *view {
	return &view{t: t, group: group, members: map[actor.PID]any{}, present: map[string][]any{}}
}

func (v *view) add(msgs ...any) {
	v.t.Helper()
	for _, msg := range msgs {
		switch msg := msg.(type) {
		case registry.Joined:
			if meta, ok := v.members[msg.PID]; msg.Group != v.group || ok && meta == msg.Meta {
				v.t.Errorf("%+v, which was known before", msg)
			}
			v.members[msg.PID] = msg.Meta
		case registry.Left:
			if meta, ok := v.members[msg.PID]; msg.Group != v.group || !ok || meta != msg.Meta {
				v.t.Errorf("%+v, where %v, %t was known", msg, meta, ok)
			}
			delete(v.members, msg.PID)
		case registry.PresenceDiff:
			if msg.Topic != v.group || len(msg.Joined)+len(msg.Left) == 0 {
				v.t.Errorf("an empty or foreign %+v", msg)
			}
			maps.Copy(v.present, msg.Joined)
			for key, metas := range msg.Left {
				if _, ok := v.present[key]; !ok || len(metas) == 0 || msg.Joined[key] != nil {
					v.t.Errorf("%+v, where %v was known", msg, v.present)
				}
				delete(v.present, key)
			}
		default:
			v.t.Errorf("got %v", msg)
		}
	}
}

func TestWatch(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				early, late := spawn(t, sys), spawn(t, sys)
				ms := spawnMany(t, sys, n)
				earlyView, lateView := newView(t, "g"), newView(t, "g")
				reg.Watch("g", early.pid)
				reg.Watch("g", early.pid) // changes nothing
				check := func() {
					t.Helper()
					synctest.Wait()
					earlyView.add(early.take()...)
					lateView.add(late.take()...)
					if want := members(t, reg, "g"); !maps.Equal(earlyView.members, want) ||
						len(lateView.members) > 0 && !maps.Equal(lateView.members, want) {
						t.Errorf("the watchers know\n%v and\n%v, the members are\n%v", earlyView.members, lateView.members, want)
					}
				}
				for i, m := range ms {
					reg.Join("g", m.pid, i)
					if i == n/2 {
						reg.Watch("g", late.pid)
					}
				}
				check()
				for i, m := range ms {
					reg.Join("g", m.pid, -i-1)
				}
				check()
				for i, m := range ms {
					if i%2 == 0 {
						end(t, m.pid, actor.ErrNormal)
					} else {
						reg.Leave("g", m.pid)
					}
				}
				check()
				if len(earlyView.members)+len(lateView.members) > 0 {
					t.Errorf("watchers know members of an empty group: %v, %v", earlyView.members, lateView.members)
				}
				reg.Unwatch("g", early.pid)
				reg.Unwatch("g", early.pid)
				end(t, late.pid, actor.ErrKilled)
				reg.Join("g", early.pid, nil)
				synctest.Wait()
				wantGot(t, early)
				end(t, early.pid, actor.ErrNormal)
				if _, _, g := reg.Records(); g != 0 {
					t.Errorf("records of %d groups are left", g)
				}
			})
		})
	}
}

// A watcher that is a member hears of itself, and of nothing at its own end.
func TestWatch_itself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m := spawn(t, sys)
		reg.Join("g", m.pid, 1)
		reg.Watch("g", m.pid)
		reg.Join("g", m.pid, 2)
		reg.Leave("g", m.pid)
		reg.Join("g", m.pid, 3)
		synctest.Wait()
		wantGot(t, m, registry.Joined{Group: "g", PID: m.pid, Meta: 1}, registry.Joined{Group: "g", PID: m.pid, Meta: 2},
			registry.Left{Group: "g", PID: m.pid, Meta: 2}, registry.Joined{Group: "g", PID: m.pid, Meta: 3})
	})
}

// A process that ends is not told of its own end.
func TestWatch_endsItself(t *testing.T) {
	var lines atomic.Int64
	sys := newSystem(t, slog.New(logFunc(func(r slog.Record) {
		if r.Message == "message reached nobody" {
			lines.Add(1)
		}
	})))
	reg := registry.New(sys)
	m := spawn(t, sys)
	reg.Join("g", m.pid, nil)
	reg.Track("g", m.pid, "k", nil)
	reg.Watch("g", m.pid)
	reg.Join("g", m.pid, 1)
	release := block(t, m.pid) // so that nothing is dropped at the end that came before
	release()
	actor.Call[any](t.Context(), m.pid, "all handled?")
	end(t, m.pid, actor.ErrNormal)
	if n := lines.Load(); n != 0 {
		t.Errorf("%d messages were sent to a process at its end", n)
	}
}

// A watcher whose mailbox is full misses what does not fit; others do not.
func TestWatch_fullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m, other := spawn(t, sys), spawn(t, sys)
		full := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 1})
		reg.Watch("g", full.pid)
		reg.Watch("g", other.pid)
		release := block(t, full.pid)
		reg.Join("g", m.pid, nil)
		reg.Leave("g", m.pid)
		release()
		synctest.Wait()
		joined := registry.Joined{Group: "g", PID: m.pid}
		wantGot(t, full, joined)
		wantGot(t, other, joined, registry.Left{Group: "g", PID: m.pid})
	})
}

// While processes join, leave, track and die, watchers come and go: what each knows at the end is what is so, and nothing
// that it was told contradicts what it knew.
func TestWatch_noGap(t *testing.T) {
	for n, watches := range map[int]int{8: 40, 300: 20, 2000: 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				ms := spawnMany(t, sys, n)
				stay, leave := spawnMany(t, sys, watches), spawnMany(t, sys, watches)
				for i, m := range ms { // so that it takes a while to tell a watcher who is there
					reg.Join("g", m.pid, -1)
					reg.Track("g", m.pid, fmt.Sprint(i%(n/2)), -1)
				}
				var joining, watchers sync.WaitGroup
				var watching atomic.Bool
				watching.Store(true)
				for worker := range 2 {
					joining.Go(func() {
						for round := 0; watching.Load(); round++ {
							for i := worker; i < n; i += 2 {
								m, key := ms[i], fmt.Sprint(i%(n/2))
								reg.Join("g", m.pid, round)
								reg.Track("g", m.pid, key, round)
								if (i+round)%3 == 0 {
									reg.Leave("g", m.pid)
								}
								if (i+round)%5 == 0 {
									reg.Untrack("g", m.pid, key)
								}
							}
						}
						for i := worker; i < n/2; i += 2 {
							ms[i].pid.Exit(actor.ErrKilled)
						}
					})
				}
				watchers.Go(func() {
					for i := range stay {
						reg.Watch("g", stay[i].pid)
						reg.Watch("g", leave[i].pid)
						reg.Unwatch("g", leave[i].pid)
					}
				})
				watchers.Wait()
				watching.Store(false)
				joining.Wait()
				synctest.Wait()
				wantM, wantP := members(t, reg, "g"), present(t, reg, "g")
				for _, w := range stay {
					v := newView(t, "g")
					v.add(w.take()...)
					if !maps.Equal(v.members, wantM) {
						t.Errorf("a watcher knows the members\n%v\nwant\n%v", v.members, wantM)
					}
					if got := sorted(v.present); fmt.Sprint(got) != fmt.Sprint(wantP) {
						t.Errorf("a watcher knows the presences\n%v\nwant\n%v", got, wantP)
					}
				}
				for _, w := range leave {
					newView(t, "g").add(w.take()...)
				}
			})
		})
	}
}

// Processes may join, and a group may be divided by it, while a watch begins.
func TestWatch_whileOthersJoin(t *testing.T) {
	for _, before := range []int{0, 3, 64} {
		t.Run(fmt.Sprint(before), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				ms, w, other := spawnMany(t, sys, before+2), spawn(t, sys), spawn(t, sys)
				groups := map[string]*view{}
				for i := range 500 {
					group := fmt.Sprint(i)
					groups[group] = newView(t, group)
					for _, m := range ms[:before] {
						reg.Join(group, m.pid, 0)
					}
					if i%2 == 0 {
						reg.Watch(group, other.pid)
					}
					var wg sync.WaitGroup
					wg.Go(func() {
						for round := range 4 {
							reg.Join(group, ms[before].pid, round)
							reg.Join(group, ms[before+1].pid, round)
							reg.Leave(group, ms[before].pid)
						}
					})
					wg.Go(func() { reg.Watch(group, w.pid) })
					wg.Wait()
				}
				synctest.Wait()
				for _, msg := range w.take() {
					switch m := msg.(type) {
					case registry.Joined:
						groups[m.Group].add(m)
					case registry.Left:
						groups[m.Group].add(m)
					}
				}
				for group, v := range groups {
					if len(v.members) != before+1 {
						t.Errorf("the watcher of group %s knows %d members, want %d", group, len(v.members), before+1)
					}
				}
			})
		})
	}
}

// What happens while a watcher is shown a group, even by whoever logs that a message of it was refused, is told behind it.
func TestWatch_changeWhileItIsShown(t *testing.T) {
	var log func()
	sys := newSystem(t, slog.New(logFunc(func(slog.Record) {
		if log != nil {
			log()
		}
	})))
	reg := registry.New(sys)
	ms, other := spawnMany(t, sys, 3), spawn(t, sys)
	w := spawnWith(t, sys, &member{}, actor.SpawnOptions{MailboxLimit: 100})
	handled := func(m *member) {
		for {
			_, err := actor.Call[any](t.Context(), m.pid, func(context.Context) {})
			if !errors.Is(err, actor.ErrMailboxFull) {
				return
			}
			runtime.Gosched()
		}
	}

	reg.Join("g", ms[0].pid, nil)
	reg.Join("g", ms[1].pid, nil)
	armed := false
	cancel := reg.OnGroup(func(_ string, open bool) {
		if open && armed {
			panic(errBoom)
		}
	})
	defer cancel()
	reg.Watch("g", other.pid)
	handled(other)
	other.take()

	release := block(t, w.pid)
	for range 100 {
		w.pid.Send("full")
	}
	armed = true
	log = func() {
		log = nil
		release()
		handled(w)
		reg.Leave("g", ms[1].pid)
		reg.Leave("g", ms[0].pid)
		reg.Join("g", ms[2].pid, nil) // opens the group: a listener panics behind it
		reg.Leave("g", ms[2].pid)
	}
	if v := mustPanic(t, "Watch", func() { reg.Watch("g", w.pid) }); v != errBoom {
		t.Errorf("Watch panicked with %v", v)
	}
	armed = false
	handled(w)
	handled(other)
	joined := func(i int) any { return registry.Joined{Group: "g", PID: ms[i].pid} }
	left := func(i int) any { return registry.Left{Group: "g", PID: ms[i].pid} }
	wantGot(t, other, left(1), left(0), joined(2), left(2))
	got := w.take()
	view := newView(t, "g")
	view.members[ms[0].pid] = nil // which was refused
	view.add(got[100:]...)
	if len(view.members) != 0 {
		t.Errorf("the watcher knows %v of an empty group, by %v", view.members, got[100:])
	}
	later := spawn(t, sys)
	reg.Watch("g", later.pid) // nothing is held any more
	reg.Join("g", ms[0].pid, nil)
	handled(later)
	wantGot(t, later, joined(0))
}
