//go:build unix

package cluster_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/actor/cluster"
	"github.com/troupe-dev/troupe/actor/host"
	"github.com/troupe-dev/troupe/websock"
)

// cpu is the CPU time of this process so far: of both nodes, and of the engine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measured runs f, which does b.N of something, and reports the CPU time of each besides the wall time.
func measured(b *testing.B, f func()) {
	b.Helper()
	b.ReportAllocs()
	runtime.GC()
	before := cpu()
	b.ResetTimer()
	f()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
}

type sink struct{ got atomic.Int64 }

func (s *sink) Receive(context.Context, any) error { s.got.Add(1); return nil }

// benchNodes are two nodes, and a process of the second as the first knows it.
func benchNodes(b *testing.B, a actor.Actor) (away actor.PID) {
	b.Helper()
	here, there, stop := twoNodes(cluster.Config{})
	b.Cleanup(stop)
	pid, err := there.System().Spawn(context.Background(), a, actor.SpawnOptions{MailboxLimit: -1})
	if err != nil {
		b.Fatal(err)
	}
	node, boot, num := host.Parts(pid)
	return host.PIDOf(here.System(), node, boot, num)
}

// A flood of messages to one process of another node, which are sent again when the window refuses them, until all have
// arrived.
func BenchmarkSend(b *testing.B) {
	for name, msg := range map[string]any{"64B": websock.Binary(make([]byte, 64)), "1KB": websock.Binary(make([]byte, 1024))} {
		b.Run(name, func(b *testing.B) {
			s := &sink{}
			away := benchNodes(b, s)
			measured(b, func() {
				for range b.N {
					for !away.Send(msg) {
						time.Sleep(100 * time.Microsecond)
					}
				}
				for s.got.Load() < int64(b.N) {
					time.Sleep(100 * time.Microsecond)
				}
			})
		})
	}
}

func BenchmarkCall(b *testing.B) {
	away := benchNodes(b, &behaviour{receive: echoing})
	ctx := context.Background()
	msg := make([]byte, 64)
	measured(b, func() {
		for range b.N {
			if _, err := actor.Call[[]byte](ctx, away, msg); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A Monitor that is stopped again.
func BenchmarkMonitor(b *testing.B) {
	away := benchNodes(b, &behaviour{})
	measured(b, func() {
		for i := range b.N {
			host.Watch(away, func(error) {})()
			if i%10_000 == 0 {
				time.Sleep(time.Millisecond) // these are never refused, so a link can be overrun
			}
		}
	})
}
