package registry

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"unsafe"
)

// A million sockets may each have a name and be in a group.
func TestEntries_size(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("the sizes are those of 64 bit")
	}
	for _, tt := range []struct {
		name      string
		got, want uintptr
	}{
		{"entries", unsafe.Sizeof(entries{}), 64},
		{"member", unsafe.Sizeof(member{}), 48},
		{"holding", unsafe.Sizeof(holding{}), 48},
	} {
		if tt.got > tt.want {
			t.Errorf("%s has %d bytes; %d are a size class", tt.name, tt.got, tt.want)
		}
	}
}

// TestEntries_isAMap compares it with a map of Go's, through times in which it grows, beyond what is searched one by one, and times
// in which it shrinks.
func TestEntries_isAMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var e entries
	want := map[registrationKey]registration{}
	newOf := func(kind RegistrationKind, name string) registration {
		switch kind {
		case RegisteredName:
			return &holding{name: name}
		case RegisteredMember:
			return &member{group: &group{name: name}}
		default:
			return &nameWatcher{name: name}
		}
	}
	kinds := []RegistrationKind{RegisteredName, RegisteredMember, RegisteredNameWatch}
	most := 0
	for step := range 20_000 {
		kind, name := kinds[rnd.IntN(len(kinds))], strconv.Itoa(rnd.IntN(10))
		reg := newOf(kind, name)
		k := reg.key()
		old := e.find(k)
		if old != want[k] {
			t.Fatalf("step %d: find(%v) = %v, want %v", step, k, old, want[k])
		}
		switch grows := step/1000%2 == 0; {
		case old == nil && (grows || rnd.IntN(8) == 0):
			e.add(reg)
			want[k] = reg
		case old != nil && rnd.IntN(4) == 0:
			e.replace(old, reg)
			want[k] = reg
			e.remove(old) // does nothing
		case old != nil && (!grows || rnd.IntN(8) == 0):
			e.remove(old)
			delete(want, k)
		}
		all := e.all()
		for _, reg := range all {
			if want[reg.key()] != reg {
				t.Fatalf("step %d: all has %v, want %v", step, reg, want[reg.key()])
			}
		}
		if len(all) != len(want) {
			t.Fatalf("step %d: all has %d, want %d", step, len(all), len(want))
		}
		if e.more != nil && len(e.more.list) == 0 {
			t.Fatalf("step %d: there is memory for more, which is empty", step)
		}
		most = max(most, len(all))
	}
	if most <= unindexed+2 {
		t.Errorf("there were %d at most, which needs no index", most)
	}
}
