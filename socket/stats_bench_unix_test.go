//go:build unix

package socket_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/pipe"
)

// BenchmarkStats is what a scrape costs with n sockets that sleep, in CPU: by Stats, and for comparison by Sockets, which
// says everything about each.
func BenchmarkStats(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		cfg := unlogged
		cfg.HibernateAfter, cfg.PingInterval, cfg.IdleTimeout = 20*time.Millisecond, -1, -1
		h := newSite(b, cfg)
		conns := make([]net.Conn, n)
		for i := range conns {
			client, server := pipe.New(0)
			if _, err := h.srv.Upgrade(&directWriter{conn: server}, goodRequest(), idleHandler{}); err != nil {
				b.Fatal(err)
			}
			conns[i] = client
		}
		for begun := time.Now(); h.srv.Stats().Asleep < n; h.yield() {
			if time.Since(begun) > time.Minute {
				b.Fatalf("%d of %d sockets sleep", h.srv.Stats().Asleep, n)
			}
		}
		for _, by := range []struct {
			name string
			f    func() int
		}{
			{"Stats", func() int { return h.srv.Stats().Open }},
			{"Sockets", func() (found int) {
				for range h.srv.Sockets() {
					found++
				}
				return found
			}},
		} {
			b.Run(fmt.Sprintf("%s/n=%d", by.name, n), func(b *testing.B) {
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if found := by.f(); found != n {
						b.Fatalf("%d sockets, want %d", found, n)
					}
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/float64(n), "cpu-ns/socket")
			})
		}
		for _, c := range conns {
			c.Close()
		}
	}
}

// cpu is the CPU time that the program has used. What else runs on the machine changes it less than the clock.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
