package actor

import (
	"context"
	"testing"
)

// What a crowd needs while it is there is given back when it has gone, also when a few stay. The maps of Go would keep it.

const crowd, stay = 20_000, 100

// room is for how many processes the table has memory.
func (t *table) room() (n int) {
	for i := range t.shards {
		t.shards[i].mu.RLock()
		n += t.shards[i].m.Room()
		t.shards[i].mu.RUnlock()
	}
	return n
}

func TestTable_givesMemoryBackAfterACrowd(t *testing.T) {
	s := quietSystem(t, Config{})
	ps := make([]*process, crowd)
	for i := range ps {
		ps[i] = &process{sys: s, num: s.numbers.Add(1)}
		s.table.put(ps[i])
	}
	if n := s.table.room(); n < crowd {
		t.Fatalf("room for %d processes, and there are %d", n, crowd)
	}
	for _, p := range ps[stay:] {
		s.table.remove(p.num)
	}
	if n := s.table.room(); n > crowd/4 { // 64 parts, each of which may keep a little
		t.Errorf("%d of %d processes are there: room for %d", stay, crowd, n)
	}
	for i, p := range ps {
		want := p
		if i >= stay {
			want = nil
		}
		if got := s.table.get(p.num); got != want {
			t.Fatalf("get of process %d of %d, of which the first %d are there: %p, want %p", i, crowd, stay, got, want)
		}
	}
	for _, p := range ps[:stay] {
		s.table.remove(p.num)
	}
}

// TestRelations_giveMemoryBackAfterACrowd: a room that has watched many, and has been watched by them.
func TestRelations_giveMemoryBackAfterACrowd(t *testing.T) {
	s := quietSystem(t, Config{CallTimeout: -1})
	var ctx context.Context
	pid, err := s.Spawn(context.Background(), &hook1{init: func(c context.Context) { ctx = c }}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	room := pid.find()
	other, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	calls := make([]*call, crowd)
	for i := range calls {
		calls[i] = &call{callee: room, waiter: s.waiter()}
		calls[i].take()
	}
	for _, tt := range []struct {
		name string
		add  func(i int) (remove func())
		room func(r *relations) int
	}{
		{"monitors of others", func(int) func() { return Monitor(ctx, other).Stop },
			func(r *relations) int { return r.watching.Room() }},
		{"monitors by others", func(int) func() {
			m := &monitor{target: room, told: func(error) {}}
			room.addWatcher(m)
			return func() { room.forget(m) }
		}, func(r *relations) int { return r.watchers.Room() }},
		{"timers", func(int) func() {
			timer := SendAfter(ctx, 1<<40, nil)
			return func() { timer.Stop() }
		}, func(r *relations) int { return r.timers.Room() }},
		{"Calls", func(i int) func() { return func() { From{calls[i]}.Reply(nil) } },
			func(r *relations) int { return r.calls.Room() }},
		{"children", func(int) func() {
			child := &process{sys: s, own: &own{parent: room}}
			room.addChild(child)
			return func() { room.childEnded(child, ErrNormal) }
		}, func(r *relations) int { return r.children.Room() }},
	} {
		var removes []func()
		for i := range crowd {
			removes = append(removes, tt.add(i))
		}
		if n := tt.room(room.relation); n < crowd {
			t.Errorf("%s: room for %d, and there are %d", tt.name, n, crowd)
		}
		for _, remove := range removes[stay:] {
			remove()
		}
		if n := tt.room(room.relation); n > 10*stay {
			t.Errorf("%s: %d of %d are there: room for %d", tt.name, stay, crowd, n)
		}
		for _, remove := range removes[:stay] {
			remove()
		}
	}
}

// TestTable_spread: each process once, and neighbours are of different parts while there are others.
func TestTable_spread(t *testing.T) {
	s := quietSystem(t, Config{})
	for _, n := range []int{0, 1, tableShards, 10*tableShards + 7} {
		var all []*process
		for range n {
			p := &process{sys: s, num: s.numbers.Add(1)}
			s.table.put(p)
			all = append(all, p)
		}
		for name, walk := range map[string]func(func(*process) bool){"spread": s.table.spread(), "all": s.table.all()} {
			seen := make(map[*process]bool)
			last := uint64(0)
			for p := range walk {
				if seen[p] {
					t.Fatalf("%s of %d: process %d comes twice", name, n, p.num)
				}
				if seen[p] = true; name == "spread" && n > 1 && p.num%tableShards == last%tableShards && len(seen) > 1 && len(seen) <= n-n%tableShards {
					t.Fatalf("spread of %d: processes %d and %d, of one part, are neighbours", n, last, p.num)
				}
				last = p.num
			}
			if len(seen) != n {
				t.Errorf("%s of %d: %d processes come", name, n, len(seen))
			}
		}
		for _, p := range all {
			s.table.remove(p.num)
		}
	}
}

// TestInspect_foundBeforeItsEnd: whoever has found a process before its end gets no description of a dead one.
func TestInspect_foundBeforeItsEnd(t *testing.T) {
	s := quietSystem(t, Config{})
	pid, err := s.Spawn(context.Background(), nop{}, SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := pid.find()
	if info, ok := p.info(); !ok || info.PID != pid {
		t.Errorf("alive: %+v, %t; want a description", info, ok)
	}
	pid.Exit(ErrKilled)
	if info, ok := p.info(); ok {
		t.Errorf("dead: %+v, want none", info)
	}
}
