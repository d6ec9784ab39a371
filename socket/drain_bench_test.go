package socket_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// What a Drain of all at once costs per socket must not depend on how many there are. The peers are silent, and CloseTimeout
// is off, so that nobody is waited for.
func BenchmarkDrain(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for name, d := range map[string]socket.Drain{
			"at_once": {},
			"paced":   {Over: 1, ComeBack: time.Minute}, // every socket a step of its own
		} {
			b.Run(fmt.Sprintf("%s/sockets=%d", name, n), func(b *testing.B) {
				srv, err := socket.New(socket.Config{Logger: unlogged.Logger, CloseTimeout: -1, IdleTimeout: -1, PingInterval: -1, MessageTimeout: -1})
				if err != nil {
					b.Fatal(err)
				}
				var opening, draining time.Duration
				for range b.N {
					b.StopTimer()
					runtime.GC()
					start := time.Now()
					supervised := runServiceUntimed(srv)
					for range n {
						server, _ := pipe.New(256)
						if _, err := srv.Upgrade(&directWriter{conn: server}, goodRequest(), idleHandler{}); err != nil {
							b.Fatal(err)
						}
					}
					opening += time.Since(start)
					b.StartTimer()
					start = time.Now()
					if err := srv.Drain(context.Background(), d); err != nil {
						b.Fatal(err)
					}
					draining += time.Since(start)
					b.StopTimer()
					supervised()
					b.StartTimer()
				}
				per := float64(b.N) * float64(n)
				b.ReportMetric(float64(draining.Nanoseconds())/per, "ns/socket")
				b.ReportMetric(float64(opening.Nanoseconds())/per, "open-ns/socket")
			})
		}
	}
}

// runServiceUntimed opens srv by a Serve; the func that it returns ends that.
func runServiceUntimed(srv *socket.Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(ctx)
	}()
	for srv.Ready() != nil {
		runtime.Gosched()
	}
	return func() {
		cancel()
		<-done
	}
}
