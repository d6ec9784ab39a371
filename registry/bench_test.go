package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/websock"
)

// sink is a process that counts what it gets, with others.
type sink struct{ handled *atomic.Int64 }

func (s sink) Receive(_ context.Context, msg any) error {
	if f, ok := msg.(func()); ok {
		f()
	}
	s.handled.Add(1)
	return nil
}

var handled atomic.Int64

func benchRegistry(b *testing.B, n int) (*registry.Registry, []actor.PID) {
	b.Helper()
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sys.Shutdown(context.Background()) })
	pids := make([]actor.PID, n)
	for i := range pids {
		if pids[i], err = sys.Spawn(context.Background(), sink{&handled}, actor.SpawnOptions{MailboxLimit: 1}); err != nil {
			b.Fatal(err)
		}
	}
	return registry.New(sys), pids
}

func BenchmarkRegister(b *testing.B) {
	reg, pids := benchRegistry(b, 1000)
	names := make([]string, len(pids))
	for i := range names {
		names[i] = fmt.Sprint("user:", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := i % len(pids)
		reg.Register(names[k], pids[k], nil)
		reg.Unregister(names[k], pids[k])
	}
}

func BenchmarkWhereis(b *testing.B) {
	reg, pids := benchRegistry(b, 1000)
	names := make([]string, len(pids))
	for i := range names {
		names[i] = fmt.Sprint("user:", i)
		reg.Register(names[i], pids[i], nil)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			reg.Whereis(names[i%len(names)])
		}
	})
}

// BenchmarkJoin is Join and Leave of processes that the registry knows, at once: in a group each, all in one, and in a
// group that is watched.
func BenchmarkJoin(b *testing.B) {
	for _, bb := range []struct {
		name    string
		group   func(i int) string
		watched bool
	}{
		{"own group", func(i int) string { return fmt.Sprint("room:", i) }, false},
		{"one group", func(int) string { return "room" }, false},
		{"one group, watched", func(int) string { return "room" }, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			reg, pids := benchRegistry(b, 10_000)
			groups := make([]string, len(pids))
			for i := range groups {
				groups[i] = bb.group(i)
			}
			for i := range 1000 {
				reg.Join(groups[i], pids[i], nil)
			}
			if bb.watched {
				reg.Watch("room", pids[0])
			}
			var next atomic.Int64
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 1000 + int(next.Add(1))*1000; pb.Next(); i++ {
					k := i % len(pids)
					reg.Join(groups[k], pids[k], nil)
					reg.Leave(groups[k], pids[k])
				}
			})
		})
	}
}

// BenchmarkJoin_first is Join of 100,000 processes that the registry does not know, to one group: the exit hook and all.
func BenchmarkJoin_first(b *testing.B) {
	const n = 100_000
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		reg, pids := benchRegistry(b, n)
		b.StartTimer()
		for _, pid := range pids {
			reg.Join("room", pid, nil)
		}
		b.StopTimer()
		for _, pid := range pids {
			pid.Exit(actor.ErrKilled)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/join")
}

// BenchmarkBroadcast is what the publisher pays: for processes at rest, each of which it wakes, and for those whose
// mailbox refuses the message, which is the registry's part and a Send that does nothing.
func BenchmarkBroadcast(b *testing.B) {
	for _, n := range []int{1, 1000, 100_000} {
		for _, refused := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/refused=%t", n, refused), func(b *testing.B) {
				reg, pids := benchRegistry(b, n)
				released := make(chan struct{})
				defer close(released)
				for _, pid := range pids {
					reg.Join("room", pid, nil)
					if refused {
						entered := make(chan struct{})
						pid.Send(func() { close(entered); <-released })
						<-entered
						pid.Send("full")
					}
				}
				msg := any(websock.Text("hello"))
				handled.Store(0)
				took := 0
				b.ReportAllocs()
				for b.Loop() {
					took += reg.Broadcast("room", msg)
					if !refused {
						b.StopTimer()
						for handled.Load() < int64(took) {
							runtime.Gosched()
						}
						b.StartTimer()
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
				if !refused {
					b.ReportMetric(100*float64(took)/float64(b.N*n), "%taken")
				}
			})
		}
	}
}

// BenchmarkMemory_group is what an entry of a group costs, without the name and the process.
func BenchmarkMemory_group(b *testing.B) {
	const n = 100_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("room:", i)
	}
	for _, bb := range []struct {
		name  string
		enter func(reg *registry.Registry, pids []actor.PID, i int)
	}{
		{"one member each", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Join(names[i], pids[i], nil) }},
		{"ten members each", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Join(names[i/10], pids[i], nil) }},
		{"one group", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Join("room", pids[i], nil) }},
		{"names", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Register(names[i], pids[i], nil) }},
		{"presence, one each", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Track(names[i], pids[i], "k", nil) }},
		{"presence, one topic", func(reg *registry.Registry, pids []actor.PID, i int) { reg.Track("room", pids[i], names[i], nil) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			reg, pids := benchRegistry(b, n)
			var total, first float64
			for range b.N {
				start := heap()
				for _, pid := range pids { // makes the record of the process, with its hook
					reg.Watch("other", pid)
					reg.Unwatch("other", pid)
				}
				before := heap()
				for i := range pids {
					bb.enter(reg, pids, i)
				}
				total = float64(heap()-before) / n
				if first == 0 {
					first = float64(before-start) / n
				}
				runtime.KeepAlive(reg)
				for i := range pids {
					reg.Leave(names[i], pids[i])
					reg.Leave(names[i/10], pids[i])
					reg.Leave("room", pids[i])
					reg.Unregister(names[i], pids[i])
					reg.Untrack(names[i], pids[i], "k")
					reg.Untrack("room", pids[i], names[i])
				}
			}
			b.ReportMetric(total, "B/entry")
			b.ReportMetric(first, "B/process")
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkBroadcast_left is BenchmarkBroadcast to 1,000 processes at rest, of a group that somebody leaves, and joins
// again, right after each broadcast: then each delivery looks whether its process is a member.
func BenchmarkBroadcast_left(b *testing.B) {
	for _, leaves := range []bool{false, true} {
		b.Run(fmt.Sprintf("leaves=%t", leaves), func(b *testing.B) {
			const n = 1000
			reg, pids := benchRegistry(b, n+1)
			for _, pid := range pids {
				reg.Join("room", pid, nil)
			}
			msg := any(websock.Text("hello"))
			handled.Store(0)
			want := int64(0)
			for b.Loop() {
				if leaves {
					reg.BroadcastFrom("room", pids[n], msg)
					reg.Leave("room", pids[n])
				} else {
					reg.BroadcastFrom("room", pids[n], msg)
				}
				want += n
				for handled.Load() < want {
					runtime.Gosched()
				}
				if leaves {
					reg.Join("room", pids[n], nil)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
		})
	}
}
