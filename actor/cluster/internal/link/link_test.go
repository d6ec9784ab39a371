package link_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

// time.Sleep in these tests is synctest's: no time passes.

func TestMesh_twoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		a, b := start(t, net, 1, nil), start(t, net, 2, nil)
		wait(20 * time.Millisecond)
		a.offer(2, "one")
		a.peer(2).Control([]byte("t"), nil, []byte("wo"))
		a.offer(2, "")
		b.offer(1, "back")
		wait(5 * time.Millisecond)
		b.wantRecords(1, "one", "two", "")
		a.wantRecords(2, "back")
		if p := a.peer(2); p.Name() != "b" || p.Boot() != 2 || p.Session() == 0 || p.Session() != b.peer(1).Session() {
			t.Errorf("Peer = %q %d session %d, want b 2 and the session %d of the other side", p.Name(), p.Boot(), p.Session(), b.peer(1).Session())
		}
		if err := a.goodbye(time.Second); err != nil {
			t.Errorf("Goodbye: %v", err)
		}
		a.wantDown(2, link.ErrClosed)
		wait(5 * time.Millisecond)
		b.wantDown(1, link.ErrGoodbye)
	})
}

func TestPeer_Offer_longRecords(t *testing.T) {
	for name, size := range map[string]int{
		"a frame":         32<<10 - 37 - 3,
		"one byte more":   32<<10 - 37 - 2,
		"a datagram":      1 << 20,
		"beyond a window": 3 << 20,
		"the most":        4 << 20,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{Delay: time.Millisecond})
				change := func(o *link.Options) { o.Window, o.MaxRecord = 2<<20, 4<<20 }
				a, b := start(t, net, 1, change), start(t, net, 2, change)
				wait(20 * time.Millisecond)
				long := strings.Repeat("0123456789abcdef!", size/17+1)[:size]
				a.offer(2, "before")
				wait(time.Second)
				a.offer(2, long)
				a.peer(2).Control([]byte("after"))
				wait(time.Second)
				b.wantRecords(1, "before", long, "after")
				if got := a.peer(2).Stats(); got.Used != 0 || got.Resent != 0 {
					t.Errorf("after all was acknowledged Used = %d, Resent = %d, want 0, 0", got.Used, got.Resent)
				}
			})
		})
	}
}

func TestPeer_Offer_refuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		change := func(o *link.Options) { o.Window, o.MaxRecord = 64<<10, 100<<10 }
		a, b := start(t, net, 1, change), start(t, net, 2, func(o *link.Options) { change(o); o.MaxRecord = 80 << 10 })
		wait(20 * time.Millisecond)
		p := a.peer(2)
		if got, want := p.MaxRecord(), 80<<10; got != want {
			t.Errorf("MaxRecord() = %d, want %d, the smaller of the two", got, want)
		}
		if p.Offer(make([]byte, 80<<10+1)) {
			t.Error("Offer of a record longer than MaxRecord = true")
		}
		net.Freeze(2)
		var taken []string
		for range 1000 {
			if rec := strings.Repeat("x", 1000); p.Offer([]byte(rec)) {
				taken = append(taken, rec)
			}
		}
		if got := p.Stats(); len(taken) < 60 || len(taken) > 65 || got.Refused != uint64(1001-len(taken)) {
			t.Errorf("of 1000 records of 1000 bytes %d were taken, Refused = %d; want those that fit into 64 KiB, and the rest", len(taken), got.Refused)
		}
		if p.Offer(make([]byte, 70<<10)) {
			t.Error("Offer of a record longer than the grant, while others are on their way = true")
		}
		synctest.Wait()
		if e := a.kinds(link.Slow); len(e) != 1 || e[0].Node != "b" {
			t.Errorf("Events Slow = %v, want one of b", e)
		}
		net.Thaw(2)
		wait(time.Second)
		b.wantRecords(1, taken...)
		b.stop()
		wait(10 * time.Second)
		if p.Offer([]byte("late")) {
			t.Error("Offer after the end of the session = true")
		}
		p.Control([]byte("late")) // does nothing
	})
}

// While Offers are refused, control records get through, in order.
func TestPeer_Control_passesRefusedOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		change := func(o *link.Options) { o.Window, o.MaxRecord = 64<<10, 4<<10 }
		a, b := start(t, net, 1, change), start(t, net, 2, change)
		wait(20 * time.Millisecond)
		net.Freeze(2)
		var want []string
		for p, rec := a.peer(2), strings.Repeat("o", 100); p.Offer([]byte(rec)); {
			want = append(want, rec)
		}
		for _, c := range []string{"exit 1", "exit 2", "down"} {
			if a.peer(2).Offer([]byte(strings.Repeat("o", 100))) {
				t.Fatal("the window is not full")
			}
			a.peer(2).Control([]byte(c))
			want = append(want, c)
		}
		wait(3 * time.Second)
		net.Thaw(2)
		wait(time.Second)
		b.wantRecords(1, want...)
		if got := len(b.with(1)); got != 1 {
			t.Errorf("%d sessions, want 1", got)
		}
	})
}

// What may be on its way stays within the grant while control records wait; beyond twice of it the session ends at both sides.
func TestPeer_Control_overflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 64 << 10
		net := network(t, seednet.Config{})
		change := func(o *link.Options) { o.Window, o.MaxRecord = window, 4<<10 }
		a, b := start(t, net, 1, change), start(t, net, 2, change)
		wait(20 * time.Millisecond)
		net.Freeze(2)
		p := a.peer(2)
		n := 0
		for ; p.Stats().Used+1000 <= 2*window && n < 1000; n++ {
			p.Control(make([]byte, 1000))
		}
		synctest.Wait()
		if got := net.Waiting(2); got > window+2*1024 {
			t.Errorf("%d bytes are on their way, %d were granted", got, window)
		}
		if n < 120 || len(a.mesh.Peers()) != 1 {
			t.Fatalf("after %d control records of 1000 bytes the sessions are %v, want one until 2 x %d bytes wait", n, a.history(2), window)
		}
		for range 3 {
			p.Control(make([]byte, 1000))
		}
		synctest.Wait()
		a.wantDown(2, link.ErrOverflow)
		net.Thaw(2)
		wait(10 * time.Millisecond)
		if ss := b.with(1); !ss[0].ended {
			t.Error("the other side does not know of the end")
		}
		wait(time.Second)
		if a.peer(2).Session() == p.Session() {
			t.Error("the session goes on after its end")
		}
	})
}

func TestPeer_Control_tooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a := start(t, net, 1, func(o *link.Options) { o.MaxRecord = 1000 })
		start(t, net, 2, nil)
		wait(20 * time.Millisecond)
		defer func() {
			if v := recover(); v == nil {
				t.Error("Control of 1001 bytes with MaxRecord 1000 did not panic")
			}
		}()
		a.peer(2).Control(make([]byte, 1001))
	})
}

// Methods of Peer may be called in callbacks, of the same Peer too.
func TestPeer_inCallbacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		a, b := prepare(t, net, 1, nil), prepare(t, net, 2, nil)
		b.onUp = func(p *link.Peer) { p.Control([]byte("up")) }
		b.onRecord = func(p *link.Peer, rec []byte) { // an echo
			if !p.Offer([]byte("echo "), rec) {
				t.Errorf("Offer in Record = false")
			}
			if string(rec) == "bad" {
				p.Reset(errBad)
				if p.Offer([]byte("x")) {
					t.Error("Offer after Reset = true")
				}
			}
		}
		a.run()
		b.run()
		wait(20 * time.Millisecond)
		a.offer(2, "1")
		a.offer(2, "2")
		wait(20 * time.Millisecond)
		a.wantRecords(2, "up", "echo 1", "echo 2")
		a.offer(2, "bad")
		wait(3 * time.Millisecond)
		if s := b.with(1)[0]; !errors.Is(s.reason, link.ErrProtocol) || !errors.Is(s.reason, errBad) {
			t.Errorf("Down after Reset(%v) = %v, want ErrProtocol that wraps it", errBad, s.reason)
		}
		wait(5 * time.Millisecond)
		if s := a.with(2)[0]; !s.ended {
			t.Error("the other side does not know of Reset")
		}
	})
}
