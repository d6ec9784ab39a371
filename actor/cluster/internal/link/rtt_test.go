package link_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// A network that loses, and brings old datagrams seconds late, does not make the other node look farther away than it is: how long
// it takes until something is sent again depends on that.
func TestPeer_roundTrip(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			const delay = 3 * time.Millisecond
			const most = 2 * (2*delay + time.Millisecond) // one that comes out of order takes so long, and its answer as well
			net := network(t, seednet.Config{Seed: seed, Delay: delay, Loss: 0.05, Dup: 0.2, Reorder: 0.05})
			a, b := start(t, net, 1, nil), start(t, net, 2, nil)
			wait(time.Second)
			for i := range 2000 {
				if i%200 < 100 { // then both are quiet for two seconds, so that there are ACKs of both
					a.offer(2, "a record")
					b.offer(1, "another")
				}
				wait(20 * time.Millisecond)
				for _, n := range []*node{a, b} {
					if rtt := n.peer(3 - n.boot).Stats().RTT; rtt > most || rtt == 0 && i > 500 { // 0: the first ACKs were lost
						t.Fatalf("seed %d: after %v node %d measures a round trip of %v; want at most %v", seed, time.Duration(i+1)*20*time.Millisecond, n.boot, rtt, most)
					}
				}
			}
		})
	}
}

// A node that sends frames all the time sends no ACK. When it falls quiet, it is measured again at once, whatever its clock says: that
// wraps around after 71 minutes.
func TestPeer_roundTrip_afterLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		a, b := start(t, net, 1, nil), start(t, net, 2, nil)
		wait(5 * time.Second)
		for range 40 * 60 * 2 {
			a.offer(2, "a record")
			wait(500 * time.Millisecond)
		}
		net.SetDelay(40 * time.Millisecond)
		wait(30 * time.Second)
		for _, n := range []*node{a, b} {
			if rtt := n.peer(3 - n.boot).Stats().RTT; rtt < 10*time.Millisecond {
				t.Errorf("node %d measures a round trip of %v where one way takes 20 ms on average: it has measured nothing since", n.boot, rtt)
			}
		}
	})
}
