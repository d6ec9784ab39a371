package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
)

// The guarantees of this package, as simulations of three nodes. A seed decides what the network does, which nodes are cut
// off, frozen, killed, stopped and restarted, and what their processes say to each other. These note what they do and what
// they get (sim_agent_test.go); afterwards the notes are checked, guarantee by guarantee (sim_check_test.go).

// seeds is how many scenarios run: 200, as many as TROUPE_SEEDS says, or 20,000 with TROUPE_STRESS=1. The race
// detector makes each ten times as long.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("TROUPE_SEEDS"), 10, 32); err == nil {
		return n
	}
	switch {
	case os.Getenv("TROUPE_STRESS") == "1":
		return 20_000
	case raceEnabled:
		return 30
	}
	return 200
}

func TestSimulation(t *testing.T) {
	failed := 0
	var all totals
	for seed := range seeds() {
		ok := t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed) // the boots of nodes
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("this one alone: TROUPE_STRESS=1 go test ./actor/cluster -run 'TestSimulation/^seed=%d$'", seed)
				}
			})
			synctest.Test(t, func(t *testing.T) { simulate(t, seed, &all) })
		})
		if !ok {
			failed++
		}
		if failed == 5 {
			t.Fatalf("5 seeds of the first %d have failed; the others have not run", seed+1)
		}
	}
	t.Logf("%+v", all)
	if all.seeds >= 20 && slices.Contains([]int{
		all.heard, all.lost, all.refused, all.told, all.old, all.reasons, all.nodeDowns, all.noProcess, all.stopped, all.answered,
		all.tooLate, all.full, all.unknown, all.waitsDown, all.dismissed, all.killed, all.goodbyes, all.silences,
	}, 0) {
		t.Errorf("something that is to be checked has not happened: %+v", all)
	}
}

const (
	simNodes     = 3
	simAgents    = 3 // of each node
	simHeartbeat = 300 * time.Millisecond
	simDownAfter = time.Second
	simWindow    = 32 << 10
)

func simulate(t *testing.T, seed uint64, all *totals) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t, rnd, clustertest.Config{
		Nodes: simNodes, Seed: seed,
		Loss: 0.1 * rnd.Float64(), Dup: 0.1 * rnd.Float64(), Reorder: 0.02 * rnd.Float64(),
		Delay: time.Duration(rnd.IntN(20)) * time.Millisecond,
	}, cluster.Config{Heartbeat: simHeartbeat, DownAfter: simDownAfter, Window: simWindow, MaxMessage: 8 << 10})
	w.populate()
	for range 8 {
		w.talk(5 + rnd.IntN(25))
		w.fault()
	}
	w.talk(10)
	w.mend()
	w.talk(10)
	w.finish()
	w.check(all)
}

// talk has agents do something, so many times, a moment apart. What is due at one moment happens at the same time.
func (w *world) talk(moments int) {
	for range moments {
		for range 1 + w.rnd.IntN(3) {
			if all := w.living(); len(all) > 0 {
				a := all[w.rnd.IntN(len(all))]
				a.pid.Send(w.deed())
			}
		}
		w.replicate()
		synctest.Wait()
		w.bounded()
		time.Sleep(time.Duration(1+w.rnd.IntN(60)) * time.Millisecond)
		w.populate()
	}
}

// deed is something to do for an agent.
func (w *world) deed() do {
	to, n, seed := w.somebody(), w.rnd.IntN(6), w.rnd.Uint64()
	switch k := w.rnd.IntN(40); {
	case k == 0 && n == 0: // more than must be taken: the session ends
		return func(ctx context.Context, a *agent) error { a.overwhelm(to); return nil }
	case k < 16:
		return func(ctx context.Context, a *agent) error {
			for i := range n + 1 {
				a.send(ctx, to, int(seed>>(8*i)%300))
			}
			return nil
		}
	case k < 18: // more than the window, now and then, and then what it must not refuse
		return func(ctx context.Context, a *agent) error {
			for range 6 * n {
				a.send(ctx, to, int(seed%6000))
			}
			a.monitor(ctx, to)
			switch seed % 5 {
			case 0:
				a.dismiss(ctx, to, seed%2 == 0)
			case 1:
				return &leaving{Who: a.text, Why: seed}
			}
			return nil
		}
	case k < 20: // mixed
		return func(ctx context.Context, a *agent) error {
			a.send(ctx, to, 10)
			a.ask(ctx, to, seed)
			a.send(ctx, to, 2000)
			if n == 0 {
				a.dismiss(ctx, to, seed%3 == 0)
			}
			a.send(ctx, to, 10)
			return nil
		}
	case k < 25:
		return func(ctx context.Context, a *agent) error { a.ask(ctx, to, seed); return nil }
	case k < 28:
		return func(ctx context.Context, a *agent) error { a.call(ctx, to, seed); return nil }
	case k < 33:
		return func(ctx context.Context, a *agent) error {
			for range n + 1 {
				a.monitor(ctx, to)
			}
			return nil
		}
	case k < 35:
		return func(_ context.Context, a *agent) error { a.demonitor(n > 3); return nil }
	case k < 37:
		return func(_ context.Context, a *agent) error {
			a.wait(to, time.Duration(seed%uint64(3*time.Second)))
			return nil
		}
	case k < 38:
		return func(ctx context.Context, a *agent) error { a.dismiss(ctx, to, seed%3 == 0); return nil }
	case k < 39:
		return func(context.Context, *agent) error { return &leaving{Who: to, Why: seed} }
	}
	return func(ctx context.Context, a *agent) error { a.sendUnencodable(ctx, to); return nil }
}

// fault breaks something, or mends it.
func (w *world) fault() {
	i := w.rnd.IntN(simNodes)
	j := (i + 1 + w.rnd.IntN(simNodes-1)) % simNodes
	switch k := w.rnd.IntN(12); {
	case k < 2:
		w.c.Cut(i, j)
	case k < 4:
		w.c.CutOneWay(i, j)
	case k < 6:
		w.c.Heal(i, j)
	case k < 8 && w.runs(i):
		w.boot(i).frozen = true
		w.c.Freeze(i)
	case k < 9 && w.runs(i):
		w.c.Thaw(i)
	case k < 10 && w.runs(i):
		w.kill(i)
	case k < 11 && w.runs(i):
		w.stop(i)
	default:
		w.restart()
	}
}

// mend repairs everything and waits until all nodes are connected.
func (w *world) mend() {
	for i := range simNodes {
		for j := range i {
			w.c.Heal(i, j)
		}
		if w.runs(i) {
			w.c.Thaw(i)
		}
	}
	w.restart()
	w.populate()
	w.c.Quiet(true)
	w.c.Connect()
}

// finish lets everything come to its end that must.
func (w *world) finish() {
	w.c.Connect()
	time.Sleep(3 * time.Second) // Calls and Waits
	synctest.Wait()
	w.quietFrom = w.now()
	w.atRest()
	w.checkChannels()
	for _, a := range w.living() { // now nothing may go wrong
		for _, b := range w.living() {
			a.pid.Send(do(func(ctx context.Context, a *agent) error {
				a.send(ctx, b.text, 100)
				a.call(ctx, b.text, 0)
				a.monitor(ctx, b.text)
				return nil
			}))
		}
	}
	time.Sleep(200 * time.Millisecond)
	for i, a := range w.living() {
		if i%2 == 0 {
			a.pid.Send(do(func(context.Context, *agent) error { return &leaving{Who: a.text, Why: uint64(i)} }))
		}
	}
	time.Sleep(200 * time.Millisecond)
	w.stop(w.rnd.IntN(simNodes))
	time.Sleep(200 * time.Millisecond)
	w.stopWaits()
	synctest.Wait()
}

// populate starts agents where some are missing.
func (w *world) populate() {
	for i := range simNodes {
		for w.runs(i) && w.count(i) < simAgents {
			w.spawn(i)
		}
	}
}

// restart starts all nodes that do not run.
func (w *world) restart() {
	for i := range simNodes {
		if !w.runs(i) {
			w.c.Restart(i)
			w.down[i] = false
		}
	}
}

func (w *world) kill(i int) {
	w.boot(i).killed = w.now()
	w.down[i] = true
	w.c.Kill(i)
}

func (w *world) stop(i int) {
	w.boot(i).stopped = w.now()
	w.down[i] = true
	w.c.Stop(i)
}

func (w *world) runs(i int) bool { return !w.down[i] }

// somebody is the PID of an agent of any node, as text, alive or dead, of this boot or an earlier one.
func (w *world) somebody() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.agents
	if w.rnd.IntN(8) > 0 {
		all = slices.DeleteFunc(slices.Clone(all), func(a *agent) bool { return a.gone() })
	}
	if len(all) == 0 {
		all = w.agents
	}
	return all[w.rnd.IntN(len(all))].text
}

// spawn starts an agent on node i.
func (w *world) spawn(i int) {
	sys := w.c.System(i)
	a := &agent{w: w, sys: sys, boot: w.boot(i), out: make(map[string]*speech), in: make(map[string][]heard), refs: make(map[actor.MonitorRef]*watch)}
	pid, err := sys.Spawn(context.Background(), a, actor.SpawnOptions{MailboxLimit: -1, MaxAsync: -1})
	if err != nil {
		w.t.Fatalf("Spawn on node %d: %v", i, err)
	}
	w.c.Node(i).Watch(pid)
}
