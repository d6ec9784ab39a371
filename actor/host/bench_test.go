package host_test

import (
	"context"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/host"
)

// counted is a Host that says when it has handled a message.
type counted struct {
	plain
	handled chan struct{}
}

func (c counted) Receive(context.Context, any) error {
	if c.handled != nil {
		c.handled <- struct{}{}
	}
	return nil
}

func benchPort(b *testing.B, sys *actor.System, h host.Host) host.Port {
	port, err := host.Spawn(sys, h, actor.SpawnOptions{}, &host.Options{FlushesItself: true})
	if err != nil {
		b.Fatal(err)
	}
	port.Start()
	return port
}

// BenchmarkPort_Hand is a frame to a process at rest, on the reader's goroutine.
func BenchmarkPort_Hand(b *testing.B) {
	port := benchPort(b, newQuietSystem(b), counted{})
	msg := any("frame")
	b.ReportAllocs()
	for b.Loop() {
		port.Hand(msg)
	}
}

// BenchmarkPort_fanOut is one message to each of 1,000 hosted processes at rest, and their turns; per message.
func BenchmarkPort_fanOut(b *testing.B) {
	const n = 1000
	sys, handled := newQuietSystem(b), make(chan struct{}, n)
	pids := make([]actor.PID, n)
	for i := range pids {
		pids[i] = benchPort(b, sys, counted{handled: handled}).PID()
	}
	msg := any("message")
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += n {
		for _, pid := range pids {
			pid.Send(msg)
		}
		for range pids {
			<-handled
		}
	}
}
