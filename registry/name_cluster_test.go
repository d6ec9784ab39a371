package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// wantHolder says who holds a name, as each of these nodes sees it; nil: nobody.
func (c *registries) wantHolder(t testing.TB, name string, holder *member, nodes ...int) {
	t.Helper()
	for _, i := range nodes {
		pid, _, ok := c.regs[i].Whereis(name)
		if holder == nil && ok || holder != nil && (!ok || pid != c.At(i, holder.pid)) {
			t.Errorf("on node %d Whereis(%q) = %v, %t; want %v", i, name, pid, ok, holder)
		}
	}
}

func TestNames_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.1, Dup: 0.1, Delay: 5 * time.Millisecond}, nil)
		a, b, w := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 2)
		if err := c.regs[2].WatchName("room", w.pid); err != nil {
			t.Fatal(err)
		}
		if err := c.regs[0].Register("room", a.pid, "first"); err != nil {
			t.Fatal(err)
		}
		settle()
		c.wantHolder(t, "room", a, 0, 1, 2)
		var taken *registry.TakenError
		err := c.regs[1].Register("room", b.pid, nil)
		if !errors.As(err, &taken) || taken.PID != c.At(1, a.pid) || taken.Meta != "first" {
			t.Errorf("Register on another node: %v, want a TakenError of %v with its meta", err, a.pid)
		}
		if err := c.regs[1].Register("other", c.At(1, a.pid), nil); !errors.Is(err, registry.ErrNoProcess) {
			t.Errorf("Register of a process of another node: %v, want ErrNoProcess", err)
		}
		if err := c.regs[0].Register("room", a.pid, "second"); err != nil {
			t.Fatal(err)
		}
		settle()
		if _, meta, _ := c.regs[1].Whereis("room"); meta != "second" {
			t.Errorf("meta on another node = %v, want the new one", meta)
		}
		for name, pid := range c.regs[1].Names() {
			if name != "room" || pid != c.At(1, a.pid) {
				t.Errorf("Names yields %q, %v", name, pid)
			}
		}
		c.regs[1].Unregister("room", c.At(1, a.pid))
		settle()
		c.wantHolder(t, "room", a, 0, 1, 2)
		c.regs[0].Unregister("room", a.pid)
		settle()
		c.wantHolder(t, "room", nil, 0, 1, 2)
		if err := c.regs[1].Register("room", b.pid, nil); err != nil {
			t.Errorf("Register of a name that is free again: %v", err)
		}
		settle()
		end(t, b.pid, actor.ErrNormal)
		settle()
		c.wantHolder(t, "room", nil, 0, 1, 2)
		pid := func(m *member) actor.PID { return c.At(2, m.pid) }
		wantGot(t, w, registry.NameFree{Name: "room"}, registry.NameTaken{Name: "room", PID: pid(a), Meta: "first"},
			registry.NameTaken{Name: "room", PID: pid(a), Meta: "second"}, registry.NameFree{Name: "room"},
			registry.NameTaken{Name: "room", PID: pid(b)}, registry.NameFree{Name: "room"})
		for i := range 3 {
			if _, n, _ := c.regs[i].Records(); n != 0 {
				t.Errorf("node %d keeps %d names", i, n)
			}
		}
		long := strings.Repeat("x", 4097)
		if err := c.regs[0].Register(long, a.pid, nil); err == nil || !strings.Contains(err.Error(), "4097 bytes") {
			t.Errorf("Register of a long name: %v", err)
		}
		if _, err := c.regs[0].Replace("room", a.pid, make(chan int)); err == nil || !strings.Contains(err.Error(), "chan int") {
			t.Errorf("Replace with a meta that cannot cross: %v", err)
		}
		if _, err := c.regs[0].Ensure(context.Background(), long, nil); err == nil || !strings.Contains(err.Error(), "4097 bytes") {
			t.Errorf("Ensure of a long name: %v", err)
		}
		c.wantHolder(t, "room", nil, 0, 1, 2)
	})
}

// A name is free when its node is lost, and not taken again by who comes back too late.
func TestNames_cluster_nodeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		a, w := c.spawn(t, 1), c.spawn(t, 0)
		c.regs[1].Register("room", a.pid, nil)
		settle()
		c.regs[0].WatchName("room", w.pid)
		away := c.At(0, a.pid)
		c.Kill(1)
		time.Sleep(10 * time.Second)
		c.wantHolder(t, "room", nil, 0)
		settle()
		wantGot(t, w, registry.NameTaken{Name: "room", PID: away}, registry.NameFree{Name: "room"})
		if err := c.regs[0].Register("room", w.pid, nil); err != nil {
			t.Errorf("Register after the node was lost: %v", err)
		}
	})
}

func TestReplace_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 5 * time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		old, err := c.regs[1].Replace("user:42", b.pid, "laptop")
		if err != nil || old != c.At(1, a.pid) {
			t.Errorf("Replace = %v, %v; want %v", old, err, a.pid)
		}
		settle()
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		if !a.pid.Alive() {
			t.Error("the one that was replaced has ended by itself")
		}
		for r := range c.regs[0].Of(a.pid) {
			t.Errorf("the one that was replaced still has %v", r)
		}
		old.Exit(actor.ErrNormal)
		settle()
		if a.pid.Alive() {
			t.Error("the one that was replaced lives on after the Exit")
		}
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		conflicts.want(t)
	})
}

// journalOf are the calls of OnConflict on all nodes.
type journalOf struct {
	mu    sync.Mutex
	calls []string
	do    func(lost actor.PID)
}

func (j *journalOf) config(i int) registry.Config {
	return registry.Config{OnConflict: func(name string, lost, won actor.PID) {
		j.mu.Lock()
		j.calls = append(j.calls, fmt.Sprintf("on node %d: %s lost %v won %v", i, name, lost, won))
		j.mu.Unlock()
		if j.do != nil {
			j.do(lost)
		}
	}}
}

func (j *journalOf) want(t testing.TB, want ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.Equal(j.calls, want) {
		t.Errorf("OnConflict was called %q, want %q", j.calls, want)
	}
	j.calls = nil
}

// Of two that have one name, one keeps it, and only the other one's node does something about it.
func TestNames_cluster_conflict(t *testing.T) {
	type give = func(c *registries, i int, pid actor.PID) error
	register := give(func(c *registries, i int, pid actor.PID) error { return c.regs[i].Register("room", pid, nil) })
	replace := give(func(c *registries, i int, pid actor.PID) error {
		_, err := c.regs[i].Replace("room", pid, nil)
		return err
	})
	for _, tt := range []struct {
		name          string
		first, second give
		lost          int // node
	}{
		{"the earlier Register keeps it", register, register, 1},
		{"the later Replace gets it", replace, replace, 0},
		{"a Replace beats a Register", replace, register, 1},
		{"and also when it was earlier", register, replace, 0},
	} {
		for _, linked := range []bool{true, false} { // node 2 tells those that are not linked
			t.Run(fmt.Sprintf("%s, linked %t", tt.name, linked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var conflicts journalOf
					c := newCluster(t, clustertest.Config{Seed: 1, Delay: 20 * time.Millisecond}, conflicts.config)
					if !linked {
						c.Cut(0, 1)
						time.Sleep(10 * time.Second)
					}
					ms := []*member{c.spawn(t, 0), c.spawn(t, 1)}
					for i, f := range []give{tt.first, tt.second} {
						if err := f(c, i, ms[i].pid); err != nil {
							t.Fatal(err)
						}
						time.Sleep(time.Microsecond)
					}
					settle()
					lost, won := ms[tt.lost], ms[1-tt.lost]
					conflicts.want(t, fmt.Sprintf("on node %d: room lost %v won %v", tt.lost, lost.pid, won.pid))
					c.wantHolder(t, "room", won, 2, 1-tt.lost)
					if linked {
						c.wantHolder(t, "room", won, tt.lost)
					} else {
						c.wantHolder(t, "room", nil, tt.lost)
						c.Heal(0, 1)
						c.Connect()
						settle()
						c.wantHolder(t, "room", won, 0, 1, 2)
						conflicts.want(t)
					}
					if !lost.pid.Alive() || !won.pid.Alive() {
						t.Error("one of them has ended: that is OnConflict's business")
					}
				})
			})
		}
	}
}

// Two nodes give a name away while the link between them is cut but has not ended yet. A third node tells the loser's node, which
// believes that it is linked to the other one, and so waits for its word. That never comes.
func TestNames_cluster_conflictWhileTheLinkEnds(t *testing.T) {
	for _, replace := range []bool{false, true} {
		t.Run(fmt.Sprintf("replace %t", replace), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conflicts journalOf
				c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
				first, second := c.spawn(t, 0), c.spawn(t, 1)
				if replace { // what there is on node 0 when the link is cut
					c.regs[0].Register("room", first.pid, nil)
					settle()
				}
				c.Cut(0, 1)
				won, lost := first, second
				if replace {
					won, lost = second, first
					if old, err := c.regs[1].Replace("room", second.pid, nil); err != nil || old != c.At(1, first.pid) {
						t.Fatalf("Replace = %v, %v", old, err)
					}
				} else {
					c.regs[0].Register("room", first.pid, nil)
					time.Sleep(time.Microsecond)
					c.regs[1].Register("room", second.pid, nil)
				}
				settle()
				conflicts.want(t)
				time.Sleep(10 * time.Second)
				node := 1
				if replace {
					node = 0
				}
				conflicts.want(t, fmt.Sprintf("on node %d: room lost %v won %v", node, lost.pid, won.pid))
				c.wantHolder(t, "room", won, 2, 1-node)
				c.wantHolder(t, "room", nil, node)
				c.Heal(0, 1)
				c.Connect()
				settle()
				c.wantHolder(t, "room", won, 0, 1, 2)
				conflicts.want(t)
			})
		})
	}
}

// What happens to the loser: it ends, unless OnConflict has returned.
func TestNames_cluster_loserEnds(t *testing.T) {
	for _, tt := range []struct {
		name  string
		do    func(lost actor.PID)
		alive bool
	}{
		{"no OnConflict", nil, false},
		{"OnConflict does nothing", func(actor.PID) {}, true},
		{"OnConflict panics", func(actor.PID) { panic("boom") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conflicts := journalOf{do: tt.do}
				config := conflicts.config
				if tt.do == nil {
					config = nil
				}
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 20 * time.Millisecond}, config)
				a, b := c.spawn(t, 0), c.spawn(t, 1)
				var reason error
				b.pid.OnExit(func(err error) { reason = err })
				c.regs[0].Register("room", a.pid, nil)
				time.Sleep(time.Microsecond)
				c.regs[1].Register("room", b.pid, nil)
				settle()
				if !a.pid.Alive() || b.pid.Alive() != tt.alive {
					t.Errorf("the winner lives: %t, the loser: %t, want %t", a.pid.Alive(), b.pid.Alive(), tt.alive)
				}
				var conflict *registry.ConflictError
				if !tt.alive && (!errors.As(reason, &conflict) || conflict.Name != "room" || conflict.Winner != c.At(1, a.pid) ||
					!errors.Is(reason, actor.ErrShutdown) || !errors.Is(reason, actor.ErrIgnore) || exit.KindOf(reason) != exit.Shutdown) {
					t.Errorf("the loser has ended with %v, of kind %v; want a ConflictError with the winner, ErrShutdown, ErrIgnore, of kind shutdown",
						reason, exit.KindOf(reason))
				}
				c.wantHolder(t, "room", a, 0, 1)
			})
		})
	}
}

// OnConflict may ask processes of other nodes: what comes from these goes on coming meanwhile. This is in real time, since locks
// that stand still, as they did when it held them up, stop the clock of a bubble.
func TestConfig_onConflictMayCall(t *testing.T) {
	got := make(chan string, 2)
	c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, func(int) registry.Config {
		return registry.Config{OnConflict: func(name string, lost, won actor.PID) {
			text, err := actor.Call[string](context.Background(), won, name)
			got <- fmt.Sprint(text, " ", err)
			lost.Exit(actor.ErrNormal)
		}}
	})
	c.Freeze(1) // nothing comes and goes
	names := []string{"first", "second"}
	var rooms [2][]actor.PID
	for i := range 2 {
		for _, name := range names {
			pid, err := c.System(i).Spawn(context.Background(), &roomOf{c.regs[i], name}, actor.SpawnOptions{})
			if err != nil {
				t.Fatal(err)
			}
			rooms[i] = append(rooms[i], pid)
		}
	}
	c.Thaw(1)
	for k, name := range names {
		select {
		case text := <-got:
			if want := fmt.Sprintf("%s on %v <nil>", name, rooms[0][k]); text != want {
				t.Errorf("OnConflict number %d got %q from the winner, want %q", k, text, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("OnConflict for %q has no answer after 30 s", name)
		}
	}
	for _, pid := range rooms[1] { // OnConflict has ended them
		if reason, err := actor.Wait(context.Background(), pid); !errors.Is(err, actor.ErrNoProcess) && (err != nil || !errors.Is(reason, actor.ErrNormal)) {
			t.Errorf("Wait for the loser: %v, %v", reason, err)
		}
	}
}

// roomOf is a process that registers itself in its Init.
type roomOf struct {
	reg  *registry.Registry
	name string
}

func (r *roomOf) Init(ctx context.Context) error { return r.reg.Register(r.name, actor.Self(ctx), nil) }
func (r *roomOf) Receive(ctx context.Context, msg any) error {
	if from, ok := actor.Caller(ctx); ok {
		from.Reply(fmt.Sprint(msg, " on ", actor.Self(ctx)))
	}
	return nil
}

// starts counts how often a room was started.
type starts struct {
	mu      sync.Mutex
	started []actor.PID
}

func (s *starts) on(c *registries, i int, name string) func(ctx context.Context) (actor.PID, error) {
	return func(ctx context.Context) (actor.PID, error) {
		pid, err := c.System(i).Spawn(ctx, &roomOf{c.regs[i], name}, actor.SpawnOptions{})
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			s.started = append(s.started, pid)
		}
		return pid, err
	}
}

// Several nodes want one room at the same moment: one starts it, and all get it. Each of many names has one of the nodes as owner.
func TestEnsure_cluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Loss: 0.1, Delay: 10 * time.Millisecond}, nil)
		s := &starts{}
		const n = 20
		got := make([][]actor.PID, 3)
		var wg sync.WaitGroup
		for i := range 3 {
			got[i] = make([]actor.PID, n)
			for k := range n {
				wg.Go(func() {
					var err error
					name := fmt.Sprint("room ", k)
					if got[i][k], err = c.regs[i].Ensure(context.Background(), name, s.on(c, i, name)); err != nil {
						t.Errorf("Ensure %q on node %d: %v", name, i, err)
					}
				})
			}
		}
		wg.Wait()
		for k := range n {
			for i := range 3 {
				if got[i][k] != c.At(i, got[0][k]) {
					t.Errorf("room %d is %v on node %d, and %v on node 0", k, got[i][k], i, got[0][k])
				}
			}
		}
		if len(s.started) != n {
			t.Errorf("%d rooms were started, want %d", len(s.started), n)
		}
		settle()
		where := make(map[string]int)
		for k := range n {
			text, err := registry.Ask[string](context.Background(), c.regs[k%3], fmt.Sprint("room ", k), nil, "hello")
			if want := fmt.Sprint("hello on ", got[0][k]); err != nil || text != want {
				t.Errorf("Ask = %q, %v; want %q", text, err, want)
			}
			_, node, _ := strings.Cut(got[0][k].String(), "@")
			where[node]++
		}
		if len(where) < 2 {
			t.Errorf("the rooms are on %v", where)
		}
		for i := range 3 {
			if n := c.regs[i].Leases(); n != 0 {
				t.Errorf("node %d keeps %d leases", i, n)
			}
		}
	})
}

// While one node starts a room the others wait, each no longer than its ctx; the start that fails, or whose node is lost, is
// followed by the next.
func TestEnsure_cluster_nextIsGranted(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name string
		end  func(c *registries, i int, fail func(error)) // of the start on node i
	}{
		{"it fails", func(_ *registries, _ int, fail func(error)) { fail(boom) }},
		{"its node is lost", func(c *registries, i int, fail func(error)) {
			c.Kill(i)
			fail(boom)
			time.Sleep(7 * time.Second)
		}},
	} {
		for first := range 3 { // whoever is the owner
			t.Run(fmt.Sprintf("%s on node %d", tt.name, first), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCluster(t, clustertest.Config{Seed: 1, Delay: 10 * time.Millisecond}, nil)
					failed := make(chan error, 1)
					begun := false
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					go c.regs[first].Ensure(ctx, "room", func(context.Context) (actor.PID, error) {
						begun = true
						return actor.PID{}, <-failed
					})
					settle()
					if !begun {
						t.Fatal("the first start has not begun")
					}
					second, third := (first+1)%3, (first+2)%3
					short, cancelShort := context.WithTimeout(ctx, time.Second)
					defer cancelShort()
					s := &starts{}
					if _, err := c.regs[second].Ensure(short, "room", s.on(c, second, "room")); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Ensure while another node starts: %v, want DeadlineExceeded", err)
					}
					got := make(chan actor.PID, 1)
					go func() {
						pid, err := c.regs[third].Ensure(ctx, "room", s.on(c, third, "room"))
						if err != nil {
							t.Errorf("Ensure after the first start: %v", err)
						}
						got <- pid
					}()
					settle()
					if len(s.started) != 0 {
						t.Fatal("the second start has begun while the first one runs")
					}
					tt.end(c, first, func(err error) { failed <- err })
					settle()
					select {
					case pid := <-got:
						if len(s.started) != 1 || s.started[0] != pid {
							t.Errorf("Ensure = %v, started %v", pid, s.started)
						}
					default:
						t.Error("the second Ensure still waits")
					}
					settle()
					for _, i := range []int{second, third} {
						if n := c.regs[i].Leases(); n != 0 {
							t.Errorf("node %d keeps %d leases", i, n)
						}
					}
				})
			})
		}
	}
}

func (m *member) String() string {
	if m == nil {
		return "nobody"
	}
	return m.pid.String()
}

// While a room is ending, whose Terminate saves what the next one loads, no node finds it, none can take its name, and Ensure
// waits on all.
func TestEnsure_cluster_waitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: 10 * time.Millisecond}, nil)
		old := spawnWith(t, c.System(1), &member{terminate: func(context.Context) { time.Sleep(3 * time.Second) }}, actor.SpawnOptions{})
		if err := c.regs[1].Register("room", old.pid, nil); err != nil {
			t.Fatal(err)
		}
		settle()
		c.wantHolder(t, "room", old, 0, 1, 2)
		start := time.Now()
		old.pid.Exit(actor.ErrNormal)
		time.Sleep(50 * time.Millisecond)
		c.wantHolder(t, "room", nil, 0, 1, 2)
		other := c.spawn(t, 0)
		var taken *registry.TakenError
		if err := c.regs[0].Register("room", other.pid, nil); !errors.As(err, &taken) {
			t.Errorf("Register while the holder is ending: %v, want a TakenError", err)
		}
		c.Cut(0, 1) // what node 0 is told anew must say it, too
		time.Sleep(100 * time.Millisecond)
		c.Heal(0, 1)
		s := &starts{}
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if _, err := c.regs[i].Ensure(context.Background(), "room", s.on(c, i, "room")); err != nil {
					t.Errorf("Ensure on node %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if waited := time.Since(start); len(s.started) != 1 || waited < 3*time.Second {
			t.Errorf("started %v after %v, want one after the end of the old one", s.started, waited)
		}
	})
}

// A node that comes while a holder is ending is told so.
func TestNames_cluster_endingInASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1}, nil)
		old := spawnWith(t, c.System(1), &member{terminate: func(context.Context) { time.Sleep(4 * time.Second) }}, actor.SpawnOptions{})
		c.regs[1].Register("room", old.pid, nil)
		c.Stop(0)
		old.pid.Exit(actor.ErrNormal)
		c.Restart(0)
		c.Connect()
		time.Sleep(100 * time.Millisecond)
		c.wantHolder(t, "room", nil, 0)
		other := c.spawn(t, 0)
		if err := c.regs[0].Register("room", other.pid, nil); err == nil {
			t.Error("the name of a process that is ending was given away")
		}
		time.Sleep(5 * time.Second)
		if err := c.regs[0].Register("room", other.pid, nil); err != nil {
			t.Errorf("Register after the end: %v", err)
		}
	})
}

// Ask tries again when the callee was gone before the request: on another node, too.
func TestAsk_cluster_triesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: 20 * time.Millisecond}, nil)
		s := &starts{}
		if _, err := c.regs[1].Ensure(context.Background(), "room", s.on(c, 1, "room")); err != nil {
			t.Fatal(err)
		}
		settle()
		s.started[0].Exit(actor.ErrNormal) // node 0 hears of it after it has asked
		text, err := registry.Ask[string](context.Background(), c.regs[0], "room", s.on(c, 0, "room"), "hello")
		if len(s.started) != 2 || err != nil || text != fmt.Sprint("hello on ", s.started[1]) {
			t.Errorf("Ask = %q, %v; started %v", text, err, s.started)
		}
	})
}

// What is told of a holder that has ended since, by a link that was slow, ends nobody: the name was free when the next one got it.
func TestNames_cluster_lateClaim(t *testing.T) {
	for _, tt := range []struct {
		name string
		give func(reg *registry.Registry, pid actor.PID) error
	}{
		{"Register", func(reg *registry.Registry, pid actor.PID) error { return reg.Register("room", pid, nil) }},
		{"Replace", func(reg *registry.Registry, pid actor.PID) error {
			_, err := reg.Replace("room", pid, nil)
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conflicts journalOf
				c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
				first, next := c.spawn(t, 0), c.spawn(t, 1)
				c.Cut(0, 1) // shorter than DownAfter
				if err := tt.give(c.regs[0], first.pid); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Millisecond)
				c.wantHolder(t, "room", first, 2)
				end(t, first.pid, actor.ErrNormal)
				time.Sleep(100 * time.Millisecond)
				c.wantHolder(t, "room", nil, 2)
				if err := c.regs[1].Register("room", next.pid, nil); err != nil {
					t.Fatal(err)
				}
				c.Heal(0, 1)
				settle()
				c.wantHolder(t, "room", next, 0, 1, 2)
				conflicts.want(t)
			})
		})
	}
}

// A Replace on another node ends nothing by itself, by whatever way it is heard of, as long as the link to that node lasts: the Exit of
// its caller is on its way.
func TestReplace_cluster_slowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		var reason error
		a.pid.OnExit(func(err error) { reason = err })
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		c.Cut(0, 1) // shorter than DownAfter; node 2 hears of both
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil || old != c.At(1, a.pid) {
			t.Fatalf("Replace = %v, %v", old, err)
		}
		old.Exit(&websock.CloseError{Code: 4001})
		settle()
		if !a.pid.Alive() {
			t.Error("the old holder has ended before it was told to")
		}
		c.Heal(0, 1)
		settle()
		c.wantHolder(t, "user:42", b, 0, 1, 2)
		if closed := (*websock.CloseError)(nil); !errors.As(reason, &closed) || closed.Code != 4001 {
			t.Errorf("the old holder has ended with %v, want what the caller of Replace has said", reason)
		}
		conflicts.want(t)
	})
}

// When the link ends before a Replace and the Exit have got through, the old holder has lost once there is another link.
func TestReplace_cluster_lostExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		c.Cut(0, 1)
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil {
			t.Fatal(err)
		}
		old.Exit(actor.ErrNormal)
		time.Sleep(10 * time.Second)
		c.Heal(0, 1)
		c.Connect()
		settle()
		c.wantHolder(t, "user:42", b, 0, 1)
		conflicts.want(t, fmt.Sprintf("on node 0: user:42 lost %v won %v", a.pid, b.pid))
	})
}

// When the link ends after a Replace and before its Exit has got through, the old holder has no name any more and nobody ends it: a Down
// says that nothing is known of it, and a second Exit ends it.
func TestReplace_cluster_lostExitOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b := c.spawn(t, 0), c.spawn(t, 1)
		c.regs[0].Register("user:42", a.pid, nil)
		settle()
		old, err := c.regs[1].Replace("user:42", b.pid, nil)
		if err != nil {
			t.Fatal(err)
		}
		var down actor.Down
		b.down = func(d actor.Down) { down = d }
		b.pid.Send(func(ctx context.Context) { actor.Monitor(ctx, old) })
		settle()
		c.Cut(0, 1)
		old.Exit(actor.ErrNormal)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if down.PID != old || !errors.Is(down.Reason, actor.ErrNodeDown) {
			t.Errorf("whoever monitors the old holder got %+v, want a Down with ErrNodeDown", down)
		}
		c.Heal(0, 1)
		c.Connect()
		settle()
		c.wantHolder(t, "user:42", b, 0, 1)
		conflicts.want(t)
		if !a.pid.Alive() {
			t.Error("the old holder has ended: the Exit has got through, or somebody else ends it; the docs say otherwise")
		}
		old.Exit(actor.ErrNormal)
		settle()
		if a.pid.Alive() {
			t.Error("the old holder lives on after a second Exit")
		}
	})
}

// What a third node says of a claim is about that one, and not about one that was made since.
func TestNames_cluster_lateWordOfAThirdNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		a, b, next := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 1)
		c.Cut(0, 1)
		time.Sleep(10 * time.Second)
		c.regs[1].Register("room", b.pid, nil)
		settle()
		c.Cut(1, 2) // shorter than DownAfter: what node 2 says is on its way
		c.regs[0].Replace("room", a.pid, nil)
		time.Sleep(100 * time.Millisecond)
		end(t, a.pid, actor.ErrNormal)
		time.Sleep(100 * time.Millisecond)
		end(t, b.pid, actor.ErrNormal)
		if err := c.regs[1].Register("room", next.pid, nil); err != nil {
			t.Fatal(err)
		}
		c.Heal(1, 2)
		settle()
		c.wantHolder(t, "room", next, 1, 2)
		conflicts.want(t)
	})
}

// Of three holders the best one, on the node that is linked to both others, ends before it has heard of them: they are told by that
// node, which has no other reason to ask.
func TestNames_cluster_theBestEndsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conflicts journalOf
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, conflicts.config)
		for i := range 3 {
			c.Cut(i, (i+1)%3)
		}
		time.Sleep(10 * time.Second)
		best := spawnWith(t, c.System(2), &member{terminate: func(context.Context) { time.Sleep(time.Minute) }}, actor.SpawnOptions{Shutdown: 2 * time.Minute})
		next, last := c.spawn(t, 1), c.spawn(t, 0)
		for k, m := range []*member{best, next, last} {
			if err := c.regs[2-k].Register("room", m.pid, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		best.pid.Exit(actor.ErrNormal) // it holds the name for a minute more, and does not insist on it
		c.Heal(0, 2)
		c.Heal(1, 2)
		c.waitForLinks(t, 0, 2, 1)
		conflicts.want(t)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		conflicts.want(t, fmt.Sprintf("on node 0: room lost %v won %v", last.pid, next.pid))
		c.wantHolder(t, "room", next, 1, 2)
		c.wantHolder(t, "room", nil, 0)
	})
}

// Of three holders the best one ends before anybody has acted: then the next one keeps the name, and the third has lost.
func TestNames_cluster_theBestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, clustertest.Config{Seed: 1, Delay: time.Millisecond}, nil)
		for i := range 3 {
			c.Cut(i, (i+1)%3)
		}
		time.Sleep(10 * time.Second)
		best := spawnWith(t, c.System(2), &member{terminate: func(context.Context) { time.Sleep(time.Minute) }}, actor.SpawnOptions{Shutdown: 2 * time.Minute})
		next, last := c.spawn(t, 1), c.spawn(t, 0)
		for k, m := range []*member{best, next, last} {
			if err := c.regs[2-k].Register("room", m.pid, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		best.pid.Exit(actor.ErrNormal) // it holds the name for a minute more, and does not insist on it
		for i := range 3 {
			c.Heal(i, (i+1)%3)
		}
		c.Connect()
		settle()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !next.pid.Alive() || last.pid.Alive() {
			t.Errorf("the second lives: %t, the third: %t; want only the second", next.pid.Alive(), last.pid.Alive())
		}
		c.wantHolder(t, "room", next, 0, 1, 2)
	})
}
