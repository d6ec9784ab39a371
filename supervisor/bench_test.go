package supervisor_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/supervisor"
)

// What one child costs must not depend on how many there are.
func BenchmarkDynamic_spawnAndEnd(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			sys, err := actor.NewSystem(actor.Config{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer sys.Shutdown(context.Background())
			d, err := supervisor.NewDynamic(supervisor.DynamicConfig{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				ctx, cancel := context.WithCancel(context.Background())
				served := make(chan error)
				go func() { served <- d.Serve(ctx) }()
				for i := 0; i < n; {
					if _, err := d.Spawn(context.Background(), "", sys, newWorker, actor.SpawnOptions{}); err == nil {
						i++ // else Serve has not begun
					}
				}
				cancel()
				if err := <-served; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/child")
		})
	}
}
