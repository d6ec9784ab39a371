package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// view is what a watcher knows from its messages. A message that contradicts it fails the test.
type view struct {
	t       testing.TB
	group   string
	members map[actor.PID]any               // nil before Members
	present map[string][]registry.Meta      // by Now; nil before a diff with Whole
	tracks  map[string]map[registry.Ref]any // by Came and Went
	wholes  int
}

func newView(t testing.TB, group string) *view { return &view{t: t, group: group} }

func (v *view) add(msgs ...any) {
	v.t.Helper()
	for _, msg := range msgs {
		switch msg := msg.(type) {
		case registry.Members:
			v.members = map[actor.PID]any{}
			for _, e := range msg.Entries {
				if _, ok := v.members[e.PID]; ok || msg.Group != v.group {
					v.t.Errorf("%v twice in Members of %q", e, msg.Group)
				}
				v.members[e.PID] = e.Meta
			}
		case registry.Joined:
			if v.members == nil || len(msg.Entries) == 0 || msg.Group != v.group {
				v.t.Errorf("%+v before Members, or empty", msg)
			}
			for _, e := range msg.Entries {
				if meta, ok := v.members[e.PID]; ok && meta == e.Meta {
					v.t.Errorf("%+v joined, which was known before", e)
				}
				v.members[e.PID] = e.Meta
			}
		case registry.Left:
			if v.members == nil || len(msg.Entries) == 0 || msg.Group != v.group {
				v.t.Errorf("%+v before Members, or empty", msg)
			}
			for _, e := range msg.Entries {
				if meta, ok := v.members[e.PID]; !ok || meta != e.Meta {
					v.t.Errorf("%+v left, where %v, %t was known", e, meta, ok)
				}
				delete(v.members, e.PID)
			}
		case registry.PresenceDiff:
			v.diff(msg)
		default:
			v.t.Errorf("got %v", msg)
		}
	}
}

func (v *view) diff(d registry.PresenceDiff) {
	v.t.Helper()
	if d.Whole {
		v.wholes++
		v.present, v.tracks = map[string][]registry.Meta{}, map[string]map[registry.Ref]any{}
	} else if v.present == nil || len(d.Now) == 0 || len(d.Came)+len(d.Went) == 0 {
		v.t.Errorf("%+v before the whole state, or empty", d)
	}
	if d.Topic != v.group {
		v.t.Errorf("a diff of %q, want %q", d.Topic, v.group)
	}
	d.Apply(v.present)
	for key, ms := range d.Went {
		for _, m := range ms {
			if meta, ok := v.tracks[key][m.Ref]; !ok || meta != m.Meta {
				v.t.Errorf("%v of %q went, where %v was known", m, key, v.tracks[key])
			}
			delete(v.tracks[key], m.Ref)
		}
	}
	for key, ms := range d.Came {
		if v.tracks[key] == nil {
			v.tracks[key] = map[registry.Ref]any{}
		}
		for _, m := range ms {
			if _, ok := v.tracks[key][m.Ref]; ok {
				v.t.Errorf("%v of %q came, which was known", m, key)
			}
			v.tracks[key][m.Ref] = m.Meta
		}
	}
	for key := range d.Now { // both ways lead to the same
		if len(v.tracks[key]) != len(d.Now[key]) {
			v.t.Errorf("by Came and Went %v is there under %q, by Now %v", v.tracks[key], key, d.Now[key])
		}
		for _, m := range d.Now[key] {
			if meta, ok := v.tracks[key][m.Ref]; !ok || meta != m.Meta {
				v.t.Errorf("%v is now there under %q, which has not come", m, key)
			}
		}
	}
}

// want compares the view with the registry, when nothing goes on any more.
func (v *view) want(reg *registry.Registry) {
	v.t.Helper()
	if want := members(v.t, reg, v.group); !maps.Equal(v.members, want) {
		v.t.Errorf("a watcher knows the members\n%v\nwant\n%v", v.members, want)
	}
	if want := presentNow(v.t, reg, v.group); !samePresent(v.present, want) {
		v.t.Errorf("a watcher knows the presences\n%v\nwant\n%v", v.present, want)
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
					earlyView.want(reg)
					lateView.add(late.take()...)
					if lateView.members != nil {
						lateView.want(reg)
					}
				}
				for i, m := range ms {
					reg.Join("g", m.pid, i)
					reg.Track("g", m.pid, fmt.Sprint(i/2), i)
					if i == n/2 {
						reg.Watch("g", late.pid)
					}
				}
				check()
				for i, m := range ms {
					reg.Join("g", m.pid, -i-1)
					reg.Track("g", m.pid, fmt.Sprint(i/2), -i-1)
				}
				check()
				for i, m := range ms {
					if i%2 == 0 {
						end(t, m.pid, actor.ErrNormal)
					} else {
						reg.Leave("g", m.pid)
						reg.Untrack("g", m.pid, fmt.Sprint(i/2))
					}
				}
				check()
				if len(earlyView.members)+len(lateView.members)+len(earlyView.present) > 0 {
					t.Errorf("watchers know members of an empty group: %v, %v", earlyView.members, lateView.members)
				}
				if earlyView.wholes != 1 {
					t.Errorf("a watcher that reads all the time got the whole state %d times, want once", earlyView.wholes)
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

// A watcher that is a member hears of itself.
func TestWatch_itself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m := spawn(t, sys)
		reg.Join("g", m.pid, 1)
		reg.Watch("g", m.pid)
		synctest.Wait()
		me := func(meta any) []registry.Entry { return []registry.Entry{{PID: m.pid, Meta: meta}} }
		want := []any{registry.Members{Group: "g", Entries: me(1)}, registry.PresenceDiff{Topic: "g", Whole: true}}
		for _, step := range []struct {
			do   func()
			want any
		}{
			{func() { reg.Join("g", m.pid, 2) }, registry.Joined{Group: "g", Entries: me(2)}},
			{func() { reg.Leave("g", m.pid) }, registry.Left{Group: "g", Entries: me(2)}},
			{func() { reg.Join("g", m.pid, 3) }, registry.Joined{Group: "g", Entries: me(3)}},
		} {
			step.do()
			synctest.Wait()
			want = append(want, step.want)
		}
		if got := m.take(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got\n%v, want\n%v", got, want)
		}
	})
}

// What happens to a group while the watcher is busy is told by one Left and one Joined.
func TestWatch_merged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		w, ms := spawn(t, sys), spawnMany(t, sys, 6)
		reg.Join("g", ms[0].pid, 0)
		reg.Join("g", ms[1].pid, 1)
		reg.Join("g", ms[2].pid, 2)
		reg.Watch("g", w.pid)
		synctest.Wait()
		w.take()
		release := block(t, w.pid)
		reg.Leave("g", ms[0].pid)    // left
		reg.Join("g", ms[1].pid, -1) // new meta
		reg.Leave("g", ms[2].pid)    // left
		reg.Join("g", ms[2].pid, -2) // and came back
		reg.Join("g", ms[3].pid, 3)  // joined
		reg.Join("g", ms[4].pid, 4)  // joined
		reg.Leave("g", ms[4].pid)    // and left: nothing
		reg.Join("g", ms[5].pid, 5)  // joined
		reg.Join("g", ms[5].pid, -5) // with new meta
		end(t, ms[5].pid, errBoom)   // and ended: nothing
		info, err := actor.Inspect(w.pid)
		if err != nil || info.Mailbox != 1 {
			t.Errorf("%d messages wait, %v; want one", info.Mailbox, err)
		}
		release()
		synctest.Wait()
		got := w.take()
		if len(got) != 2 {
			t.Fatalf("got %v, want a Left and a Joined", got)
		}
		left, _ := got[0].(registry.Left)
		if want := []registry.Entry{{PID: ms[0].pid, Meta: 0}}; fmt.Sprint(left.Entries) != fmt.Sprint(want) {
			t.Errorf("left %v, want %v", left.Entries, want)
		}
		joined := map[actor.PID]any{}
		for _, e := range got[1].(registry.Joined).Entries {
			joined[e.PID] = e.Meta
		}
		if want := (map[actor.PID]any{ms[1].pid: -1, ms[2].pid: -2, ms[3].pid: 3}); !maps.Equal(joined, want) {
			t.Errorf("joined %v, want %v", joined, want)
		}
	})
}

// However many members there are, and whatever waits, a watcher with the smallest mailbox misses nothing and does not end.
func TestWatch_limit(t *testing.T) {
	for _, overflow := range []actor.Overflow{actor.OverflowReject, actor.OverflowExit} {
		t.Run(fmt.Sprint(overflow), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				ms := spawnMany(t, sys, 1500)
				for i, m := range ms {
					reg.Join("g", m.pid, i)
					reg.Track("g", m.pid, fmt.Sprint(i), i)
				}
				w := spawnWith(t, sys, &member{init: func(ctx context.Context) error {
					return reg.Watch("g", actor.Self(ctx))
				}}, actor.SpawnOptions{MailboxLimit: 1, Overflow: overflow})
				v := newView(t, "g")
				synctest.Wait()
				v.add(w.take()...)
				v.want(reg)
				release := block(t, w.pid)
				w.pid.Send("full")
				for i, m := range ms {
					reg.Join("g", m.pid, -i-1)
					reg.Untrack("g", m.pid, fmt.Sprint(i))
				}
				release()
				synctest.Wait()
				if !w.pid.Alive() {
					t.Fatal("the watcher has ended")
				}
				got := w.take()
				if len(got) != 3 || got[0] != "full" {
					t.Fatalf("got %d messages, want the one that was sent, and one for each half", len(got))
				}
				v.add(got[1:]...)
				v.want(reg)
			})
		})
	}
}

// A watcher that handles nothing for very long costs bounded memory, and is then told the whole state anew.
func TestWatch_farBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m, w, other := spawn(t, sys), spawn(t, sys), spawn(t, sys)
		reg.Watch("g", w.pid)
		reg.Watch("g", other.pid)
		v, o := newView(t, "g"), newView(t, "g")
		synctest.Wait()
		v.add(w.take()...)
		o.add(other.take()...)
		release := block(t, w.pid)
		peak := 0
		for i := range 50_000 {
			reg.Join("g", m.pid, i)
			reg.Track("g", m.pid, fmt.Sprint("k", i), i)
			reg.Untrack("g", m.pid, fmt.Sprint("k", i-1))
			if i%1000 == 0 {
				peak = max(peak, reg.Journal("g"))
				synctest.Wait()
				o.add(other.take()...)
			}
		}
		if peak == 0 || peak > 2*16_384+2 {
			t.Errorf("the journal has had %d changes, want at most 16,384 of each half", peak)
		}
		release()
		synctest.Wait()
		v.add(w.take()...)
		o.add(other.take()...)
		v.want(reg)
		o.want(reg)
		if v.wholes != 2 || o.wholes != 1 {
			t.Errorf("the whole state was told %d times to the one that had missed much, %d to the other; want 2 and 1", v.wholes, o.wholes)
		}
		if n := reg.Journal("g"); n != 0 {
			t.Errorf("the journal keeps %d changes that all have read", n)
		}
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
	actor.Call[any](t.Context(), m.pid, "all handled?")
	end(t, m.pid, actor.ErrNormal)
	if n := lines.Load(); n != 0 {
		t.Errorf("%d messages were sent to a process at its end", n)
	}
}

// After Unwatch nothing is told, not even what waits.
func TestUnwatch_whatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		m, w := spawn(t, sys), spawn(t, sys)
		reg.Watch("g", w.pid)
		synctest.Wait()
		w.take()
		release := block(t, w.pid)
		reg.Join("g", m.pid, nil)
		reg.Unwatch("g", w.pid)
		release()
		synctest.Wait()
		wantGot(t, w)
		reg.Watch("g", w.pid) // anew
		synctest.Wait()
		v := newView(t, "g")
		v.add(w.take()...)
		v.want(reg)
	})
}

// While processes join, leave, track and end, watchers come and go: at the end each knows how things are, and nothing
// that it was told contradicts what it knew.
func TestWatch_noGap(t *testing.T) {
	for n, watches := range map[int]int{8: 40, 300: 20, 2000: 4} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg, sys := newRegistry(t)
				ms := spawnMany(t, sys, n)
				stay, leave := spawnMany(t, sys, watches), spawnMany(t, sys, watches)
				for i, m := range ms { // so that it takes a while to read who is there
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
						actor.Call[any](t.Context(), stay[i].pid, func(context.Context) {}) // it has handled what waited
						reg.Unwatch("g", leave[i].pid)
					}
				})
				watchers.Wait()
				watching.Store(false)
				joining.Wait()
				synctest.Wait()
				for _, w := range stay {
					v := newView(t, "g")
					v.add(w.take()...)
					v.want(reg)
				}
				for _, w := range leave {
					newView(t, "g").add(w.take()...)
				}
				if n := reg.Journal("g"); n != 0 {
					t.Errorf("the journal keeps %d changes that all have read", n)
				}
			})
		})
	}
}

// While a watch begins, processes may join, and the group may be divided.
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
					case registry.Members:
						groups[m.Group].add(m)
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
