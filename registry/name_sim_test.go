package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/registry"
)

// tenant is a process and a name that it was given, as its own node would print them.
type tenant struct{ pid, name string }

// deeds is the model: who was given which name, and was told that it is his no more. A PID is text here, since it is of one System.
type deeds struct {
	mu    sync.Mutex
	given map[tenant]actor.PID // and not taken away
	lost  map[tenant]string    // by conflict: the winner
	// taken by a Replace on another node, which may not have got through: then the process lives on, and holds the name as
	// long as its own node says so
	doubt map[tenant]actor.PID
}

func newDeeds() *deeds {
	return &deeds{given: make(map[tenant]actor.PID), lost: make(map[tenant]string), doubt: make(map[tenant]actor.PID)}
}

// give runs f, which gives pid the name, and notes it if it has. A conflict that is told at the same moment waits.
func (d *deeds) give(name string, pid actor.PID, f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := f()
	if err == nil {
		d.given[tenant{pid.String(), name}] = pid
	}
	return err
}

// take notes that pid has not the name any more.
func (d *deeds) take(name string, pid actor.PID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.given, tenant{pid.String(), name})
	delete(d.doubt, tenant{pid.String(), name})
}

// replaced notes that pid, as another node knows it, is to have the name no more.
func (d *deeds) replaced(name string, pid actor.PID) {
	k := tenant{pid.String(), name}
	if own, ok := d.given[k]; ok {
		delete(d.given, k)
		d.doubt[k] = own
	}
}

// conflict is the OnConflict of all nodes.
func (d *deeds) conflict(name string, lost, won actor.PID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := tenant{lost.String(), name}
	delete(d.given, k)
	delete(d.doubt, k)
	d.lost[k] = won.String()
	lost.Exit(actor.ErrShutdown)
}

// holders are the living processes that have been given the name and not been told otherwise.
func (d *deeds) holders(c *registries, name string) (pids []actor.PID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, pid := range d.given {
		if k.name == name && pid.Alive() {
			pids = append(pids, pid)
		}
	}
	for k, pid := range d.doubt {
		for i, reg := range c.regs {
			if !c.System(i).Owns(pid) || k.name != name || !pid.Alive() {
				continue
			}
			if holder, _, _ := reg.Whereis(name); holder == pid {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// ends follows who has lost to whom: it ends with somebody who has not lost, or the two have ended each other.
func (d *deeds) ends(k tenant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen := make(map[tenant]bool)
	for !seen[k] {
		seen[k] = true
		won, ok := d.lost[k]
		if !ok {
			return nil
		}
		k.pid = won
	}
	return fmt.Errorf("%v has lost %q to itself, in %d steps", k.pid, k.name, len(seen))
}

// Whatever the network does: when one node is linked to the two others each name has one holder, and when all are connected again
// all agree on it, and it is one of those who had it before. So never do two live on with one name, and never do both end.
func TestNames_simulation(t *testing.T) {
	conflicts := 0
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { conflicts += simulateNames(t, seed) })
		})
	}
	if want := int(seeds()); conflicts < want {
		t.Errorf("%d conflicts in all, want %d at least: the scenarios show nothing", conflicts, want)
	}
}

func simulateNames(t *testing.T, seed uint64) (conflicts int) {
	rnd := rand.New(rand.NewPCG(seed, 18))
	d := newDeeds()
	c := newCluster(t, faults(seed, rnd), func(int) registry.Config { return registry.Config{OnConflict: d.conflict} })
	names := []string{"user:1", "user:2", "user:3", "user:4"}
	apart := rnd.IntN(3) // the node that at last is not linked to the next one, both of which the third is linked to
	for n := range 110 {
		if rnd.IntN(2) == 0 {
			time.Sleep(time.Duration(rnd.IntN(50)) * time.Millisecond)
		}
		i, name := rnd.IntN(3), names[rnd.IntN(4)]
		reg, sys := c.regs[i], c.System(i)
		if n == 100 {
			c.Cut(apart, (apart+1)%3)
			c.Heal(apart, (apart+2)%3)
			c.Heal((apart+1)%3, (apart+2)%3)
		}
		fault := rnd.IntN(60)
		if n >= 100 {
			fault = 60
		}
		switch fault {
		case 0, 1:
			c.Cut(i, (i+1)%3)
		case 2, 3:
			c.Heal(i, (i+1)%3)
		case 4:
			c.Restart(i)
			continue
		case 5, 6:
			time.Sleep(7 * time.Second)
		}
		switch pick := rnd.IntN(10); {
		case pick < 4:
			m := spawn(t, sys)
			err := d.give(name, m.pid, func() error { return reg.Register(name, m.pid, nil) })
			if taken := (*registry.TakenError)(nil); err != nil && !errors.As(err, &taken) {
				t.Fatalf("seed %d: Register: %v", seed, err)
			}
		case pick < 6:
			m := spawn(t, sys)
			d.give(name, m.pid, func() error {
				old, err := reg.Replace(name, m.pid, nil)
				if err != nil {
					t.Errorf("seed %d: Replace: %v", seed, err)
				}
				if old != (actor.PID{}) {
					d.replaced(name, old)
					old.Exit(actor.ErrNormal)
				}
				return err
			})
		case pick < 8: // in the background; its start may come any time
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				defer cancel()
				reg.Ensure(ctx, name, func(ctx context.Context) (actor.PID, error) {
					m := &member{}
					m.init = func(ctx context.Context) error {
						return d.give(name, actor.Self(ctx), func() error { return reg.Register(name, actor.Self(ctx), nil) })
					}
					return sys.Spawn(ctx, m, actor.SpawnOptions{})
				})
			}()
		default:
			for _, pid := range d.holders(c, name) {
				if !sys.Owns(pid) {
					continue
				}
				if pick == 8 {
					d.take(name, pid)
					reg.Unregister(name, pid)
				} else {
					d.take(name, pid)
					pid.Exit(actor.ErrNormal)
				}
			}
		}
	}
	c.waitForLinks(t, apart, (apart+2)%3, (apart+1)%3)
	before := make(map[string][]actor.PID)
	for _, name := range names {
		before[name] = d.holders(c, name)
		if len(before[name]) > 1 {
			t.Errorf("seed %d: %q has the holders %v, and node %d is linked to all", seed, name, before[name], (apart+2)%3)
		}
	}
	for i := range 3 {
		c.Heal(i, (i+1)%3)
	}
	c.Quiet(true)
	c.Connect()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	for _, name := range names {
		after := d.holders(c, name)
		if len(after) != min(len(before[name]), 1) {
			t.Errorf("seed %d: %q has the holders %v, want one of %v", seed, name, after, before[name])
			continue
		}
		for i := range 3 {
			pid, _, ok := c.regs[i].Whereis(name)
			if ok != (len(after) == 1) || ok && pid != c.At(i, after[0]) {
				t.Errorf("seed %d: on node %d Whereis(%q) = %v, %t; the holder is %v", seed, i, name, pid, ok, after)
			}
		}
	}
	for k := range d.lost {
		if err := d.ends(k); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	for i := range 3 {
		if n := c.regs[i].Leases(); n != 0 {
			t.Errorf("seed %d: node %d keeps %d leases at rest", seed, i, n)
		}
	}
	return len(d.lost)
}

// waitForLinks waits until middle is linked to both ends, and these are not linked to each other.
func (c *registries) waitForLinks(t testing.TB, end, middle, otherEnd int) {
	t.Helper()
	linked := func(i, j int) bool {
		return slices.ContainsFunc(slices.Collect(c.Node(i).Peers()), func(p cluster.PeerInfo) bool {
			return p.Node == fmt.Sprint("n", j) && time.Since(p.Since) > 5*time.Second // what it brings has arrived
		})
	}
	for range 60 {
		time.Sleep(10 * time.Second) // a link that was lost again and again waits for up to 30 s
		synctest.Wait()
		if linked(end, middle) && linked(middle, otherEnd) && !linked(end, otherEnd) {
			return
		}
	}
	t.Fatalf("after ten minutes: the nodes %d and %d are linked: %t; %d and %d: %t; %d and %d: %t, and should not be",
		end, middle, linked(end, middle), middle, otherEnd, linked(middle, otherEnd), end, otherEnd, linked(end, otherEnd))
}

// While the nodes are linked, Ensure starts one process at a time for each name, whoever wants it, whichever crashes, whatever the
// network loses, and also while another node comes, goes or is lost.
func TestEnsure_simulation(t *testing.T) {
	started := 0
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { started += simulateEnsure(t, seed) })
		})
	}
	if want := 6 * int(seeds()); started < want {
		t.Errorf("%d processes were started in all, want %d at least", started, want)
	}
}

func simulateEnsure(t *testing.T, seed uint64) int {
	rnd := rand.New(rand.NewPCG(seed, 19))
	cfg := faults(seed, rnd)
	cfg.Nodes = 4
	cfg.Loss /= 3 // no link is to end but those of node 3, which comes and goes: not by lost heartbeats either
	cfg.Node = func(int, *actor.System) cluster.Config { return cluster.Config{Heartbeat: 200 * time.Millisecond} }
	d := newDeeds()
	c := newCluster(t, cfg, func(int) registry.Config {
		return registry.Config{OnConflict: func(name string, lost, won actor.PID) {
			t.Errorf("seed %d: %q was given to %v and %v", seed, name, lost, won)
		}}
	})
	downs := &downs{at: make(map[[2]int]time.Time)}
	for i := range 3 {
		downs.watch(t, i, c.Node(i))
	}
	var wg sync.WaitGroup
	started := 0
	names := []string{"room 1", "room 2", "room 3"}
	starting := make(map[string]int) // how many starts run; by d.mu
	for n := range 60 {
		switch n {
		case 15, 45:
			time.Sleep(8 * time.Second) // one comes or goes at a time, so all nodes know of the last one
			if rnd.IntN(2) == 0 {
				c.Stop(3)
			} else {
				c.Kill(3)
			}
		case 30:
			time.Sleep(8 * time.Second)
			c.Restart(3)
		}
		i, name := rnd.IntN(3), names[rnd.IntN(3)]
		query := time.Duration(rnd.IntN(100)) * time.Millisecond
		time.Sleep(time.Duration(rnd.IntN(30)) * time.Millisecond)
		if rnd.IntN(3) == 0 {
			for _, pid := range d.holders(c, name) {
				pid.Exit(actor.ErrNormal)
			}
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			pid, err := c.regs[i].Ensure(ctx, name, func(ctx context.Context) (actor.PID, error) {
				count := func(by int) (sum int) {
					d.mu.Lock()
					defer d.mu.Unlock()
					starting[name] += by
					return starting[name]
				}
				if n := count(1); n > 1 {
					t.Errorf("seed %d: %d starts of %q at once", seed, n, name)
				}
				defer count(-1)
				time.Sleep(query)
				m := &member{}
				m.init = func(ctx context.Context) error {
					if others := d.holders(c, name); len(others) > 0 {
						t.Errorf("seed %d: node %d starts %q, and there is %v", seed, i, name, others)
					}
					return d.give(name, actor.Self(ctx), func() error { return c.regs[i].Register(name, actor.Self(ctx), nil) })
				}
				m.terminate = func(context.Context) { time.Sleep(50 * time.Millisecond) } // saves what the next one loads
				pid, err := c.System(i).Spawn(ctx, m, actor.SpawnOptions{})
				if err == nil {
					d.mu.Lock()
					started++
					d.mu.Unlock()
				}
				return pid, err
			})
			if err != nil || pid == (actor.PID{}) {
				t.Errorf("seed %d: Ensure %q on node %d = %v, %v", seed, name, i, pid, err)
			}
		})
	}
	wg.Wait()
	c.Quiet(true)
	settle()
	for _, name := range names {
		if n := len(d.holders(c, name)); n > 1 {
			t.Errorf("seed %d: %q has %d holders", seed, name, n)
		}
	}
	for pair := range downs.at {
		if pair[1] != 3 {
			t.Errorf("seed %d: links have ended: %v; the scenario shows nothing", seed, downs.at)
			break
		}
	}
	return started
}
