package registry_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

// metas is what there is for each key, without the Refs.
type metas = map[string][]any

// bare leaves the Refs out, and puts the metas of each key in order of their text.
func bare(present map[string][]registry.Meta) metas {
	all := metas{}
	for key, ms := range present {
		all[key] = []any{}
		for _, m := range ms {
			all[key] = append(all[key], m.Meta)
		}
		slices.SortFunc(all[key], func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return all
}

// presentNow is Present as a map; a key that is yielded twice fails the test.
func presentNow(t testing.TB, reg *registry.Registry, topic string) map[string][]registry.Meta {
	t.Helper()
	all := map[string][]registry.Meta{}
	for key, ms := range reg.Present(topic) {
		if _, ok := all[key]; ok {
			t.Errorf("Present(%q) yields %q twice", topic, key)
		}
		all[key] = ms
		if one := reg.PresentOf(topic, key); !sameMetas(one, ms) {
			t.Errorf("PresentOf(%q, %q) = %v, Present says %v", topic, key, one, ms)
		}
	}
	return all
}

// sameMetas compares without order.
func sameMetas(a, b []registry.Meta) bool {
	if len(a) != len(b) {
		return false
	}
	of := map[registry.Ref]any{}
	for _, m := range a {
		of[m.Ref] = m.Meta
	}
	for _, m := range b {
		if meta, ok := of[m.Ref]; !ok || meta != m.Meta {
			return false
		}
	}
	return len(of) == len(a)
}

func samePresent(a, b map[string][]registry.Meta) bool { return maps.EqualFunc(a, b, sameMetas) }

func wantPresent(t testing.TB, reg *registry.Registry, topic string, want metas) {
	t.Helper()
	if got := bare(presentNow(t, reg, topic)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("Present(%q):\ngot  %v\nwant %v", topic, got, want)
	}
}

// Each step says what the watcher gets of it.
func TestPresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		phone, laptop, bob, watcher, late := spawn(t, sys), spawn(t, sys), spawn(t, sys), spawn(t, sys), spawn(t, sys)
		if err := reg.Watch("room", watcher.pid); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got, want := fmt.Sprint(watcher.take()), "[{room []} {room true map[] map[] map[]}]"; got != want {
			t.Errorf("the answer to a Watch of nothing: %s, want %s", got, want)
		}
		track := func(m *member, key string, meta any) func() {
			return func() {
				if err := reg.Track("room", m.pid, key, meta); err != nil {
					t.Errorf("Track: %v", err)
				}
			}
		}
		steps := []struct {
			name            string
			do              func()
			came, went, now metas // of a topic; all nil: nothing
			present         metas
		}{
			{"the first socket of a person", track(phone, "alice", 1),
				metas{"alice": {1}}, nil, metas{"alice": {1}}, metas{"alice": {1}}},
			{"the second", track(laptop, "alice", 2),
				metas{"alice": {2}}, nil, metas{"alice": {1, 2}}, metas{"alice": {1, 2}}},
			{"another person", track(bob, "bob", 3),
				metas{"bob": {3}}, nil, metas{"bob": {3}}, metas{"alice": {1, 2}, "bob": {3}}},
			{"new meta", track(laptop, "alice", 4),
				metas{"alice": {4}}, metas{"alice": {2}}, metas{"alice": {1, 4}}, metas{"alice": {1, 4}, "bob": {3}}},
			{"one socket under two keys", track(bob, "admin", 5),
				metas{"admin": {5}}, nil, metas{"admin": {5}}, metas{"alice": {1, 4}, "bob": {3}, "admin": {5}}},
			{"the first of two sockets goes", func() { reg.Untrack("room", phone.pid, "alice") },
				nil, metas{"alice": {1}}, metas{"alice": {4}}, metas{"alice": {4}, "bob": {3}, "admin": {5}}},
			{"Untrack of what is not tracked", func() {
				reg.Untrack("room", phone.pid, "alice")
				reg.Untrack("room", laptop.pid, "bob")
				reg.Untrack("other", laptop.pid, "alice")
			}, nil, nil, nil, metas{"alice": {4}, "bob": {3}, "admin": {5}}},
			{"the last socket ends", func() { end(t, laptop.pid, actor.ErrKilled) },
				nil, metas{"alice": {4}}, metas{"alice": {}}, metas{"bob": {3}, "admin": {5}}},
			{"one of two keys of a socket", func() { reg.Untrack("room", bob.pid, "admin") },
				nil, metas{"admin": {5}}, metas{"admin": {}}, metas{"bob": {3}}},
		}
		for _, s := range steps {
			s.do()
			synctest.Wait()
			got := watcher.take()
			if s.now == nil {
				if len(got) != 0 {
					t.Errorf("%s: got %v", s.name, got)
				}
				continue
			}
			if len(got) != 1 {
				t.Fatalf("%s: got %v, want one diff", s.name, got)
			}
			diff := got[0].(registry.PresenceDiff)
			have := fmt.Sprint(diff.Topic, diff.Whole, bare(diff.Came), bare(diff.Went), bare(diff.Now))
			if want := fmt.Sprint("room", false, s.came, s.went, s.now); have != want {
				t.Errorf("%s:\ngot  %s\nwant %s", s.name, have, want)
			}
			wantPresent(t, reg, "room", s.present)
		}
		reg.Watch("room", late.pid)
		synctest.Wait()
		got := late.take()
		whole, ok := got[len(got)-1].(registry.PresenceDiff)
		if !ok || !whole.Whole || fmt.Sprint(bare(whole.Now)) != "map[bob:[3]]" || !samePresent(whole.Came, whole.Now) || whole.Went != nil {
			t.Errorf("a later watcher got %+v", got)
		}
		if reg.Count("room") != 0 || reg.Broadcast("room", "x") != 0 {
			t.Error("Track has joined the group")
		}
	})
}

// One of two tabs closes: whoever keeps the sockets of a user knows by its Ref which one went.
func TestPresence_whichOfTwoWent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		a, b, watcher := spawn(t, sys), spawn(t, sys), spawn(t, sys)
		reg.Track("room", a.pid, "alice", "tab") // they look alike
		reg.Track("room", b.pid, "alice", "tab")
		reg.Watch("room", watcher.pid)
		synctest.Wait()
		tabs := map[registry.Ref]any{}
		follow := func() {
			for _, msg := range watcher.take() {
				diff, ok := msg.(registry.PresenceDiff)
				if !ok {
					continue
				}
				for _, m := range diff.Went["alice"] {
					if had, ok := tabs[m.Ref]; !ok || had != m.Meta {
						t.Errorf("%v went, where %v was known", m, tabs)
					}
					delete(tabs, m.Ref)
				}
				for _, m := range diff.Came["alice"] {
					if _, ok := tabs[m.Ref]; ok {
						t.Errorf("%v came, which was there", m)
					}
					tabs[m.Ref] = m.Meta
				}
			}
		}
		follow()
		if len(tabs) != 2 {
			t.Fatalf("%v are there, want two", tabs)
		}
		before := maps.Clone(tabs)
		reg.Track("room", b.pid, "alice", "renamed")
		synctest.Wait()
		follow()
		var renamed registry.Ref
		for ref, meta := range tabs {
			if meta == "renamed" {
				renamed = ref
			}
			if _, ok := before[ref]; !ok {
				t.Errorf("new meta has another Ref: %v, then %v", before, tabs)
			}
		}
		reg.Untrack("room", a.pid, "alice")
		synctest.Wait()
		follow()
		if !maps.Equal(tabs, map[registry.Ref]any{renamed: "renamed"}) {
			t.Errorf("%v are there, want the renamed one", tabs)
		}
		reg.Track("room", a.pid, "alice", "tab")
		synctest.Wait()
		follow()
		for ref := range tabs {
			if _, ok := before[ref]; ok && ref != renamed {
				t.Errorf("a new Track has the Ref %v of an old one", ref)
			}
		}
	})
}

// What happens while the watcher is busy is one diff, which says how things are in the end.
func TestPresence_merged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, sys := newRegistry(t)
		a, b, c, watcher := spawn(t, sys), spawn(t, sys), spawn(t, sys), spawn(t, sys)
		reg.Track("g", a.pid, "alice", 1)
		reg.Watch("g", watcher.pid)
		synctest.Wait()
		watcher.take()
		batches := []struct {
			name            string
			do              func()
			came, went, now metas
		}{
			{"comes and goes", func() { reg.Track("g", b.pid, "bob", 1); reg.Untrack("g", b.pid, "bob") }, nil, nil, nil},
			{"comes, changes and goes", func() {
				reg.Track("g", b.pid, "bob", 1)
				reg.Track("g", b.pid, "bob", 2)
				reg.Untrack("g", b.pid, "bob")
			}, nil, nil, nil},
			{"comes and changes", func() { reg.Track("g", b.pid, "bob", 1); reg.Track("g", b.pid, "bob", 2) },
				metas{"bob": {2}}, nil, metas{"bob": {2}}},
			{"changes twice", func() { reg.Track("g", b.pid, "bob", 3); reg.Track("g", b.pid, "bob", 4) },
				metas{"bob": {4}}, metas{"bob": {2}}, metas{"bob": {4}}},
			{"goes and comes back", func() { reg.Untrack("g", b.pid, "bob"); reg.Track("g", b.pid, "bob", 5) },
				metas{"bob": {5}}, metas{"bob": {4}}, metas{"bob": {5}}},
			{"two of one key, one goes", func() {
				reg.Track("g", c.pid, "bob", 6)
				reg.Untrack("g", b.pid, "bob")
			}, metas{"bob": {6}}, metas{"bob": {5}}, metas{"bob": {6}}},
			{"changes and goes", func() { reg.Track("g", c.pid, "bob", 7); reg.Untrack("g", c.pid, "bob") },
				nil, metas{"bob": {6}}, metas{"bob": {}}},
			{"one goes, another comes", func() { reg.Untrack("g", a.pid, "alice"); reg.Track("g", b.pid, "bob", 8) },
				metas{"bob": {8}}, metas{"alice": {1}}, metas{"alice": {}, "bob": {8}}},
		}
		for _, batch := range batches {
			release := block(t, watcher.pid)
			batch.do()
			info, err := actor.Inspect(watcher.pid)
			if err != nil || info.Mailbox != 1 {
				t.Errorf("%s: %d messages wait, %v; want one", batch.name, info.Mailbox, err)
			}
			release()
			synctest.Wait()
			got := watcher.take()
			if batch.now == nil {
				if len(got) > 0 {
					t.Errorf("%s: got %+v, want nothing", batch.name, got)
				}
				continue
			}
			if len(got) != 1 {
				t.Fatalf("%s: got %+v, want one diff", batch.name, got)
			}
			d := got[0].(registry.PresenceDiff)
			if have, want := fmt.Sprint(bare(d.Came), bare(d.Went), bare(d.Now)), fmt.Sprint(batch.came, batch.went, batch.now); have != want {
				t.Errorf("%s:\ngot  %s\nwant %s", batch.name, have, want)
			}
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
				reg.Track("g", m.pid, key, fmt.Sprintf("%05d", i))
				reg.Track("g", m.pid, fmt.Sprint("own", i), i)
				want[key] = append(want[key], fmt.Sprintf("%05d", i))
				want[fmt.Sprint("own", i)] = []any{i}
			}
			wantPresent(t, reg, "g", want)
			if got := reg.PresentOf("g", "nobody"); got != nil {
				t.Errorf("PresentOf somebody who is not there: %v", got)
			}
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

// While nobody watches, a Track costs the same however many sockets have the key.
func TestTrack_manyOfOneKey(t *testing.T) {
	reg, sys := newRegistry(t)
	ms := spawnMany(t, sys, 1000)
	want := metas{}
	for i, m := range ms {
		reg.Track("g", m.pid, "guest", fmt.Sprintf("%05d", i))
		want["guest"] = append(want["guest"], fmt.Sprintf("%05d", i))
	}
	wantPresent(t, reg, "g", want)
	want = metas{}
	for i, m := range ms {
		if i%2 == 0 {
			reg.Untrack("g", m.pid, "guest")
		} else {
			reg.Track("g", m.pid, "guest", fmt.Sprintf("new%05d", i))
			want["guest"] = append(want["guest"], fmt.Sprintf("new%05d", i))
		}
	}
	wantPresent(t, reg, "g", want)
}

// When a crowd has left a topic, its memory is given back.
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
		if i, err := strconv.Atoi(key); err != nil || i >= stay || len(metas) != 1 || metas[0].Meta != i {
			t.Errorf("%q is present, with %v", key, metas)
		}
	}
	if n != stay {
		t.Errorf("%d persons are present, want %d", n, stay)
	}
}

func TestRef_text(t *testing.T) {
	reg, sys := newRegistry(t)
	seen := map[registry.Ref]bool{}
	for _, m := range spawnMany(t, sys, 50) {
		for range 2 {
			reg.Track("g", m.pid, "k", nil)
			reg.Track("g", m.pid, "other", nil)
		}
	}
	for _, ms := range reg.Present("g") {
		for _, m := range ms {
			if seen[m.Ref] || m.Ref == (registry.Ref{}) {
				t.Errorf("the Ref %v is zero or of two Tracks", m.Ref)
			}
			seen[m.Ref] = true
			text, err := json.Marshal(m)
			if want := fmt.Sprintf(`{"ref":"%s","meta":null}`, m.Ref); err != nil || string(text) != want || len(m.Ref.String()) > 13 {
				t.Errorf("in JSON: %s, %v; want %s", text, err, want)
			}
			var back registry.Meta
			if err := json.Unmarshal(text, &back); err != nil || back.Ref != m.Ref {
				t.Errorf("read again: %v, %v; want %v", back.Ref, err, m.Ref)
			}
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d Refs of 100 Tracks", len(seen))
	}
	var ref registry.Ref
	for _, text := range []string{"", "-1", "zzzzzzzzzzzzzzz", "a b"} {
		if err := ref.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("UnmarshalText(%q): no error", text)
		}
	}
}
