package engine

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	proto "github.com/asynkron/protoactor-go/actor"
)

// TestResolve_otherBoots: the number of a process says nothing without its boot: those of one boot name others in the next. Their
// addresses are ours all the same, or proto's remote would try to connect to them.
func TestResolve_otherBoots(t *testing.T) {
	const own = "troupe:0123456789abcdef@here"
	s := New(Config{Trespass: func(string) {}, Address: own, Logger: slog.New(slog.DiscardHandler)})
	for address, want := range map[string]bool{
		own:                             true,
		"troupe:fedcba9876543210@here":  true,
		"troupe:0123456789abcdef@there": true,
		"troupe:":                       true,
		"here:8080":                     false,
		"":                              false,
	} {
		p, ok := s.resolve(proto.NewPID(address, "7"))
		if ok != want {
			t.Errorf("%q, where the own address is %q: resolve = %T, %t; want %t", address, own, p, ok, want)
		}
		if r, _ := p.(*reached); r != nil && (r.num == 7) != (address == own) {
			t.Errorf("%q, where the own address is %q: it is the process %d", address, own, r.num)
		}
	}
}

// Proto's actors do not cancel their watches when they end, and a socket may outlive any number of them.
func TestWatch_ofTheDeadIsForgotten(t *testing.T) {
	f := newFixture()
	p := f.spawn(t, 1)
	as := f.proto
	for i := range 10 * leastWatches {
		watcher, _ := as.ProcessRegistry.Add(as.DeadLetter, fmt.Sprint("watcher", i))
		f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Watch{Watcher: watcher})
		if i%leastWatches != 0 { // a few live on
			as.ProcessRegistry.Remove(watcher)
		}
	}
	if n := f.watches.m.Len(); n > 2*leastWatches || n != p.watches {
		t.Errorf("%d watches, and %d at the process, of %d watchers of which 10 live; want as many, and not more than %d",
			n, p.watches, 10*leastWatches, 2*leastWatches)
	}
	for i := range 10 {
		f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Unwatch{Watcher: proto.NewPID("nonhost", fmt.Sprint("watcher", i*leastWatches))})
	}
	if n, want := f.watches.m.Len(), p.watches; n != want {
		t.Errorf("%d watches after Unwatch, and %d at the process", n, want)
	}
}

func (f *fixture) reach(t *testing.T, num uint64) proto.Process {
	t.Helper()
	p, ok := f.proto.ProcessRegistry.Get(f.PID(num))
	if !ok {
		t.Fatalf("nobody at the address of %d", num)
	}
	return p
}

// events is a watcher of proto's.
type events struct {
	proto.Process
	got []any
}

func (e *events) SendUserMessage(*proto.PID, any) {}

func (e *events) SendSystemMessage(_ *proto.PID, message any) {
	m := message.(*proto.Terminated)
	e.got = append(e.got, m.Who.Id, m.Why)
}

func (f *fixture) watcher(id string) (*events, *proto.PID) {
	e := &events{}
	pid, _ := f.proto.ProcessRegistry.Add(e, id)
	return e, pid
}

// The address of another System's process leads to what Config.Away finds, at each use.
func TestResolve_away(t *testing.T) {
	f := newAdopted(t)
	p := &recorder{fixture: f}
	f.away = map[string]*recorder{"troupe:other 7": p}
	var dead []any
	f.proto.EventStream.Subscribe(func(e any) {
		if e, ok := e.(*proto.DeadLetterEvent); ok {
			dead = append(dead, e.Message)
		}
	})
	root, pid := f.proto.Root, proto.NewPID("troupe:other", "7")
	watcher, watching := f.watcher("watcher")
	root.Send(pid, "sent")
	root.RequestWithCustomSender(pid, "asked", watching)
	ref, _ := f.proto.ProcessRegistry.Get(pid)
	ref.SendSystemMessage(pid, &proto.Watch{Watcher: watching})
	root.Stop(pid)
	root.Poison(pid)
	if want := []any{"sent", "asked"}; !slices.Equal(p.posted, want) || p.stopped != 2 || p.watches != 1 {
		t.Errorf("received %v, ended %d times, watched %d times; want %v, 2, 1", p.posted, p.stopped, p.watches, want)
	}
	p.ended[0](Lost)
	p.ended[0](Lost)
	if want := []any{"7", proto.TerminatedReason_AddressTerminated}; !slices.Equal(watcher.got, want) {
		t.Errorf("the watcher has got %v, want once %v", watcher.got, want)
	}
	f.away = nil
	root.RequestWithCustomSender(pid, "gone", watching) // with a Sender: such a dead letter starts no ticker
	if want := []any{"gone"}; !slices.Equal(dead, want) {
		t.Errorf("dead letters %v, want %v", dead, want)
	}
}

// A watch may be over before Target.Watch returns: the watched has ended, or the watcher has thought better of it.
func TestWatch_overWhileItBegins(t *testing.T) {
	for end, want := range map[End]proto.TerminatedReason{
		Ended: proto.TerminatedReason_Stopped, Absent: proto.TerminatedReason_NotFound, Lost: proto.TerminatedReason_AddressTerminated,
	} {
		f := newFixture()
		p := f.spawn(t, 1)
		p.atOnce = &end
		w, watching := f.watcher("watcher")
		f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Watch{Watcher: watching})
		if want := []any{"1", want}; !slices.Equal(w.got, want) || p.watches != 0 || f.watches.m.Len() != 0 {
			t.Errorf("end %d: got %v, %d watches there and %d here; want %v and none", end, w.got, p.watches, f.watches.m.Len(), want)
		}
	}
	f := newFixture()
	p := f.spawn(t, 1)
	w, watching := f.watcher("watcher")
	if p.refuses = true; f.watch(p, subject{num: 1}, f.PID(1), watching) || f.watches.m.Len() != 0 {
		t.Errorf("of the dead: %d watches, want none, and false", f.watches.m.Len())
	}
	p.refuses = false
	for range 2 {
		f.watch(p, subject{num: 1}, f.PID(1), watching)
	}
	if p.watches != 1 {
		t.Errorf("who watches twice is noted %d times there, want once", p.watches)
	}
	f.unwatch(watch{subject{num: 1}, watching.Address, watching.Id})
	p.ended = nil
	unwatch := func() { f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Unwatch{Watcher: watching}) }
	p.watching = unwatch
	f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Watch{Watcher: watching})
	p.ended[0](Ended)
	if w.got != nil || p.watches != 0 || f.watches.m.Len() != 0 {
		t.Errorf("unwatched: got %v, %d watches there and %d here; want none", w.got, p.watches, f.watches.m.Len())
	}
	p.watching = func() { // and watches again
		p.watching = nil
		unwatch()
		f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Watch{Watcher: watching})
	}
	f.reach(t, 1).SendSystemMessage(f.PID(1), &proto.Watch{Watcher: watching})
	p.ended[1](Ended)
	if w.got != nil || p.watches != 1 || f.watches.m.Len() != 1 {
		t.Errorf("watched again: the first says %v, %d watches there and %d here; want nothing, and 1 of each", w.got, p.watches, f.watches.m.Len())
	}
	p.ended[2](Ended)
	if len(w.got) != 2 || f.watches.m.Len() != 0 {
		t.Errorf("watched again: got %v, %d watches here; want one Terminated, and none", w.got, f.watches.m.Len())
	}
}

// The dead are looked for when there are twice as many watches, so that each watch costs the same.
func TestWatches_looksSeldom(t *testing.T) {
	const n = 20 * leastWatches
	var ws watches
	looked := 0
	for i := range uint64(n) {
		ws.begin(watch{subject: subject{num: i}}, &watching{})
		ws.dead(func(watch) bool { looked++; return false })
	}
	if looked == 0 || looked > 2*n {
		t.Errorf("%d watches of the living: looked at %d, want at most %d", n, looked, 2*n)
	}
}
