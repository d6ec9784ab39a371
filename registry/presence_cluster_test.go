package registry_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/registry"
)

// picture is who is present, each with the metas as sorted text, without Refs.
func picture(present map[string][]registry.Meta) map[string]string {
	p := make(map[string]string)
	for key, metas := range present {
		var all []string
		for _, m := range metas {
			all = append(all, fmt.Sprint(m.Meta))
		}
		slices.Sort(all)
		p[key] = strings.Join(all, " ")
	}
	return p
}

func (c *registries) wantPresent(t testing.TB, i int, topic string, want map[string]string) {
	t.Helper()
	if got := picture(maps.Collect(c.regs[i].Present(topic))); !maps.Equal(got, want) {
		t.Errorf("on node %d Present(%q) is %v, want %v", i, topic, got, want)
	}
}

// onlooker watches a topic and knows who is present by the diffs alone.
type onlooker struct {
	t  testing.TB
	mu sync.Mutex

	topic   string
	present map[string][]registry.Meta
	diffs   []registry.PresenceDiff
}

func newOnlooker(t testing.TB, reg *registry.Registry, sys *actor.System, topic string) *onlooker {
	t.Helper()
	o := &onlooker{t: t, topic: topic, present: make(map[string][]registry.Meta)}
	pid, err := sys.Spawn(context.Background(), o, actor.SpawnOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Watch(topic, pid); err != nil {
		t.Fatal(err)
	}
	return o
}

// Receive checks that a diff fits what is known: what comes was not there, what goes was.
func (o *onlooker) Receive(_ context.Context, msg any) error {
	diff, ok := msg.(registry.PresenceDiff)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	refs := make(map[registry.Ref]bool)
	for _, metas := range o.present {
		for _, m := range metas {
			refs[m.Ref] = true
		}
	}
	if diff.Whole {
		clear(refs)
	}
	for key, metas := range diff.Went {
		for _, m := range metas {
			if !refs[m.Ref] {
				o.t.Errorf("%q: %v of %q goes, and was not there", o.topic, m, key)
			}
			delete(refs, m.Ref)
		}
	}
	for key, metas := range diff.Came {
		for _, m := range metas {
			if refs[m.Ref] {
				o.t.Errorf("%q: %v of %q comes, and was there", o.topic, m, key)
			}
			refs[m.Ref] = true
		}
	}
	diff.Apply(o.present)
	o.diffs = append(o.diffs, diff)
	return nil
}

// take returns how many diffs have come since the last take.
func (o *onlooker) take() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.diffs)
	o.diffs = nil
	return n
}

func (o *onlooker) picture() map[string]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return picture(o.present)
}

func TestPresence_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.05, Dup: 0.1, Delay: 5 * time.Millisecond}, nil)
		track := func(i int, m *member, key string, meta any) {
			t.Helper()
			if err := c.regs[i].Track("lobby", m.pid, key, meta); err != nil {
				t.Fatal(err)
			}
		}
		want := func(what string, want map[string]string) {
			t.Helper()
			c.arrived()
			for i := range 3 {
				c.wantPresent(t, i, "lobby", want)
			}
			if t.Failed() {
				t.Fatal("after: " + what)
			}
		}
		phone, laptop, bob := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 2)
		track(0, phone, "ann", "phone")
		track(1, laptop, "ann", "laptop")
		track(2, bob, "bob", nil)
		want("Track on each node", map[string]string{"ann": "laptop phone", "bob": "<nil>"})
		if n := maps.Collect(c.regs[0].Topics())["lobby"]; n != 2 {
			t.Errorf("Topics: %d keys in lobby, want 2", n)
		}
		if got := picture(map[string][]registry.Meta{"ann": c.regs[2].PresentOf("lobby", "ann")}); got["ann"] != "laptop phone" {
			t.Errorf("PresentOf on another node = %v", got)
		}
		track(1, laptop, "ann", "away")
		want("new meta", map[string]string{"ann": "away phone", "bob": "<nil>"})
		c.regs[0].Untrack("lobby", c.At(0, laptop.pid), "ann")
		want("Untrack of a process of another node, which does nothing", map[string]string{"ann": "away phone", "bob": "<nil>"})
		c.regs[0].Untrack("lobby", phone.pid, "ann")
		want("Untrack", map[string]string{"ann": "away", "bob": "<nil>"})
		end(t, bob.pid, actor.ErrNormal)
		want("an end", map[string]string{"ann": "away"})
		if err := c.regs[0].Track("lobby", c.At(0, laptop.pid), "ann", nil); err == nil {
			t.Error("Track of a process of another node: no error")
		}
		end(t, laptop.pid, actor.ErrKilled)
		want("a kill", map[string]string{})
		for i := range 3 {
			if p, n, g := c.regs[i].Records(); p+n+g != 1 { // phone is known
				t.Logf("node %d keeps %d processes, %d names, %d groups", i, p, n, g)
				if g > 0 {
					t.Errorf("node %d keeps a topic in which nobody is present", i)
				}
			}
		}
	})
}

// A node that is lost takes its persons along, in one diff for each topic; whoever has a socket on another node stays.
func TestPresence_cluster_nodeIsLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(c *registries)
	}{
		{"killed", func(c *registries) { c.Kill(1); time.Sleep(10 * time.Second) }},
		{"cut off", func(c *registries) { c.Cut(0, 1); time.Sleep(10 * time.Second) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, nil)
				const n = 500 // a large group
				all, here := make(map[string]string), make(map[string]string)
				for k := range n {
					for i := range 2 {
						if key := fmt.Sprint("user ", k); i == 1 || k%10 == 0 {
							m := c.spawn(t, i)
							if err := c.regs[i].Track("lobby", m.pid, key, i); err != nil {
								t.Fatal(err)
							}
							all[key] = strings.TrimSpace(all[key] + fmt.Sprint(" ", i))
							if i == 0 {
								here[key] = "0"
							}
						}
					}
				}
				one := c.spawn(t, 1)
				c.regs[1].Track("other", one.pid, "ann", nil)
				settle()
				lobby, other := newOnlooker(t, c.regs[0], c.System(0), "lobby"), newOnlooker(t, c.regs[0], c.System(0), "other")
				settle()
				if got := lobby.picture(); !maps.Equal(got, all) {
					t.Fatalf("before: %v, want %v", got, all)
				}
				lobby.take()
				other.take()
				tt.lose(c)
				synctest.Wait()
				if got := lobby.picture(); !maps.Equal(got, here) {
					t.Errorf("after: %v, want %v", got, here)
				}
				c.wantPresent(t, 0, "lobby", here)
				c.wantPresent(t, 0, "other", nil)
				if a, b := lobby.take(), other.take(); a != 1 || b != 1 {
					t.Errorf("the loss took %d and %d diffs, want one for each topic", a, b)
				}
				if tt.name == "cut off" {
					c.Heal(0, 1)
					c.Connect()
					settle()
					if got := lobby.picture(); !maps.Equal(got, all) {
						t.Errorf("after the heal: %v, want %v", got, all)
					}
				}
			})
		})
	}
}

// What a meta must be to cross.
func TestTrack_cluster_meta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type device struct{ Name string }
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Node: func(i int, _ *actor.System) cluster.Config {
			types := newTypes()
			if i == 0 { // node 1 does not know it
				cluster.Register[device](types, "device")
			}
			return cluster.Config{Types: types}
		}}, nil)
		m := c.spawn(t, 0)
		long := strings.Repeat("x", 4097)
		for _, tt := range []struct {
			name, topic, key string
			meta             any
			want             string
		}{
			{"a channel", "lobby", "ann", make(chan int), "chan int"},
			{"long", "lobby", "ann", strings.Repeat("x", 33<<10), "33793 bytes"},
			{"a long topic", long, "ann", nil, "4097 bytes"},
			{"a long key", "lobby", long, nil, "4097 bytes"},
		} {
			if err := c.regs[0].Track(tt.topic, m.pid, tt.key, tt.meta); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want an error that says %q", tt.name, err, tt.want)
			}
		}
		settle()
		c.wantPresent(t, 0, "lobby", nil)
		if err := c.regs[0].Track("lobby", m.pid, "ann", device{"phone"}); err != nil {
			t.Error(err)
		}
		settle()
		c.wantPresent(t, 0, "lobby", map[string]string{"ann": "{phone}"})
		c.wantPresent(t, 1, "lobby", map[string]string{"ann": "<nil>"})
	})
}

// At rest each node shows the union of what is present on all, and whoever has watched all the time knows the same by the diffs
// alone: nobody twice, nobody for ever.
func TestPresence_simulation(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulatePresence(t, seed) })
		})
	}
}

// shown is a process that is present under some keys.
type shown struct {
	pid  actor.PID
	node int
	at   map[[2]string]int // topic and key: meta
}

func simulatePresence(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 17))
	c := newCluster(t, faults(seed, rnd), nil)
	topics, keys := []string{"lobby", "hall", "cellar"}, []string{"ann", "bob", "cid", "dora"}
	looking := make(map[int][]*onlooker)
	look := func(i int) {
		looking[i] = nil
		for _, topic := range topics {
			looking[i] = append(looking[i], newOnlooker(t, c.regs[i], c.System(i), topic))
		}
	}
	var live []*shown
	lose := func(i int) { live = slices.DeleteFunc(live, func(s *shown) bool { return s.node == i }) }
	for i := range 3 {
		look(i)
	}
	for n := range 100 {
		if rnd.IntN(3) == 0 {
			time.Sleep(time.Duration(rnd.IntN(60)) * time.Millisecond)
		}
		i := rnd.IntN(3)
		switch rnd.IntN(75) {
		case 0:
			c.Cut(i, (i+1)%3)
		case 1, 2:
			c.Heal(i, (i+1)%3)
		case 3:
			synctest.Wait() // it may have been started a moment ago
			c.Kill(i)
			c.Restart(i)
			lose(i)
			look(i)
		case 4:
			c.Restart(i)
			lose(i)
			look(i)
		case 5:
			time.Sleep(7 * time.Second)
		}
		at := [2]string{topics[rnd.IntN(3)], keys[rnd.IntN(4)]}
		if len(live) < 3 || rnd.IntN(3) == 0 {
			live = append(live, &shown{pid: c.spawn(t, i).pid, node: i, at: make(map[[2]string]int)})
		}
		k := rnd.IntN(len(live))
		switch s := live[k]; rnd.IntN(8) {
		case 0:
			end(t, s.pid, actor.ErrNormal)
			live = slices.Delete(live, k, k+1)
		case 1, 2:
			c.regs[s.node].Untrack(at[0], s.pid, at[1])
			delete(s.at, at)
		default:
			if err := c.regs[s.node].Track(at[0], s.pid, at[1], n); err != nil {
				t.Fatalf("seed %d: Track: %v", seed, err)
			}
			s.at[at] = n
		}
	}
	for i := range 3 {
		c.Heal(i, (i+1)%3)
	}
	c.Quiet(true)
	c.Connect()
	time.Sleep(15 * time.Second) // nodes that were killed are noticed
	synctest.Wait()
	want := make(map[string]map[string][]registry.Meta)
	for _, topic := range topics {
		want[topic] = make(map[string][]registry.Meta)
	}
	for _, s := range live {
		for at, meta := range s.at {
			want[at[0]][at[1]] = append(want[at[0]][at[1]], registry.Meta{Meta: meta})
		}
	}
	for i := range 3 {
		for k, topic := range topics {
			c.wantPresent(t, i, topic, picture(want[topic]))
			if got, present := looking[i][k].picture(), picture(maps.Collect(c.regs[i].Present(topic))); !maps.Equal(got, present) {
				t.Errorf("seed %d: on node %d the diffs of %q add up to %v, and Present says %v", seed, i, topic, got, present)
			}
		}
	}
}
