package actor_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/actor"
)

type receiveFunc func(ctx context.Context, msg any) error

func (f receiveFunc) Receive(ctx context.Context, msg any) error { return f(ctx, msg) }

func benchSystem(b *testing.B) *actor.System {
	sys, err := actor.NewSystem(actor.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sys.Shutdown(context.Background()) })
	return sys
}

func BenchmarkPID_Send(b *testing.B) {
	sys := benchSystem(b)
	done := make(chan struct{})
	n := 0
	pid, err := sys.Spawn(receiveFunc(func(context.Context, any) error {
		if n++; n == b.N {
			close(done)
		}
		return nil
	}), actor.SpawnOptions{MailboxLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	msg := any("hello")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		pid.Send(msg)
	}
	<-done
}

func BenchmarkCall(b *testing.B) {
	sys := benchSystem(b)
	pid, err := sys.Spawn(receiveFunc(func(ctx context.Context, msg any) error {
		actor.Reply(ctx, msg)
		return nil
	}), actor.SpawnOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := actor.Call[string](context.Background(), pid, "x"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSystem_Spawn(b *testing.B) {
	sys := benchSystem(b)
	b.ReportAllocs()
	for b.Loop() {
		pid, err := sys.Spawn(receiveFunc(func(context.Context, any) error { return nil }), actor.SpawnOptions{})
		if err != nil {
			b.Fatal(err)
		}
		pid.Exit(actor.ErrNormal)
	}
}

// BenchmarkPID_Send_waking is a Send to a process at rest, and the turn that it starts.
func BenchmarkPID_Send_waking(b *testing.B) {
	sys := benchSystem(b)
	handled := make(chan struct{})
	pid, err := sys.Spawn(receiveFunc(func(context.Context, any) error { handled <- struct{}{}; return nil }), actor.SpawnOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		pid.Send("hello")
		<-handled
	}
}

// BenchmarkPID_Send_parallel is many senders to one process that keeps up.
func BenchmarkPID_Send_parallel(b *testing.B) {
	sys := benchSystem(b)
	pid, err := sys.Spawn(receiveFunc(func(context.Context, any) error { return nil }), actor.SpawnOptions{MailboxLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	msg := any("hello")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			pid.Send(msg)
		}
	})
}
