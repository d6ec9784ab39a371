package shrink_test

import (
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/troupe-dev/troupe/actor/internal/shrink"
)

// TestMap_isAMap compares it with a map of Go's, through times in which it grows and times in which it shrinks.
func TestMap_isAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var m shrink.Map[int, int]
	want := make(map[int]int)
	for step := range 100_000 {
		k := rnd.IntN(5000)
		if growing := step/20_000%2 == 0; growing == (rnd.IntN(10) > 0) {
			m.Put(k, step)
			want[k] = step
		} else {
			m.Delete(k)
			delete(want, k)
		}
		v, has := want[k]
		if m.Get(k) != v || m.Has(k) != has || m.Len() != len(want) || m.Room() < len(want) {
			t.Fatalf("step %d: Get(%d) = %d, Has = %t, Len = %d, Room = %d; want %d, %t, %d and at least as much",
				step, k, m.Get(k), m.Has(k), m.Len(), m.Room(), v, has, len(want))
		}
		if step%10_000 == 0 && !maps.Equal(maps.Collect(m.All()), want) {
			t.Fatalf("step %d: All yields %v, want %v", step, maps.Collect(m.All()), want)
		}
	}
}

func TestMap_Delete_roomFor(t *testing.T) {
	for _, tt := range []struct {
		peak, left int
		room       int // at most
	}{
		{8, 0, 8}, // kept: one entry that comes and goes makes no new map each time
		{9, 0, 0},
		{64, 1, 64},
		{65, 1, 64},
		{65, 0, 8},
		{1000, 124, 124},
		{1000, 125, 1000},
		{100_000, 50, 400},
		{100_000, 0, 8},
	} {
		var m shrink.Map[int, int]
		for i := range tt.peak {
			m.Put(i, i)
		}
		for i := range tt.peak - tt.left {
			m.Delete(i)
		}
		if m.Len() != tt.left || m.Room() > tt.room {
			t.Errorf("of %d entries %d are left: Len %d, and room for %d; want room for %d at most",
				tt.peak, tt.left, m.Len(), m.Room(), tt.room)
		}
		for i := tt.peak - tt.left; i < tt.peak; i++ {
			if m.Get(i) != i {
				t.Errorf("of %d entries %d are left: Get(%d) = %d", tt.peak, tt.left, i, m.Get(i))
			}
		}
	}
}

// TestMap_keepsASmallOne: no allocation for one entry that comes and goes.
func TestMap_keepsASmallOne(t *testing.T) {
	var m shrink.Map[int, int]
	if n := testing.AllocsPerRun(100, func() { m.Put(1, 1); m.Delete(1) }); n != 0 {
		t.Errorf("Put and Delete of the only entry: %v allocations, want 0", n)
	}
}

// TestMap_memory: Room tells the truth.
func TestMap_memory(t *testing.T) {
	const peak, left = 200_000, 100
	var m shrink.Map[int, [4]int]
	before := heap()
	for i := range peak {
		m.Put(i, [4]int{i})
	}
	during := heap() - before
	if during < peak*40 {
		t.Fatalf("%d entries took %d bytes, which shows that they were not measured", peak, during)
	}
	for i := range peak - left {
		m.Delete(i)
	}
	if after := heap() - before; after > during/50 {
		t.Errorf("%d of %d entries are left: %d bytes, with all of them %d", left, peak, after, during)
	}
	runtime.KeepAlive(&m)
}

// heap is what lives.
func heap() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSlice(t *testing.T) {
	for _, tt := range []struct{ room, n, want int }{
		{0, 0, 0}, {100, 0, 0}, {64, 1, 64}, {65, 8, 65}, {72, 8, 16}, {1000, 125, 1000}, {1000, 124, 248},
	} {
		list := make([]int, tt.n, tt.room)
		for i := range list {
			list[i] = i
		}
		got := shrink.Slice(list)
		if cap(got) != tt.want || !slices.Equal(got, list) {
			t.Errorf("Slice of %d, with room for %d: %v with room for %d, want room for %d", tt.n, tt.room, got, cap(got), tt.want)
		}
	}
}
