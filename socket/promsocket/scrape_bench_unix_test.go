//go:build unix

package promsocket_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/promsocket"
)

// BenchmarkScrape is what a scrape costs with n sockets that sleep, in CPU, with all that Prometheus' library does for it: one
// after the other, and once a second, when other things have taken the caches. Run the latter with -benchtime 10x, say.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		srv, err := socket.New(socket.Config{Logger: discard, HibernateAfter: 20 * time.Millisecond, PingInterval: -1, IdleTimeout: -1})
		if err != nil {
			b.Fatal(err)
		}
		conns := make([]net.Conn, n)
		for i := range conns {
			client, server := pipe.New(0)
			if _, err := srv.Upgrade(&hijacker{httptest.NewRecorder(), server}, upgrade(), echo{}); err != nil {
				b.Fatal(err)
			}
			conns[i] = client
		}
		for begun := time.Now(); srv.Stats().Asleep < n; time.Sleep(time.Millisecond) {
			if time.Since(begun) > time.Minute {
				b.Fatalf("%d of %d sockets sleep", srv.Stats().Asleep, n)
			}
		}
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(&promsocket.Collector{Servers: []*socket.Server{srv}, System: srv.System()})
		scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
		for _, pause := range []time.Duration{0, time.Second} {
			b.Run(fmt.Sprintf("n=%d/pause=%v", n, pause), func(b *testing.B) {
				used := time.Duration(0)
				for b.Loop() {
					time.Sleep(pause)
					before := cpu(b)
					w := httptest.NewRecorder()
					scrape.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
					used += cpu(b) - before
					if w.Code != http.StatusOK {
						b.Fatalf("the scrape is answered with %d: %s", w.Code, w.Body)
					}
				}
				b.ReportMetric(float64(used)/float64(b.N)/float64(n), "cpu-ns/socket")
			})
		}
		for _, c := range conns {
			c.Close()
		}
	}
}

// hijacker gives the connection of a request away.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(io.Discard, 16)), nil
}

func upgrade() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		r.Header.Set(name, value)
	}
	return r
}

// cpu is the CPU time that the program has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
