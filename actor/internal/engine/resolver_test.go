package engine

import (
	"fmt"
	"log/slog"
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
