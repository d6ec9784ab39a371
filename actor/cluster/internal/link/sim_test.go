package link_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

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
		return 40
	}
	return 200
}

// world is what a scenario knows of all nodes: what was taken from whom, and what arrived.
type world struct {
	mu             sync.Mutex
	taken, arrived map[way]uint64 // records of a session in one direction: number of the last
}

// way is one direction of a session.
type way struct{ from, to, session uint64 }

// A record of the simulation: its number in its direction, then bytes that follow from it. Of a refused Offer the number goes to the
// next record that is taken, with another length: so a refused one that arrives is a repetition or has the wrong length.
func simRecord(k way, n uint64, size int) []byte {
	b := make([]byte, 16+size)
	binary.LittleEndian.PutUint64(b, n)
	binary.LittleEndian.PutUint64(b[8:], uint64(size))
	for i := range size {
		b[16+i] = byte(n) + byte(i) + byte(k.session)
	}
	return b
}

func (w *world) record(t testing.TB, self uint64, p *link.Peer, rec []byte) {
	k := way{p.Boot(), self, p.Session()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(rec) < 16 {
		t.Errorf("record of %d bytes", len(rec))
		return
	}
	n, size := binary.LittleEndian.Uint64(rec), binary.LittleEndian.Uint64(rec[8:])
	if n != w.arrived[k]+1 {
		t.Errorf("%+v: record %d after %d", k, n, w.arrived[k])
	}
	if string(simRecord(k, n, int(size))) != string(rec) {
		t.Errorf("%+v: record %d of %d bytes is not what was sent", k, n, len(rec))
	}
	w.arrived[k] = n
}

// send offers or controls one record.
func (w *world) send(self uint64, p *link.Peer, size int, control bool) bool {
	k := way{self, p.Boot(), p.Session()}
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := simRecord(k, w.taken[k]+1, size)
	if control {
		p.Control(rec)
	} else if !p.Offer(rec) {
		return false
	}
	w.taken[k]++
	return true
}

// snapshot sends numbered records as a snapshot: their numbers are fixed when it is registered.
func (w *world) snapshot(self uint64, p *link.Peer, records, size int) {
	k := way{self, p.Boot(), p.Session()}
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.taken[k] + 1
	w.taken[k] += uint64(records)
	p.Snapshot(func(yield func([]byte) bool) {
		for i := range records {
			if !yield(simRecord(k, first+uint64(i), size)) {
				return
			}
		}
	})
}

// Whatever the network does: within a session records come once, in order, without gaps; what was taken arrives or both sides
// know of the end; what was refused never arrives; after the faults all nodes find each other.
func TestSimulation(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	net := network(t, seednet.Config{
		Seed: seed, Loss: 0.15 * rnd.Float64(), Dup: 0.1 * rnd.Float64(), Reorder: 0.02 * rnd.Float64(),
		Delay: time.Duration(rnd.IntN(30)) * time.Millisecond,
	})
	w := &world{taken: make(map[way]uint64), arrived: make(map[way]uint64)}
	const window, maxRecord = 48 << 10, 64 << 10
	boot := uint64(0)
	var all []*node
	begin := func() *node {
		boot++
		n := prepare(t, net, boot, func(o *link.Options) { o.Window, o.MaxRecord = window, maxRecord })
		n.onRecord = func(p *link.Peer, rec []byte) { w.record(t, n.boot, p, rec) }
		n.onUp = func(p *link.Peer) { w.snapshot(n.boot, p, 1+int(p.Session()%50), 1000) }
		n.run()
		all = append(all, n)
		return n
	}
	live := []*node{begin(), begin(), begin()}
	frozen := make(map[uint64]bool)
	for range 1000 {
		time.Sleep(20 * time.Millisecond)
		a, b := live[rnd.IntN(3)], live[rnd.IntN(3)]
		switch rnd.IntN(300) {
		case 0:
			net.Cut(a.boot, b.boot)
		case 1:
			net.CutOneWay(a.boot, b.boot)
		case 2, 3, 4:
			net.Heal(a.boot, b.boot)
		case 5:
			net.Freeze(a.boot)
			frozen[a.boot] = true
		case 6, 7:
			net.Thaw(a.boot)
			delete(frozen, a.boot)
		case 8:
			if rnd.IntN(3) == 0 {
				i := rnd.IntN(3)
				net.Kill(live[i].boot)
				live[i].stop()
				delete(frozen, live[i].boot)
				live[i] = begin()
			}
		}
		for _, n := range live {
			for _, p := range n.mesh.Peers() {
				for range rnd.IntN(6) {
					size := rnd.IntN(200)
					if rnd.IntN(50) == 0 {
						size = rnd.IntN(maxRecord - 16)
					}
					w.send(n.boot, p, size, size < 200 && rnd.IntN(8) == 0)
				}
				if s := p.Stats(); s.Used > 2*window+2*maxRecord {
					t.Errorf("seed %d: %d bytes wait for %d", seed, s.Used, p.Boot())
				}
			}
		}
	}
	for _, n := range live {
		net.Thaw(n.boot)
		for _, o := range live {
			net.Heal(n.boot, o.boot)
		}
	}
	net.Quiet(true)
	wait(90 * time.Second)
	check(t, seed, w, live, all)
}

// check looks at the rest after a scenario.
func check(t *testing.T, seed uint64, w *world, live, all []*node) {
	ended := make(map[way]bool) // self, peer, session; only of sessions that were up at self
	for _, n := range all {
		for _, s := range n.all() {
			ended[way{n.boot, s.peer.Boot(), s.peer.Session()}] = s.ended
		}
	}
	alive := make(map[uint64]bool)
	for _, n := range live {
		alive[n.boot] = true
		if got := len(n.mesh.Peers()); got != len(live)-1 {
			t.Errorf("seed %d: node %d has %d peers after the faults, want %d: %v", seed, n.boot, got, len(live)-1, n.all())
		}
	}
	for k, over := range ended {
		other, was := ended[way{k.to, k.from, k.session}]
		if !was {
			other = true // it never believed in the session
		}
		if alive[k.from] && alive[k.to] && over != other {
			t.Errorf("seed %d: session %+v has ended = %v, at the other side %v", seed, k, over, other)
		}
		if got, taken := w.arrived[k], w.taken[k]; got > taken || got < taken && !over {
			t.Errorf("seed %d: %+v: %d of %d records arrived, ended = %v", seed, k, got, taken, over)
		}
	}
}
