package registry_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

// TestRegistry_memory holds what a registry keeps of each process that has one name and is in one large group, the tables included.
// How full a map is depends on how many there are, so two numbers of them are tried.
func TestRegistry_memory(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64 bit")
	}
	for _, n := range []int{10_000, 19_000} {
		reg, sys := newRegistry(t)
		pids, names := make([]actor.PID, n), make([]string, n)
		for i, m := range spawnMany(t, sys, n) {
			pids[i], names[i] = m.pid, strconv.Itoa(i)
		}
		before := heap()
		for _, pid := range pids {
			reg.Join("room", pid, nil)
		}
		joined := heap()
		for i, pid := range pids {
			reg.Register(names[i], pid, nil)
		}
		registered := heap()
		runtime.KeepAlive(reg)
		if got, want := float64(joined-before)/float64(n), 165.0; got > want {
			t.Errorf("%d processes in a group: %.1f bytes for each, want %.0f at most", n, got, want)
		}
		if got, want := float64(registered-joined)/float64(n), 75.0; got > want {
			t.Errorf("%d names: %.1f bytes for each, want %.0f at most", n, got, want)
		}
	}
}
