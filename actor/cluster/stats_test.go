package cluster_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// lessThan names the counters of st that are less than before.
func lessThan(st, before cluster.Stats) (names []string) {
	now, then := reflect.ValueOf(st), reflect.ValueOf(before)
	for i := range now.NumField() {
		if f := now.Field(i); f.Kind() == reflect.Uint64 && f.Uint() < then.Field(i).Uint() {
			names = append(names, fmt.Sprintf("%s: %d after %d", now.Type().Field(i).Name, f.Uint(), then.Field(i).Uint()))
		}
	}
	return names
}

// What each number says: of links that last, that have ended in each way, and that have begun again.
func TestNode_Stats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Seed: 1, Delay: 10 * time.Millisecond})
		n := c.Node(0)
		last := n.Stats()
		look := func() cluster.Stats {
			t.Helper()
			synctest.Wait()
			st := n.Stats()
			if less := lessThan(st, last); less != nil {
				t.Errorf("less than before: %q", less)
			}
			if up := len(slices.Collect(n.Peers())); st.Up != up || uint64(st.Up) != st.Ups-st.Left-st.Lost {
				t.Errorf("Stats = %+v, with %d Peers; want Up = Ups - Left - Lost = Peers", st, up)
			}
			last = st
			return st
		}
		links := func(when string, up int, ups, left, lost, resets uint64) {
			t.Helper()
			if st := look(); st.Up != up || st.Ups != ups || st.Left != left || st.Lost != lost || st.Resets != resets || st.Name != "n0" || !st.Ready {
				t.Errorf("%s: Stats = %+v; want n0, ready, %d up, %d ups, %d left, %d lost, %d resets", when, st, up, ups, left, lost, resets)
			}
		}
		links("at the start", 2, 2, 0, 0, 0)

		in := newInbox(t, c.System(1))
		away := c.At(0, in.pid)
		for i := range 100 {
			if !away.Send(i) {
				t.Fatalf("Send(%d) = false, want true", i)
			}
		}
		dead, _ := c.System(1).ParsePID(fmt.Sprintf("99.%016x@n0", boot(c.System(0))))
		dead.Send("to nobody")
		away.Send(make(chan int))
		wait(5 * time.Second)
		st := look()
		if st.RecordsOut < 100 || st.BytesOut < 300 || st.RecordsIn < 1 || st.BytesIn < 10 || st.Undelivered != 1 || st.Unencodable != 1 ||
			st.Refused != 0 || st.Undecodable != 0 || st.EngineLost != 0 {
			t.Errorf("Stats = %+v; want 100 records out and more, 1 undelivered, 1 unencodable", st)
		}
		if st.RTTMax <= 0 || st.RTTMax > 25*time.Millisecond || st.InUse != 0 || st.Window != 16<<20 {
			t.Errorf("Stats = %+v; want a round trip of up to 25ms, and nothing of 16 MiB in use", st)
		}
		if last := c.Node(1).Stats(); last.RecordsIn < 100 {
			t.Errorf("Stats of n1 = %+v; want 100 records in", last)
		}

		c.Freeze(1)
		for away.Send(make([]byte, 100_000)) {
		}
		if st := look(); st.InUse < 15<<20 || st.Window != 16<<20 || st.Refused != 1 {
			t.Errorf("with one window full Stats = %+v; want that one, and 1 refused", st)
		}
		c.Thaw(1)
		wait(time.Second)
		full := look()

		c.Cut(0, 1)
		wait(10 * time.Second)
		links("after a cut", 1, 2, 0, 1, 0)
		if st := look(); st.RecordsOut < full.RecordsOut || st.BytesOut < full.BytesOut || st.Refused != 1 || st.InUse != 0 || st.Window != 16<<20 {
			t.Errorf("after a cut Stats = %+v; want what was counted before, %+v, and the window of n2", st, full)
		}
		c.Heal(0, 1)
		c.Connect()
		links("after the heal", 2, 3, 0, 1, 1)
		c.Kill(1)
		wait(10 * time.Second)
		links("after a kill", 1, 3, 0, 2, 1)
		c.Restart(1)
		c.Connect()
		links("after a restart", 2, 4, 0, 2, 1)
		c.Stop(2)
		links("after a goodbye", 1, 4, 1, 2, 1)
		c.Stop(1)
		links("alone", 0, 4, 2, 2, 1)
		if st := look(); st.RTTMax != 0 || st.InUse != 0 || st.Window != 0 || st.Undelivered != 1 {
			t.Errorf("alone Stats = %+v; want no link, and what was counted", st)
		}
	})
}

// The numbers of a Node that is not served, that has ended, and that is served again.
func TestNode_Stats_served(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		var conn *troubled
		a := newNode(t, "a", cluster.Config{Engine: onNet{net: net, open: func(c cluster.Conn) cluster.Conn {
			conn = &troubled{Conn: c}
			return conn
		}}})
		serve(t, newNode(t, "b", cluster.Config{Engine: onNet{net: net}}))
		if got, want := a.Stats(), (cluster.Stats{Name: "a"}); got != want {
			t.Errorf("before Serve Stats = %+v, want %+v", got, want)
		}
		for i := range uint64(2) {
			stop := serve(t, a)
			wait(10 * time.Second)
			boom := errors.New("boom")
			conn.broken.Store(&boom)
			wait(2 * time.Second)
			if st := a.Stats(); st.Ready || st.EngineLost != i+1 || st.Up != 1 || st.Ups != i+1 {
				t.Errorf("without an engine Stats = %+v; want not ready, lost %d times, 1 up, %[2]d ups", st, i+1)
			}
			conn.broken.Store(nil)
			wait(2 * time.Second)
			if st := a.Stats(); !st.Ready {
				t.Errorf("with the engine again Stats = %+v, want ready", st)
			}
			stop()
			if st := a.Stats(); st.Ready || st.Up != 0 || st.Left != i+1 || st.Lost != 0 {
				t.Errorf("after Serve Stats = %+v; want not ready, none up, %d left: its own end is no loss", st, i+1)
			}
			wait(time.Minute)
		}
	})
}

// No counter is ever less than before, whoever looks, and at whatever moment of a link's end.
func TestNode_Stats_whileNodesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		types := func(i int, _ *actor.System) cluster.Config {
			if i == 0 {
				return cluster.Config{}
			}
			types := &cluster.Types{}
			cluster.Register[known](types, "known") // n0 cannot decode it
			return cluster.Config{Types: types}
		}
		c := clustertest.New(t, clustertest.Config{Seed: 1, Loss: 0.05, Dup: 0.05, Delay: 5 * time.Millisecond, Node: types})
		n, in := c.Node(0), newInbox(t, c.System(0))
		done := make(chan struct{})
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				last := n.Stats()
				for {
					select {
					case <-done:
						return
					case <-time.After(time.Duration(3*i+1) * time.Millisecond):
					}
					for range 20 {
						st := n.Stats()
						if less := lessThan(st, last); less != nil {
							t.Errorf("less than before: %q", less)
							return
						}
						last = st
					}
				}
			})
		}
		for round := range 12 {
			here, there := c.At(1, in.pid), c.At(0, newInbox(t, c.System(1)).pid)
			for i := range 200 {
				here.Send(i)
				here.Send(known{Text: "?"})
				there.Send(make([]byte, 1000))
			}
			wait(200 * time.Millisecond)
			switch round % 3 {
			case 0:
				c.Kill(1)
				wait(time.Second)
				c.Restart(1)
			case 1:
				c.Cut(0, 1)
				wait(7 * time.Second)
				c.Heal(0, 1)
			case 2:
				c.Restart(1)
			}
			c.Connect()
		}
		for tries := 0; n.Stats().Resent == 0 && tries < 1000; tries++ { // nothing of the little that n0 has sent was lost
			c.At(0, newInbox(t, c.System(1)).pid).Send(make([]byte, 1000))
			wait(200 * time.Millisecond)
		}
		close(done)
		all.Wait()
		st := n.Stats()
		if st.Lost < 8 || st.Left != 4 || st.Undecodable == 0 || st.Resent == 0 || st.RecordsIn < 12*200 {
			t.Errorf("Stats = %+v; want 8 lost and more, 4 left, some undecodable, some resent, 2,400 records in and more", st)
		}
	})
}
