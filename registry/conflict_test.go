package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/exit"
	"github.com/troupe-dev/troupe/registry"
)

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
						time.Sleep(time.Nanosecond)
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

// While the node of the worse claim waits for the word that the better one stands, another process takes the name there, which is better
// than both: it keeps it, whenever that was.
func TestNames_cluster_replacedMeanwhile(t *testing.T) {
	const delay = 20 * time.Millisecond
	for after := time.Duration(0); after < 4*delay; after += 2 * time.Millisecond {
		t.Run(fmt.Sprint("after ", after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conflicts journalOf
				conflicts.do = func(lost actor.PID) { lost.Exit(actor.ErrShutdown) }
				c := newCluster(t, clustertest.Config{Nodes: 2, Seed: 1, Delay: delay}, conflicts.config)
				first, second, newest := c.spawn(t, 0), c.spawn(t, 1), c.spawn(t, 1)
				c.regs[0].Register("room", first.pid, nil)
				time.Sleep(time.Microsecond)
				c.regs[1].Register("room", second.pid, nil)
				time.Sleep(after)
				if _, err := c.regs[1].Replace("room", newest.pid, nil); err != nil {
					t.Fatal(err)
				}
				settle()
				c.wantHolder(t, "room", newest, 0, 1)
				if !newest.pid.Alive() {
					t.Error("the newest holder has ended")
				}
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
				time.Sleep(time.Nanosecond)
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
