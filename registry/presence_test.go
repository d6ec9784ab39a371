package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// sorted puts the metas of each key, which are ints, in order.
func sorted(present map[string][]any) map[string][]any {
	for _, metas := range present {
		slices.SortFunc(metas, func(a, b any) int { return a.(int) - b.(int) })
	}
	return present
}

// present is Present as a map; a key that is yielded twice fails the test.
func present(t testing.TB, reg *registry.Registry, topic string) map[string][]any {
	t.Helper()
	all := map[string][]any{}
	for key, metas := range reg.Present(topic) {
		if _, ok := all[key]; ok {
			t.Errorf("Present(%q) yields %q twice", topic, key)
		}
		all[key] = metas
	}
	return sorted(all)
}

func wantPresent(t testing.TB, reg *registry.Registry, topic string, want map[string][]any) {
	t.Helper()
	if got := present(t, reg, topic); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("Present(%q):\ngot  %v\nwant %v", topic, got, want)
	}
}

type metas = map[string][]any

// Each step says what the watcher gets of it.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		phone, laptop, bob, watcher, late := spawn(t, sys), spawn(t, sys), spawn(t, sys), spawn(t, sys), spawn(t, sys)
		reg.Watch("room", watcher.pid)
		track := func(m *member, key string, meta any) func() {
			return func() {
				if !reg.Track("room", m.pid, key, meta) {
					t.Errorf("Track of %v says false", m.pid)
				}
			}
		}
		steps := []struct {
			name string
			do   func()
			want registry.PresenceDiff // of a topic: nothing
			now  metas
		}{
			{"the first socket of a person", track(phone, "alice", 1),
				registry.PresenceDiff{Joined: metas{"alice": {1}}}, metas{"alice": {1}}},
			{"the second", track(laptop, "alice", 2),
				registry.PresenceDiff{Joined: metas{"alice": {1, 2}}}, metas{"alice": {1, 2}}},
			{"another person", track(bob, "bob", 3),
				registry.PresenceDiff{Joined: metas{"bob": {3}}}, metas{"alice": {1, 2}, "bob": {3}}},
			{"new meta", track(laptop, "alice", 4),
				registry.PresenceDiff{Joined: metas{"alice": {1, 4}}}, metas{"alice": {1, 4}, "bob": {3}}},
			{"one socket under two keys", track(bob, "admin", 5),
				registry.PresenceDiff{Joined: metas{"admin": {5}}}, metas{"alice": {1, 4}, "bob": {3}, "admin": {5}}},
			{"the first of two sockets goes", func() { reg.Untrack("room", phone.pid, "alice") },
				registry.PresenceDiff{Joined: metas{"alice": {4}}}, metas{"alice": {4}, "bob": {3}, "admin": {5}}},
			{"Untrack of what is not tracked", func() {
				reg.Untrack("room", phone.pid, "alice")
				reg.Untrack("room", laptop.pid, "bob")
				reg.Untrack("other", laptop.pid, "alice")
			}, registry.PresenceDiff{}, metas{"alice": {4}, "bob": {3}, "admin": {5}}},
			{"the last socket ends", func() { end(t, laptop.pid, actor.ErrKilled) },
				registry.PresenceDiff{Left: metas{"alice": {4}}}, metas{"bob": {3}, "admin": {5}}},
			{"one of two keys of a socket", func() { reg.Untrack("room", bob.pid, "admin") },
				registry.PresenceDiff{Left: metas{"admin": {5}}}, metas{"bob": {3}}},
		}
		for _, s := range steps {
			s.do()
			synctest.Wait()
			got := watcher.take()
			if s.want.Joined == nil && s.want.Left == nil {
				if len(got) != 0 {
					t.Errorf("%s: got %v", s.name, got)
				}
				continue
			}
			s.want.Topic = "room"
			if len(got) == 1 { // the metas of a key are in no order
				sorted(got[0].(registry.PresenceDiff).Joined)
			}
			if fmt.Sprint(got) != fmt.Sprint([]any{s.want}) {
				t.Errorf("%s:\ngot  %+v\nwant %+v", s.name, got, s.want)
			}
			wantPresent(t, reg, "room", s.now)
		}
		reg.Watch("room", late.pid)
		synctest.Wait()
		if got, want := late.take(), []any{registry.PresenceDiff{Topic: "room", Joined: metas{"bob": {3}}}}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("a later watcher got %v, want %v", got, want)
		}
		if reg.Count("room") != 0 || reg.Broadcast("room", "x") != 0 {
			t.Error("Track has joined the group")
		}
	})
}

func TestPresent_sizes(t *testing.T) {
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			reg, sys := newRegistry(t)
			ms := spawnMany(t, sys, n)
			want := metas{}
			for i, m := range ms {
				key := fmt.Sprint(i - i%2) // two sockets a person
				reg.Track("g", m.pid, key, i)
				reg.Track("g", m.pid, fmt.Sprint("own", i), i)
				want[key] = append(want[key], i)
				want[fmt.Sprint("own", i)] = []any{i}
			}
			wantPresent(t, reg, "g", want)
			if n > 0 {
				seen := 0
				for key := range reg.Present("g") { // the body may use the registry
					reg.Track("g", ms[0].pid, key, -1)
					if seen++; seen == n {
						break
					}
				}
				if seen != n {
					t.Errorf("a loop with a break ran %d times, want %d", seen, n)
				}
			}
			for _, m := range ms {
				end(t, m.pid, actor.ErrNormal)
			}
			if p, _, g := reg.Records(); p+g != 0 {
				t.Errorf("records of %d processes and %d groups are left", p, g)
			}
		})
	}
}

// Many sockets under one key cost each of them the same while nobody watches.
func TestTrack_manyOfOneKey(t *testing.T) {
	reg, sys := newRegistry(t)
	ms := spawnMany(t, sys, 1000)
	want := metas{}
	for i, m := range ms {
		reg.Track("g", m.pid, "guest", i)
		want["guest"] = append(want["guest"], i)
	}
	wantPresent(t, reg, "g", want)
	for i, m := range ms {
		if i%2 == 0 {
			reg.Untrack("g", m.pid, "guest")
		} else {
			reg.Track("g", m.pid, "guest", -i)
		}
	}
	want = metas{}
	for i := 999; i > 0; i -= 2 {
		want["guest"] = append(want["guest"], -i)
	}
	wantPresent(t, reg, "g", want)
}

// Of a crowd that was present no memory stays with those who are.
func TestPresent_memory(t *testing.T) {
	reg, sys := newRegistry(t)
	m := spawn(t, sys)
	const crowd, stay = 20_000, 100
	for i := range crowd {
		reg.Track("topic", m.pid, fmt.Sprint(i), i)
	}
	if n := reg.KeptPresent("topic"); n < crowd {
		t.Fatalf("there is memory for %d persons, and %d are present", n, crowd)
	}
	for i := stay; i < crowd; i++ {
		reg.Untrack("topic", m.pid, fmt.Sprint(i))
	}
	if n := reg.KeptPresent("topic"); n > crowd/4 { // 32 parts, each of which may keep a little
		t.Errorf("there is memory for %d persons, and %d are present", n, stay)
	}
	n := 0
	for key, metas := range reg.Present("topic") {
		n++
		if i, err := strconv.Atoi(key); err != nil || i >= stay || !slices.Equal(metas, []any{i}) {
			t.Errorf("%q is present, with %v", key, metas)
		}
	}
	if n != stay {
		t.Errorf("%d persons are present, want %d", n, stay)
	}
}
