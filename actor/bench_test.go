package actor_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

type receiveFunc func(ctx context.Context, msg any) error

func (f receiveFunc) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

func benchSystem(b *testing.B) *actor.System {
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sys.Shutdown(context.Background()) })
	return sys
}

func benchSpawn(b *testing.B, sys *actor.System, f receiveFunc, o actor.SpawnOptions) actor.PID {
	pid, err := sys.Spawn(context.Background(), f, o)
	if err != nil {
		b.Fatal(err)
	}
	return pid
}

// BenchmarkPID_Send is a Send to a process that is busy, and the handling of the message.
func BenchmarkPID_Send(b *testing.B) {
	done := make(chan struct{})
	n := 0
	pid := benchSpawn(b, benchSystem(b), func(context.Context, any) error {
		if n++; n == b.N {
			close(done)
		}
		return nil
	}, actor.SpawnOptions{MailboxLimit: -1})
	msg := any("hello")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pid.Send(msg)
	}
	<-done
}

// BenchmarkPID_Send_only is the sender's part alone: the process handles nothing meanwhile.
func BenchmarkPID_Send_only(b *testing.B) {
	entered, release := make(chan struct{}), make(chan struct{})
	pid := benchSpawn(b, benchSystem(b), func(_ context.Context, msg any) error {
		if msg == nil {
			close(entered)
			<-release
		}
		return nil
	}, actor.SpawnOptions{MailboxLimit: -1})
	pid.Send(nil)
	<-entered
	msg := any("hello")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pid.Send(msg)
	}
	b.StopTimer()
	close(release)
}

// BenchmarkPID_Send_toItself is a message in a turn that goes on: the whole way through the mailbox, on one goroutine.
func BenchmarkPID_Send_toItself(b *testing.B) {
	done := make(chan struct{})
	n := 0
	pid := benchSpawn(b, benchSystem(b), func(ctx context.Context, msg any) error {
		if n++; n == b.N {
			close(done)
		} else {
			actor.Self(ctx).Send(msg)
		}
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	pid.Send("hello")
	<-done
}

// BenchmarkPID_Send_waking is a Send to a process at rest, and the turn that it starts.
func BenchmarkPID_Send_waking(b *testing.B) {
	handled := make(chan struct{})
	pid := benchSpawn(b, benchSystem(b), func(context.Context, any) error {
		handled <- struct{}{}
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	for b.Loop() {
		pid.Send("hello")
		<-handled
	}
}

// BenchmarkPID_Send_parallel is many senders to one process that keeps up.
func BenchmarkPID_Send_parallel(b *testing.B) {
	pid := benchSpawn(b, benchSystem(b), func(context.Context, any) error { return nil }, actor.SpawnOptions{MailboxLimit: -1})
	msg := any("hello")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pid.Send(msg)
		}
	})
}

// BenchmarkPID_Send_fanOut is one message to each of 1,000 processes at rest, and their turns; per message.
func BenchmarkPID_Send_fanOut(b *testing.B) {
	const n = 1000
	sys := benchSystem(b)
	done := make(chan struct{}, n)
	pids := make([]actor.PID, n)
	for i := range pids {
		pids[i] = benchSpawn(b, sys, func(context.Context, any) error { done <- struct{}{}; return nil }, actor.SpawnOptions{})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += n {
		for _, pid := range pids {
			pid.Send("hello")
		}
		for range pids {
			<-done
		}
	}
}

func answer(ctx context.Context, msg any) error {
	actor.Reply(ctx, msg)
	return nil
}

// BenchmarkCall is a Call by a goroutine that is no process.
func BenchmarkCall(b *testing.B) {
	pid := benchSpawn(b, benchSystem(b), answer, actor.SpawnOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := actor.Call[string](context.Background(), pid, "x"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall_betweenActors is a Call in a callback.
func BenchmarkCall_betweenActors(b *testing.B) {
	sys := benchSystem(b)
	callee := benchSpawn(b, sys, answer, actor.SpawnOptions{})
	done := make(chan error)
	caller := benchSpawn(b, sys, func(ctx context.Context, _ any) error {
		for range b.N {
			if _, err := actor.Call[string](ctx, callee, "x"); err != nil {
				done <- err
				return nil
			}
		}
		done <- nil
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	caller.Send("go")
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSystem_Spawn is a root: spawn, and its end.
func BenchmarkSystem_Spawn(b *testing.B) {
	sys := benchSystem(b)
	b.ReportAllocs()
	for b.Loop() {
		benchSpawn(b, sys, answer, actor.SpawnOptions{}).Exit(actor.ErrNormal)
	}
	if err := sys.Shutdown(context.Background()); err != nil { // what is left to end counts, too
		b.Fatal(err)
	}
}

// BenchmarkSpawn_child is a child: spawn, its end, and the Down that its parent gets.
func BenchmarkSpawn_child(b *testing.B) {
	done := make(chan error)
	n := 0
	next := func(ctx context.Context) error {
		pid, err := actor.Spawn(ctx, receiveFunc(answer), actor.SpawnOptions{})
		if err == nil {
			pid.Exit(actor.ErrNormal)
		}
		return err
	}
	pid := benchSpawn(b, benchSystem(b), func(ctx context.Context, _ any) error {
		if n++; n > b.N {
			done <- nil
			return nil
		}
		if err := next(ctx); err != nil {
			done <- err
		}
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	pid.Send("go")
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMonitor is a Monitor and its Stop.
func BenchmarkMonitor(b *testing.B) {
	sys := benchSystem(b)
	target := benchSpawn(b, sys, answer, actor.SpawnOptions{})
	done := make(chan struct{})
	watcher := benchSpawn(b, sys, func(ctx context.Context, _ any) error {
		for range b.N {
			actor.Monitor(ctx, target).Stop()
		}
		close(done)
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	watcher.Send("go")
	<-done
}

// BenchmarkMonitor_down is a Monitor of a process that ends, and its Down; with the spawn and the end.
func BenchmarkMonitor_down(b *testing.B) {
	sys := benchSystem(b)
	done := make(chan struct{})
	n := 0
	watcher := benchSpawn(b, sys, func(ctx context.Context, _ any) error {
		if n++; n > b.N {
			close(done)
			return nil
		}
		pid, err := sys.Spawn(context.Background(), receiveFunc(answer), actor.SpawnOptions{})
		if err != nil {
			return err
		}
		actor.Monitor(ctx, pid)
		pid.Exit(actor.ErrNormal)
		return nil
	}, actor.SpawnOptions{})
	b.ReportAllocs()
	b.ResetTimer()
	watcher.Send("go")
	<-done
}

// BenchmarkSystem_Shutdown ends 100,000 processes at rest; per process.
func BenchmarkSystem_Shutdown(b *testing.B) {
	const n = 100_000
	for range b.N {
		b.StopTimer()
		sys := benchSystem(b)
		for range n {
			benchSpawn(b, sys, answer, actor.SpawnOptions{})
		}
		b.StartTimer()
		if err := sys.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/process")
}

// idle is a hosted process that has nothing to do, with the exit hook of a socket that is in a group.
type idle struct {
	noHooks
	port host.Port
}

func (*idle) Receive(context.Context, any) error { return nil }
func (*idle) exited(error)                       {}

// BenchmarkMemory is what a process at rest costs on the heap, with its entry in the engine's registry.
func BenchmarkMemory(b *testing.B) {
	for _, bb := range []struct {
		name  string
		spawn func(sys *actor.System) (any, error)
	}{
		{"actor", func(sys *actor.System) (any, error) {
			_, err := sys.Spawn(context.Background(), nobody{}, actor.SpawnOptions{})
			return nil, err
		}},
		{"hosted", func(sys *actor.System) (any, error) {
			h := &idle{}
			var err error
			h.port, err = host.Spawn(sys, h, actor.SpawnOptions{}, nil)
			if err != nil {
				return nil, err
			}
			h.port.Start()
			h.port.PID().OnExit(h.exited)
			return h, nil
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			const n = 100_000
			for range b.N {
				sys := benchSystem(b)
				kept := make([]any, n)
				before := liveHeap()
				for i := range kept {
					var err error
					if kept[i], err = bb.spawn(sys); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(liveHeap()-before)/n, "B/process")
				runtime.KeepAlive(kept)
				if err := sys.Shutdown(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type nobody struct{}

func (nobody) Receive(context.Context, any) error { return nil }

func liveHeap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
