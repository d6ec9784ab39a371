package registry_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-dev/troupe/actor"
)

// stamped is a broadcast, with the time by the test's own clock before it began.
type stamped struct {
	group     int
	publisher int
	began     int64
}

// soldier is a process under stress. left is, for each group, the time when its last Leave had returned; in says that it
// has joined again.
type soldier struct {
	t    *testing.T
	pid  actor.PID
	left []atomic.Int64 // 0: it is a member, or may be

	last map[[2]int]int64 // of each publisher and group; belongs to the process
}

func (s *soldier) Receive(_ context.Context, msg any) error {
	b, ok := msg.(stamped)
	if !ok {
		return nil
	}
	if left := s.left[b.group].Load(); left > 0 && b.began > left {
		s.t.Errorf("a broadcast that began at %d reached a process that had left at %d", b.began, left)
	}
	if k := [2]int{b.publisher, b.group}; s.last[k] >= b.began {
		s.t.Errorf("a broadcast of %d came after or beside one of %d", b.began, s.last[k])
	} else {
		s.last[k] = b.began
	}
	return nil
}

// TestStress: many goroutines join, leave, end, kill and broadcast. At the end membership equals the living, no broadcast
// that began after a process's Leave had returned has reached it, and each publisher's messages came in order, once.
func TestStress(t *testing.T) { synctest.Test(t, stress) }

func stress(t *testing.T) {
	rounds := 2_000
	if os.Getenv("TROUPE_STRESS") != "" {
		rounds = 40_000
	}
	reg, sys := newRegistry(t)
	const workers, groups, perWorker = 6, 3, 60 // the groups become large and small again
	names := make([]string, groups)
	for i := range names {
		names[i] = fmt.Sprint("group", i)
	}
	var clock atomic.Int64
	opens := map[string]bool{}
	var mu sync.Mutex
	defer reg.OnGroup(func(group string, open bool) {
		mu.Lock()
		defer mu.Unlock()
		if opens[group] == open {
			t.Errorf("OnGroup(%q, %t) twice", group, open)
		}
		opens[group] = open
	})()
	watcher := spawn(t, sys)
	reg.Watch(names[0], watcher.pid)

	recruit := func() *soldier {
		s := &soldier{t: t, left: make([]atomic.Int64, groups), last: map[[2]int]int64{}}
		for i := range s.left {
			s.left[i].Store(clock.Add(1))
		}
		pid, err := sys.Spawn(context.Background(), s, actor.SpawnOptions{MailboxLimit: -1})
		if err != nil {
			t.Fatal(err)
		}
		s.pid = pid
		return s
	}
	var want sync.Map // of a group and a PID: the meta
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(worker), 1))
			soldiers := make([]*soldier, perWorker)
			for i := range soldiers {
				soldiers[i] = recruit()
			}
			member := make([]map[int]int, perWorker)
			for i := range member {
				member[i] = map[int]int{}
			}
			for round := range rounds {
				i, g := rnd.IntN(perWorker), rnd.IntN(groups)
				s := soldiers[i]
				switch rnd.IntN(20) {
				case 0, 1, 2, 3, 4, 5:
					s.left[g].Store(0)
					if err := reg.Join(names[g], s.pid, round); err != nil {
						t.Errorf("Join of the living %v: %v", s.pid, err)
					}
					member[i][g] = round
				case 6, 7, 8, 9, 10:
					reg.Leave(names[g], s.pid)
					if _, ok := member[i][g]; ok {
						s.left[g].Store(clock.Add(1))
						delete(member[i], g)
					}
				case 11:
					s.pid.Exit([]error{actor.ErrKilled, actor.ErrNormal, errBoom}[rnd.IntN(3)])
					if rnd.IntN(2) == 0 { // while it ends
						reg.Join(names[g], s.pid, round)
						reg.Track(names[g], s.pid, "k", round)
						reg.Watch(names[g], s.pid)
					}
					soldiers[i], member[i] = recruit(), map[int]int{}
				case 12:
					reg.Track(names[g], s.pid, fmt.Sprint(rnd.IntN(100)), round)
				case 13:
					for range reg.Members(names[g]) {
						if rnd.IntN(10) == 0 {
							break
						}
					}
				default:
					// No two broadcasts of one publisher have the same time.
					reg.Broadcast(names[g], stamped{group: g, publisher: worker, began: clock.Add(1)})
				}
			}
			for i, s := range soldiers {
				if i%3 == 0 {
					end(t, s.pid, actor.ErrKilled)
					continue
				}
				for g, meta := range member[i] {
					want.Store([2]any{names[g], s.pid}, meta)
				}
			}
		})
	}
	wg.Wait()
	synctest.Wait() // all messages are handled, and what was told to end has ended
	expected := map[string]map[actor.PID]any{}
	for _, name := range names {
		expected[name] = map[actor.PID]any{}
	}
	want.Range(func(k, meta any) bool {
		key := k.([2]any)
		expected[key[0].(string)][key[1].(actor.PID)] = meta
		return true
	})
	for _, name := range names {
		wantMembers(t, reg, name, expected[name])
		if opens[name] != (len(expected[name]) > 0) {
			t.Errorf("OnGroup says that %q is open: %t; it has %d members", name, opens[name], len(expected[name]))
		}
	}
	v := newView(t, names[0])
	v.add(watcher.take()...)
	if !maps.Equal(v.members, expected[names[0]]) {
		t.Errorf("the watcher knows %d members, there are %d", len(v.members), len(expected[names[0]]))
	}
	for info := range sys.Processes() {
		end(t, info.PID, actor.ErrKilled)
	}
	if p, n, g := reg.Records(); p+n+g != 0 {
		t.Errorf("records of %d processes, %d names and %d groups are left", p, n, g)
	}
}
