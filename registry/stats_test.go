package registry_test

import (
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
)

func TestRegistry_Stats(t *testing.T) {
	reg, sys := newRegistry(t)
	check := func(when string, want registry.Stats) {
		t.Helper()
		if got := reg.Stats(); got != want {
			t.Errorf("%s: got %+v, want %+v", when, got, want)
		}
	}
	check("empty", registry.Stats{})
	ms := spawnMany(t, sys, 200)
	for i, m := range ms {
		if err := reg.Register(fmt.Sprint("name", i), m.pid, nil); err != nil {
			t.Fatal(err)
		}
		reg.Join("all", m.pid, nil) // large: kept in parts
		reg.Join(fmt.Sprint("few", i%10), m.pid, nil)
		reg.Track("lobby", m.pid, fmt.Sprint("user", i/2), nil)
	}
	reg.Watch("watched only", ms[0].pid)
	check("all are in", registry.Stats{Names: 200, Groups: 11, Members: 400, Topics: 1, Present: 100})
	for i, m := range ms[:100] {
		reg.Leave("all", m.pid)
		reg.Untrack("lobby", m.pid, fmt.Sprint("user", i/2))
	}
	reg.Leave("few3", ms[3].pid)
	reg.Unregister("name7", ms[7].pid)
	check("some have left", registry.Stats{Names: 199, Groups: 11, Members: 299, Topics: 1, Present: 50})
	for _, m := range ms {
		end(t, m.pid, actor.ErrNormal)
	}
	check("all have ended", registry.Stats{})
}
