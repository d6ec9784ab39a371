package registry_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

// What is listed is what there is, and the loop body may use the registry, since no lock is held.
func TestLists(t *testing.T) {
	reg, sys := newRegistry(t)
	ms := spawnMany(t, sys, 300)
	names, groups, topics := map[string]actor.PID{}, map[string]int{}, map[string]int{}
	for i, m := range ms {
		name, few := fmt.Sprint("name", i), fmt.Sprint(i%7)
		if err := reg.Register(name, m.pid, i); err != nil {
			t.Fatal(err)
		}
		reg.Join("few"+few, m.pid, nil)
		reg.Join("all", m.pid, nil)
		reg.Track("topic"+few, m.pid, fmt.Sprint(i/2), nil)
		names[name] = m.pid
		groups["few"+few]++
		groups["all"]++
	}
	for i := range 7 {
		for range reg.Present(fmt.Sprint("topic", i)) {
			topics[fmt.Sprint("topic", i)]++
		}
	}
	reg.Watch("watched only", ms[0].pid)
	use := func() { reg.Join("used", ms[1].pid, nil); reg.Leave("used", ms[1].pid) }
	gotNames := map[string]actor.PID{}
	for name, pid := range reg.Names() {
		gotNames[name] = pid
		reg.Unregister(name, pid)
	}
	if !maps.Equal(gotNames, names) {
		t.Errorf("Names: %v, want %v", gotNames, names)
	}
	for range reg.Names() {
		t.Error("Names yields what is not held any more")
	}
	gotGroups, gotTopics := map[string]int{}, map[string]int{}
	for group, n := range reg.Groups() {
		if group != "used" {
			gotGroups[group] = n
		}
		use()
	}
	if !maps.Equal(gotGroups, groups) {
		t.Errorf("Groups: %v, want %v", gotGroups, groups)
	}
	for topic, n := range reg.Topics() {
		gotTopics[topic] = n
		use()
	}
	if !maps.Equal(gotTopics, topics) {
		t.Errorf("Topics: %v, want %v", gotTopics, topics)
	}
	for range reg.Groups() {
		break
	}
	for range reg.Topics() {
		break
	}
}

func TestOf(t *testing.T) {
	reg, sys := newRegistry(t)
	m, other := spawn(t, sys), spawn(t, sys)
	reg.Register("n", m.pid, 1)
	reg.Join("g", m.pid, 2)
	reg.Join("g", m.pid, 3)
	reg.Track("t", m.pid, "k", 4)
	reg.Track("t", m.pid, "k2", 5)
	reg.Watch("w", m.pid)
	reg.Join("g", other.pid, 6)
	reg.Join("left", m.pid, nil)
	reg.Leave("left", m.pid)
	var got []string
	for e := range reg.Of(m.pid) {
		got = append(got, fmt.Sprintf("%v %s %s %v", e.Kind, e.Name, e.Key, e.Meta))
		reg.Join("while it is listed", m.pid, nil)
	}
	slices.Sort(got)
	want := []string{"member g  3", "name n  1", "presence t k 4", "presence t k2 5", "watch w  <nil>"}
	if !slices.Equal(got, want) {
		t.Errorf("Of:\ngot  %q\nwant %q", got, want)
	}
	for range reg.Of(m.pid) {
		break
	}
	end(t, m.pid, actor.ErrNormal)
	for _, nobody := range []actor.PID{m.pid, {}} {
		for e := range reg.Of(nobody) {
			t.Errorf("Of(%v) yields %v", nobody, e)
		}
	}
}
