package link_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
)

var errBad = errors.New("bad record")

// All pairs of nodes find each other, whoever starts first.
func TestMesh_membership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: 5 * time.Millisecond})
		boots := []uint64{5, 3, 9, 1, 7}
		var nodes []*node
		for _, boot := range boots {
			nodes = append(nodes, start(t, net, boot, nil))
			wait(100 * time.Millisecond)
		}
		slices.Sort(boots)
		for _, n := range nodes {
			var got []uint64
			for _, p := range n.mesh.Peers() {
				got = append(got, p.Boot())
			}
			want := slices.DeleteFunc(slices.Clone(boots), func(b uint64) bool { return b == n.boot })
			if !slices.Equal(got, want) {
				t.Errorf("Peers of node %d = %v, want %v", n.boot, got, want)
			}
		}
	})
}

// The first datagrams to and from a new node are often lost: NATS has not told the others of its subscription yet, or the
// servers are not connected yet. The session must not have to wait for the next regular HELLO.
func TestMesh_opensAfterLostStart(t *testing.T) {
	for _, late := range []uint64{1, 2} {
		other := 3 - late
		for name, cut := range map[string]func(*seednet.Network){
			"to it":   func(n *seednet.Network) { n.CutOneWay(other, late) },
			"from it": func(n *seednet.Network) { n.CutOneWay(late, other) },
			"both":    func(n *seednet.Network) { n.Cut(late, other) },
		} {
			t.Run(fmt.Sprint("the late one is ", late, ", lost ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := network(t, seednet.Config{})
					a := start(t, net, other, nil)
					wait(time.Minute)
					cut(net)
					start(t, net, late, nil)
					wait(300 * time.Millisecond)
					net.Heal(1, 2)
					wait(500 * time.Millisecond)
					a.peer(late)
				})
			})
		}
	}
}

// An engine without a network at the start, or for longer than nodes are known: when it is back, the nodes find each other at once.
func TestMesh_opensWhenTheEngineIsBack(t *testing.T) {
	for name, before := range map[string]time.Duration{"at the start": 0, "later": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				var lost atomic.Bool
				lost.Store(before == 0)
				var nodes [2]*node
				for i := range nodes {
					nodes[i] = prepare(t, net, uint64(1+i), func(o *link.Options) {
						o.Publish = func(to uint64, b []byte) error {
							if lost.Load() {
								return errBad
							}
							return nodes[i].conn.Publish(to, b)
						}
					})
					nodes[i].run()
				}
				wait(before)
				lost.Store(true)
				wait(time.Minute)
				since := nodes[0].mesh.Stats().Published
				wait(time.Minute)
				if n := nodes[0].mesh.Stats().Published - since; n > 70 {
					t.Errorf("%d datagrams in a minute without a network, want about one a second", n)
				}
				lost.Store(false)
				wait(1500 * time.Millisecond)
				nodes[0].peer(2)
				since = nodes[0].mesh.Stats().Published
				wait(time.Minute)
				if n := nodes[0].mesh.Stats().Published - since; n > 60+12+7 {
					t.Errorf("%d datagrams in a minute of silence, want a heartbeat a second and a HELLO in 5", n)
				}
			})
		})
	}
}

// Datagrams pass in one direction only: neither side believes in a session.
func TestMesh_oneWay(t *testing.T) {
	for _, from := range []uint64{1, 2} {
		t.Run(fmt.Sprint("only from ", from), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				net.CutOneWay(3-from, from)
				a, b := start(t, net, 1, nil), start(t, net, 2, nil)
				wait(time.Minute)
				for _, n := range []*node{a, b} {
					if got := len(n.all()); got != 0 {
						t.Errorf("node %d had %d sessions, want none", n.boot, got)
					}
				}
				net.Heal(1, 2)
				wait(11 * time.Second)
				a.peer(2)
				b.peer(1)
			})
		})
	}
}

// A cut ends the session at both sides after DownAfter, whichever direction it cuts; a shorter one does not.
func TestMesh_cut(t *testing.T) {
	for name, cut := range map[string]func(*seednet.Network){
		"both ways": func(n *seednet.Network) { n.Cut(1, 2) },
		"one way":   func(n *seednet.Network) { n.CutOneWay(1, 2) },
		"other way": func(n *seednet.Network) { n.CutOneWay(2, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				a, b := start(t, net, 1, nil), start(t, net, 2, nil)
				wait(time.Second)
				a.offer(2, "before")
				wait(time.Second)
				cut(net)
				a.offer(2, "while cut")
				wait(2900 * time.Millisecond)
				net.Heal(1, 2)
				wait(2 * time.Second)
				b.wantRecords(1, "before", "while cut")
				if n, m := len(a.with(2)), len(b.with(1)); n != 1 || m != 1 {
					t.Fatalf("after a cut of 2.9 s there were %d and %d sessions, want 1 and 1", n, m)
				}
				cut(net)
				since := time.Now()
				wait(12 * time.Second)
				for _, n := range []*node{a, b} {
					s := n.with(3 - n.boot)[0]
					if d := s.downAt.Sub(since); !s.ended || d < 3900*time.Millisecond || d > 11*time.Second {
						t.Errorf("node %d: ended %v after %v, want after 4 to 6 s, or that and what the other needs", n.boot, s.ended, d)
					}
				}
				net.Heal(1, 2)
				wait(6 * time.Second)
				if a.peer(2).Session() != b.peer(1).Session() {
					t.Error("the two sides have different sessions")
				}
			})
		})
	}
}

// kill -9: the others know after DownAfter, and at once when the engine suspects it or another boot has its name.
func TestMesh_killed(t *testing.T) {
	for name, tt := range map[string]struct {
		hint     func(t *testing.T, net *seednet.Network, a *node)
		min, max time.Duration
	}{
		"silence":   {func(*testing.T, *seednet.Network, *node) {}, 3900 * time.Millisecond, 5100 * time.Millisecond},
		"suspected": {func(_ *testing.T, _ *seednet.Network, a *node) { a.mesh.Suspect(2) }, time.Second, 1100 * time.Millisecond},
		"is restarted": {func(t *testing.T, net *seednet.Network, _ *node) {
			start(t, net, 4, func(o *link.Options) { o.Name = "b" })
		}, time.Second, 1100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{Delay: time.Millisecond})
				a, b := start(t, net, 1, nil), start(t, net, 2, nil)
				wait(10 * time.Second)
				a.peer(2)
				net.Kill(2)
				since := time.Now()
				tt.hint(t, net, a)
				wait(10 * time.Second)
				a.wantDown(2, link.ErrSilent)
				if d := a.with(2)[0].downAt.Sub(since); d < tt.min || d > tt.max {
					t.Errorf("down after %v, want %v to %v", d, tt.min, tt.max)
				}
				if len(b.with(1)) != 1 || len(a.with(2)) != 1 {
					t.Errorf("sessions: %v, %v, want one each", a.history(2), b.history(1))
				}
			})
		})
	}
}

// A suspicion of a node that lives does not harm it.
func TestMesh_Suspect_alive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: 100 * time.Millisecond})
		change := func(o *link.Options) { o.Heartbeat, o.DownAfter = 10*time.Second, time.Minute }
		a, b := start(t, net, 1, change), start(t, net, 2, change)
		wait(3 * time.Second)
		for range 20 {
			a.mesh.Suspect(2)
			b.mesh.Suspect(1)
			a.mesh.Suspect(77)
			wait(1700 * time.Millisecond)
		}
		if len(a.with(2)) != 1 || len(b.with(1)) != 1 {
			t.Errorf("sessions: %v, %v, want one each that lasts", a.history(2), b.history(1))
		}
		a.peer(2)
	})
}

// Two nodes of one name live, told apart by boot, and whoever knows both is told.
func TestMesh_sameName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		twin := func(o *link.Options) { o.Name = "twin" }
		a, b, c := start(t, net, 1, nil), start(t, net, 2, twin), start(t, net, 3, twin)
		wait(30 * time.Second)
		for _, n := range []*node{a, b, c} {
			if got := len(n.mesh.Peers()); got != 2 || len(n.all()) != 2 {
				t.Errorf("node %d has %d peers and had %d sessions, want 2", n.boot, got, len(n.all()))
			}
			if e := n.kinds(link.SameName); len(e) != 1 || e[0].Node != "twin" {
				t.Errorf("node %d: Events SameName = %v, want one of twin", n.boot, e)
			}
		}
	})
}

// A node that was killed and is started anew has the name of one that is known. That is no trouble: the old one is gone.
func TestMesh_sameName_restarted(t *testing.T) {
	for _, version := range []uint8{1, 2} { // 2: no session, only its HELLOs are known
		for _, after := range []time.Duration{50 * time.Millisecond, time.Second, 4 * time.Second, 8 * time.Second, 14 * time.Second} {
			t.Run(fmt.Sprintf("version %d, after %v", version, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := network(t, seednet.Config{Delay: time.Millisecond})
					change := func(o *link.Options) { o.Name, o.VersionMin, o.VersionMax = "b", version, version }
					a, c := start(t, net, 1, nil), start(t, net, 9, nil)
					start(t, net, 2, change)
					wait(10 * time.Second)
					for boot := range uint64(3) {
						net.Kill(2 + boot)
						wait(after)
						start(t, net, 3+boot, change)
						wait(10 * time.Second)
					}
					for _, n := range []*node{a, c} {
						if e := n.kinds(link.SameName); len(e) != 0 {
							t.Errorf("node %d: Events SameName = %v, want none", n.boot, e)
						}
					}
					twin := start(t, net, 6, change) // now two of them live
					wait(10 * time.Second)
					for _, n := range []*node{a, c, twin} {
						if e := n.kinds(link.SameName); len(e) != 1 || e[0].Node != "b" || e[0].Err == nil {
							t.Errorf("node %d: Events SameName = %v, want one of b", n.boot, e)
						}
					}
				})
			})
		}
	}
}

// SIGSTOP for less than DownAfter is noticed by nobody; for longer, both sides know, and have a new session soon after SIGCONT.
func TestMesh_stopped(t *testing.T) {
	for _, stopped := range []uint64{1, 2} {
		for d, sessions := range map[time.Duration]int{3500 * time.Millisecond: 1, 9 * time.Second: 2} {
			t.Run(fmt.Sprint("node ", stopped, " for ", d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					net := network(t, seednet.Config{Delay: time.Millisecond})
					a, b := start(t, net, 1, nil), start(t, net, 2, nil)
					wait(10 * time.Second)
					net.Freeze(stopped)
					wait(d)
					net.Thaw(stopped)
					wait(150 * time.Millisecond)
					a.offer(2, "on")
					b.offer(1, "on")
					wait(time.Second)
					a.wantRecords(2, "on")
					b.wantRecords(1, "on")
					if n, m := len(a.with(2)), len(b.with(1)); n != sessions || m != sessions {
						t.Errorf("sessions %v and %v, want %d at each side", a.history(2), b.history(1), sessions)
					}
				})
			})
		}
	}
}

// The time in which a node stood still itself does not count as the silence of others.
func TestMesh_stoppedDoesNotBlameOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		patient := func(o *link.Options) { o.DownAfter = time.Minute }
		a, b := start(t, net, 1, nil), start(t, net, 2, patient)
		wait(10 * time.Second)
		net.Freeze(1) // its own DownAfter is 5 s
		net.CutOneWay(2, 1)
		wait(9 * time.Second)
		net.Heal(1, 2)
		net.Thaw(1)
		wait(3 * time.Second)
		if n, m := len(a.with(2)), len(b.with(1)); n != 1 || m != 1 {
			t.Errorf("sessions %v and %v, want one at each side", a.history(2), b.history(1))
		}
	})
}

// Sessions that end at once are opened after 0, 1, 2, 4, 8, 16, 30, 30 s.
func TestMesh_flapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a, b := prepare(t, net, 1, nil), prepare(t, net, 2, nil)
		b.onUp = func(p *link.Peer) { p.Reset(errBad) }
		a.run()
		b.run()
		wait(2 * time.Minute)
		var got []time.Duration
		for i, s := range a.all() {
			if i > 0 {
				got = append(got, s.upAt.Sub(a.all()[i-1].downAt).Round(time.Second))
			}
		}
		want := []time.Duration{0, 1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}
		if !slices.Equal(got, want) {
			t.Errorf("sessions were opened after %v, want %v", got, want)
		}
		if e := a.kinds(link.Flapping); len(e) < 7 {
			t.Errorf("Events Flapping = %v, want at least 7", e)
		}
		b.mu.Lock()
		b.onUp = nil
		b.mu.Unlock()
		wait(time.Minute)
		a.peer(2)
		net.Cut(1, 2)
		wait(8 * time.Second)
		net.Heal(1, 2)
		wait(6 * time.Second)
		a.peer(2) // a session that lasted is opened at once
	})
}

// Session numbers come from the wall clock, and rise when it is stepped back, also for a Mesh that was made anew.
func TestMesh_clockSteppedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		wall := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		step := func(d time.Duration) { mu.Lock(); wall = wall.Add(d); mu.Unlock() }
		clock := func(o *link.Options) {
			o.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); return wall }
		}
		net := network(t, seednet.Config{})
		a, b := start(t, net, 1, clock), start(t, net, 2, clock)
		wait(time.Second)
		first := a.peer(2).Session()
		if first != uint64(wall.UnixNano()) {
			t.Errorf("session %d, want the time %d", first, wall.UnixNano())
		}
		step(-24 * time.Hour)
		a.peer(2).Reset(errBad)
		wait(time.Second)
		second := b.peer(1).Session()
		if second <= first {
			t.Errorf("session %d after %d, want a higher number", second, first)
		}
		a.stop() // without a word; its successor has the same boot, and has forgotten the numbers
		a.conn.Close()
		step(-24 * time.Hour)
		a2 := start(t, net, 1, clock)
		wait(2500 * time.Millisecond)
		if got := a2.peer(2).Session(); got <= second || got != b.peer(1).Session() {
			t.Errorf("session %d (%d at the other side) after %d, want a higher number", got, b.peer(1).Session(), second)
		}
	})
}

// A Mesh that is made anew with the boot of the last one gets new sessions at once, whoever proposes.
func TestMesh_restartedWithItsBoot(t *testing.T) {
	for _, boot := range []uint64{1, 2} {
		t.Run(fmt.Sprint("boot ", boot), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{})
				nodes := map[uint64]*node{1: start(t, net, 1, nil), 2: start(t, net, 2, nil)}
				wait(20 * time.Second)
				other := nodes[3-boot]
				nodes[boot].stop()
				nodes[boot].conn.Close()
				again := start(t, net, boot, nil)
				wait(2500 * time.Millisecond)
				again.offer(other.boot, "new")
				wait(time.Second)
				other.wantRecords(boot, "new")
				ss := other.with(boot)
				if len(ss) != 2 || !errors.Is(ss[0].reason, link.ErrReset) {
					t.Errorf("sessions %v, want two, the first one reset", other.history(boot))
				}
			})
		})
	}
}

func TestMesh_Goodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		a, b, c := start(t, net, 1, nil), start(t, net, 2, nil), start(t, net, 3, nil)
		wait(time.Second)
		var want []string
		for i := range 1000 {
			want = append(want, fmt.Sprint("last words ", i))
			a.offer(2, want[i])
		}
		since := time.Now()
		if err := a.goodbye(time.Second); err != nil {
			t.Errorf("Goodbye: %v", err)
		}
		if d := time.Since(since); d > 20*time.Millisecond {
			t.Errorf("Goodbye took %v, want a round trip", d)
		}
		b.wantRecords(1, want...)
		b.wantDown(1, link.ErrGoodbye)
		c.wantDown(1, link.ErrGoodbye)
		a.wantDown(2, link.ErrClosed)
		wait(time.Minute) // a runs on, but has no sessions
		if n := len(b.with(1)) + len(c.with(1)) + len(a.all()); n != 4 {
			t.Errorf("sessions %v %v, want none after the goodbye", b.history(1), c.history(1))
		}
		a.stop()
		b.offer(3, "we are still here")
		wait(time.Second)
		c.wantRecords(2, "we are still here")
		if got := c.mesh.Stats(); got.Known != 1 {
			t.Errorf("Known = %d a minute after the goodbye, want 1", got.Known)
		}
	})
}

func TestMesh_Goodbye_bothAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{Delay: time.Millisecond})
		a, b := start(t, net, 1, nil), start(t, net, 2, nil)
		wait(time.Second)
		var wg sync.WaitGroup
		for _, n := range []*node{a, b} {
			wg.Go(func() {
				if err := n.goodbye(time.Second); err != nil {
					t.Errorf("Goodbye of node %d: %v", n.boot, err)
				}
			})
		}
		wg.Wait()
	})
}

// The goodbye, or its acknowledgement, is lost: it is said again.
func TestMesh_Goodbye_lost(t *testing.T) {
	for name, cut := range map[string][2]uint64{"goodbye": {1, 2}, "acknowledgement": {2, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := network(t, seednet.Config{Delay: time.Millisecond})
				a, b := start(t, net, 1, nil), start(t, net, 2, nil)
				wait(time.Second)
				net.CutOneWay(cut[0], cut[1])
				time.AfterFunc(50*time.Millisecond, func() { net.Heal(1, 2) })
				if err := a.goodbye(time.Second); err != nil {
					t.Errorf("Goodbye: %v", err)
				}
				a.wantDown(2, link.ErrClosed)
				b.wantDown(1, link.ErrGoodbye)
			})
		})
	}
}

// Goodbye to a node that does not answer ends with its context, and Run's end ends the session.
func TestMesh_Goodbye_unanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a := start(t, net, 1, nil)
		start(t, net, 2, nil)
		wait(time.Second)
		net.Cut(1, 2)
		if err := a.goodbye(time.Second); err == nil {
			t.Error("Goodbye = nil while the other node is cut off")
		}
		a.stop()
		a.wantDown(2, link.ErrClosed)
	})
}

func TestMesh_Run_once(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a := start(t, net, 1, nil)
		wait(time.Second)
		if err := a.mesh.Run(t.Context()); err == nil {
			t.Error("a second Run = nil")
		}
		a.stop()
		if err := a.mesh.Run(t.Context()); err == nil {
			t.Error("Run after its end = nil")
		}
	})
}

// A node that is gone for good is forgotten.
func TestMesh_forgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := network(t, seednet.Config{})
		a := start(t, net, 1, nil)
		start(t, net, 2, nil)
		wait(time.Second)
		net.Kill(2)
		wait(30 * time.Second)
		if got := a.mesh.Stats(); got.Known != 0 || got.Sessions != 0 {
			t.Errorf("Known = %d, Sessions = %d half a minute after the node was killed, want 0, 0", got.Known, got.Sessions)
		}
	})
}

func TestNew_rejects(t *testing.T) {
	for name, change := range map[string]func(*link.Options){
		"no name":           func(o *link.Options) { o.Name = "" },
		"long name":         func(o *link.Options) { o.Name = string(make([]byte, 201)) },
		"name not UTF-8":    func(o *link.Options) { o.Name = "\xff" },
		"boot 0":            func(o *link.Options) { o.Boot = 0 },
		"short heartbeat":   func(o *link.Options) { o.Heartbeat = time.Millisecond },
		"short DownAfter":   func(o *link.Options) { o.DownAfter = 2 * time.Second },
		"negative Window":   func(o *link.Options) { o.Window = -1 },
		"negative record":   func(o *link.Options) { o.MaxRecord = -1 },
		"huge record":       func(o *link.Options) { o.MaxRecord = 1<<30 + 1 },
		"small datagrams":   func(o *link.Options) { o.MaxDatagram = 511 },
		"negative MaxPeers": func(o *link.Options) { o.MaxPeers = -1 },
		"version 16":        func(o *link.Options) { o.VersionMin, o.VersionMax = 1, 16 },
		"no version":        func(o *link.Options) { o.VersionMin, o.VersionMax = 3, 2 },
		"no Publish":        func(o *link.Options) { o.Publish = nil },
		"no Up":             func(o *link.Options) { o.Up = nil },
		"no Record":         func(o *link.Options) { o.Record = nil },
		"no Down":           func(o *link.Options) { o.Down = nil },
	} {
		t.Run(name, func(t *testing.T) {
			o := link.Options{
				Name: "a", Boot: 1, Publish: func(uint64, []byte) error { return nil },
				Up: func(*link.Peer) {}, Record: func(*link.Peer, []byte, bool) {}, Down: func(*link.Peer, error) {},
			}
			if _, err := link.New(o); err != nil {
				t.Fatalf("New of the least Options: %v", err)
			}
			change(&o)
			if m, err := link.New(o); err == nil || m != nil {
				t.Errorf("New = %v, %v, want an error", m, err)
			}
		})
	}
}
