package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/cluster/clustertest"
	"github.com/troupe-dev/troupe/actor/cluster/internal/link"
	"github.com/troupe-dev/troupe/actor/cluster/internal/seednet"
	"github.com/troupe-dev/troupe/actor/host"
)

const (
	maxCalls    = 1 << 16
	maxMonitors = 1 << 18
)

// mute answers no Call, and handles each only when it may.
func mute(t testing.TB, sys *actor.System) actor.PID {
	return spawn(t, sys, &behaviour{receive: func(ctx context.Context, _ any) error { _, _ = actor.Caller(ctx); return nil }},
		actor.SpawnOptions{MailboxLimit: -1})
}

// So many Calls to one node may wait for their answers; then they are refused, until one has ended.
func TestCall_limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		away := c.At(0, mute(t, c.System(1)))
		failed, cancel := error(nil), func() {}
		begin := func() { cancel = host.Ask(away, actor.PID{}, 1, time.Time{}, func(_ any, err error) { failed = err }) }
		for range maxCalls {
			begin()
		}
		synctest.Wait()
		if failed != nil {
			t.Fatalf("one of %d Calls = %v", maxCalls, failed)
		}
		begin()
		if !errors.Is(failed, actor.ErrMailboxFull) {
			t.Errorf("Call %d = %v, want ErrMailboxFull", maxCalls+1, failed)
		}
		failed = nil
		host.Ask(away, actor.PID{}, 1, time.Now().Add(time.Hour), func(any, error) {})
		ctx, stop := context.WithCancel(context.Background())
		stop()
		if _, err := actor.Call[any](ctx, away, 1); err == nil {
			t.Error("a Call whose ctx is done = nil")
		}
		c.Cut(0, 1)
		wait(10 * time.Second)
		if !errors.Is(failed, actor.ErrNodeDown) {
			t.Errorf("a Call that waited = %v, want ErrNodeDown", failed)
		}
		c.Heal(0, 1)
		c.Connect()
		failed = nil
		for range maxCalls {
			begin()
		}
		cancel()
		begin()
		synctest.Wait()
		if failed != nil {
			t.Errorf("Call in the place of one that was cancelled = %v", failed)
		}
	})
}

func TestMonitor_limit(t *testing.T) {
	if raceEnabled {
		t.Skip("hundreds of thousands of monitors are too many for the race detector; the run without it has this test")
	}
	synctest.Test(t, func(t *testing.T) {
		c := clustertest.New(t, clustertest.Config{Nodes: 2, Seed: 1})
		p := mute(t, c.System(1))
		away := c.At(0, p)
		downs := map[string]int{}
		cancel := func() {}
		begin := func() { cancel = host.Watch(away, func(reason error) { downs[reason.Error()]++ }) }
		for range maxMonitors {
			begin()
		}
		synctest.Wait()
		if len(downs) > 0 {
			t.Fatalf("monitors of a process that lives: %v", downs)
		}
		cancel()
		begin()
		synctest.Wait()
		if len(downs) > 0 {
			t.Errorf("a monitor in the place of one that was stopped: %v", downs)
		}
		begin()
		if len(downs) != 1 {
			t.Errorf("a monitor too many: %v, want an error", downs)
		}
		for text := range downs {
			if !strings.Contains(text, fmt.Sprint("more than ", maxMonitors)) {
				t.Errorf("a monitor too many: %q", text)
			}
		}
		clear(downs)
		p.Exit(actor.ErrShutdown)
		wait(time.Minute)
		if len(downs) != 1 || downs[actor.ErrShutdown.Error()] != maxMonitors {
			t.Errorf("the end of the process: %v, want %d times %v", downs, maxMonitors, actor.ErrShutdown)
		}
	})
}

// one is a node and a stranger that is connected with it. in gets messages of the stranger.
func one(t *testing.T, cfg cluster.Config) (n *cluster.Node, in *inbox, s *stranger) {
	t.Helper()
	net := network(t, seednet.Config{})
	cfg.Engine = onNet{net: net}
	n = newNode(t, "n", cfg)
	serve(t, n)
	in = newInbox(t, n.System())
	return n, in, newStranger(t, net, nil)
}

// A node that does not keep to the limits gets errors, or is left.
func TestLimits_ofWhatAnotherNodeAsks(t *testing.T) {
	if raceEnabled {
		t.Skip("hundreds of thousands of monitors are too many for the race detector; the run without it has this test")
	}
	synctest.Test(t, func(t *testing.T) {
		n, _, s := one(t, cluster.Config{})
		num := number(mute(t, n.System()))
		s.peer.Load().Control(rec(hello, 0))
		synctest.Wait()
		s.got.forget()
		for id := range uint64(maxCalls) {
			s.peer.Load().Control(with(rec(call, id, num, 0), append([]byte{0}, value("x")...)...))
		}
		synctest.Wait()
		if got := s.got.all(); len(got) > 0 {
			t.Fatalf("%d Calls: the first answer is %q, want none", maxCalls, got[0])
		}
		s.peer.Load().Control(with(rec(call, maxCalls, num, 0), append([]byte{0}, value("x")...)...))
		synctest.Wait()
		if got := s.got.all(); len(got) != 1 || got[0][0] != fail || !strings.HasPrefix(got[0][1:], string(rec(0, maxCalls)[1:])) {
			t.Errorf("a Call too many was answered with %q, want that it fails", got)
		}
		s.peer.Load().Control(rec(cancelCall, 0))
		s.peer.Load().Control(with(rec(call, 0, num, 0), append([]byte{0}, value("x")...)...))
		for id := range uint64(2 * maxMonitors) {
			s.peer.Load().Control(rec(monitor, id, num))
		}
		synctest.Wait()
		if got := s.got.all(); len(got) != 1 || len(s.ends.all()) > 0 {
			t.Errorf("within the limits the stranger was told %q, and its session has ended %d times", got, len(s.ends.all()))
		}
		s.peer.Load().Control(rec(monitor, 2*maxMonitors, num))
		synctest.Wait()
		if ends := s.ends.all(); len(ends) != 1 || !errors.Is(ends[0], link.ErrReset) {
			t.Errorf("after too many monitors the session has ended with %v, want a reset", ends)
		}
	})
}

// A record that makes no sense ends the session, whose end is told as any other; what came before it has arrived, and the
// node is as good as before to others, and to the next session.
func TestBrokenRecords(t *testing.T) {
	long := make([]byte, 70<<10)
	for _, tt := range []struct {
		name string
		recs func(num uint64) [][]byte
	}{
		{"empty", func(uint64) [][]byte { return [][]byte{{}} }},
		{"no hello", func(num uint64) [][]byte { return [][]byte{with(rec(send, num), value("x")...)} }},
		{"two hellos", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(hello, 0)} }},
		{"hello without its number", func(uint64) [][]byte { return [][]byte{{hello}} }},
		{"too many channels", func(uint64) [][]byte { return [][]byte{rec(hello, 65)} }},
		{"channel without a name", func(uint64) [][]byte { return [][]byte{rec(hello, 1, 0)} }},
		{"channel with a long name", func(uint64) [][]byte { return [][]byte{with(rec(hello, 1, 65), make([]byte, 65)...)} }},
		{"channel cut off", func(uint64) [][]byte { return [][]byte{with(rec(hello, 1, 5), 'a')} }},
		{"types cut off", func(uint64) [][]byte { return [][]byte{with(rec(hello, 0), 5, 'a')} }},
		{"too many types", func(uint64) [][]byte { return [][]byte{with(rec(hello, 0), bytes.Repeat([]byte{1, 'a'}, 33<<10)...)} }},
		{"headers cut off", func(uint64) [][]byte { return [][]byte{rec(hello, 0), {send | 0x80, 9}} }},
		{"long headers", func(uint64) [][]byte {
			return [][]byte{rec(hello, 0), with([]byte{send | 0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, long...)}
		}},
		{"send", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(send)} }},
		{"number too long", func(uint64) [][]byte {
			return [][]byte{rec(hello, 0), append([]byte{send}, bytes.Repeat([]byte{0xff}, 11)...)}
		}},
		{"exit", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(kill)} }},
		{"call", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), rec(call, 1, num)} }},
		{"call of a caller that is unknown", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), with(rec(call, 1, num, 0), 9)} }},
		{"call of a caller cut off", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), with(rec(call, 1, num, 0), 2, 1, 'a', 0)} }},
		{"call without a caller", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), rec(call, 1, num, 0)} }},
		{"call twice", func(num uint64) [][]byte {
			c := with(rec(call, 1, num, 0), append([]byte{0}, value("x")...)...)
			return [][]byte{rec(hello, 0), c, c}
		}},
		{"answer", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(answer)} }},
		{"fail", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(fail)} }},
		{"cancel", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(cancelCall, 1, 1)} }},
		{"monitor", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), rec(monitor, 1, num, 1)} }},
		{"monitor twice", func(num uint64) [][]byte { return [][]byte{rec(hello, 0), rec(monitor, 1, num), rec(monitor, 1, num)} }},
		{"demonitor", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(demonitor)} }},
		{"down", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(down)} }},
		{"channel that was not said", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(onChannel, 0)} }},
		{"channel", func(uint64) [][]byte { return [][]byte{rec(hello, 0), rec(onChannel)} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ev := &events{}
				n, in, s := one(t, cluster.Config{OnEvent: ev.add})
				n.Watch(in.pid)
				num := number(mute(t, n.System()))
				recs, session := tt.recs(num), s.peer.Load() // the next one may begin at any moment
				for i, r := range recs {
					if i == len(recs)-1 && i > 0 {
						session.Control(with(rec(send, number(in.pid)), value("before")...))
					}
					session.Control(r)
				}
				session.Control(with(rec(send, number(in.pid)), value("after")...))
				synctest.Wait()
				ends := s.ends.all()
				if len(ends) != 1 || !errors.Is(ends[0], link.ErrReset) {
					t.Fatalf("the session has ended with %v, want a reset", ends)
				}
				var got []string
				for _, m := range in.all() {
					got = append(got, strings.TrimPrefix(fmt.Sprintf("%T", m), "cluster."))
				}
				want, event := []string{"NodeUp", "string", "NodeDown"}, "node down stranger"
				if len(recs) == 1 { // its hello makes no sense, so it was never up
					want, event = nil, "trouble stranger"
				}
				if !slices.Equal(got, want) {
					t.Errorf("a process that watches was told %v, want %v", got, want)
				}
				if k := ev.kinds(); k[len(k)-1] != event || !strings.Contains(ev.all()[len(k)-1].Err.Error(), "of node stranger") {
					t.Errorf("events %q, the last one with %v; want %q at last", k, ev.all()[len(k)-1].Err, event)
				}
				wait(time.Minute)
				s.peer.Load().Control(rec(hello, 0))
				synctest.Wait()
				in.forget()
				s.peer.Load().Control(with(rec(send, number(in.pid)), value("next session")...))
				synctest.Wait()
				if got := in.all(); !slices.Equal(got, []any{"next session"}) {
					t.Errorf("in the next session %v was received", got)
				}
			})
		})
	}
}

// What a later version may say, and this one need not understand, is no harm: kinds of records, headers, and what is over
// already.
func TestRecords_thatAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, in, s := one(t, cluster.Config{})
		num := number(in.pid)
		for _, r := range [][]byte{
			rec(hello, 0),
			{77, 1, 2, 3},
			{77 | 0x80, 2, 1, 0, 5},
			with([]byte{send | 0x80, 3, 9, 1, 'x'}, with(rec(0, num)[1:], value("with headers")...)...),
			rec(cancelCall, 5), rec(demonitor, 5), with(rec(answer, 5), value("late")...), rec(down, 5), rec(fail, 5),
			with(rec(send, 12345), value("to nobody")...),
			with(rec(send, 0), value("to nobody")...),
			rec(monitor, 1, 12345),
			with(rec(send, num), value("last")...),
		} {
			s.peer.Load().Control(r)
		}
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []any{"with headers", "last"}) || len(s.ends.all()) > 0 {
			t.Errorf("received %v, want the two messages; the session has ended with %v", got, s.ends.all())
		}
	})
}

// A node that says that its records are tiny is left: not even the first record of a session fits.
func TestRecords_longerThanThePeerTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net, ev := network(t, seednet.Config{}), &events{}
		types := &cluster.Types{}
		cluster.Register[known](types, "known")
		n := newNode(t, "n", cluster.Config{Engine: onNet{net: net}, OnEvent: ev.add, Types: types})
		serve(t, n)
		in := newInbox(t, n.System())
		newStranger(t, net, func(o *link.Options) { o.MaxRecord = 4 })
		wait(time.Minute)
		if got := ev.kinds(); len(got) < 1 || got[0] != "trouble stranger" ||
			!strings.Contains(ev.all()[0].Err.Error(), "longer than node stranger takes") {
			t.Errorf("events %q", got)
		}
		if !in.pid.Send("alive") {
			t.Error("the node is dead")
		}
	})
}
