package supervisor_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// What a child of a Dynamic is in memory and goroutines, as it waits for something to do. That of an actor includes the
// process; what that costs without a Dynamic is there to compare.
func BenchmarkDynamic_child(b *testing.B) {
	const n = 100_000
	ctx := context.Background()
	for _, kind := range []struct {
		name  string
		start func(d *supervisor.Dynamic, sys *actor.System, id string) error
	}{
		{"process alone", func(_ *supervisor.Dynamic, sys *actor.System, _ string) error {
			_, err := sys.Spawn(ctx, newWorker(), actor.SpawnOptions{})
			return err
		}},
		{"actor", func(d *supervisor.Dynamic, sys *actor.System, _ string) error {
			_, err := d.Spawn(ctx, "", sys, newWorker, actor.SpawnOptions{})
			return err
		}},
		{"actor with an id", func(d *supervisor.Dynamic, sys *actor.System, id string) error {
			_, err := d.Spawn(ctx, id, sys, newWorker, actor.SpawnOptions{})
			return err
		}},
		{"service", func(d *supervisor.Dynamic, _ *actor.System, id string) error {
			return d.Start(context.Background(), id, supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil }))
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				sys, err := actor.NewSystem(actor.Config{Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				ctx, cancel := context.WithCancel(ctx)
				served := make(chan error)
				go func() { served <- d.Serve(ctx) }()
				for d.Start(context.Background(), "first", supervisor.ServiceFunc(func(ctx context.Context) error { <-ctx.Done(); return nil })) != nil {
					runtime.Gosched()
				}
				before, goroutines := inUse(), runtime.NumGoroutine()
				for i := range n {
					if err := kind.start(d, sys, fmt.Sprint(i)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(inUse()-before)/n, "B/child")
				b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/child")
				cancel()
				if err := <-served; err != nil {
					b.Fatal(err)
				}
				sys.Shutdown(context.Background())
			}
		})
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
