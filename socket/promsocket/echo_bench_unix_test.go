//go:build unix

package promsocket_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/promsocket"
	"github.com/troupe-dev/troupe/websock"
)

// BenchmarkEcho64 is what an echo of 128 bytes costs in CPU, client and server together, over 64 connections with one message in
// flight on each; without metrics, and when they are scraped each second, 15 times as often as is usual. With -count 10 both
// are measured in turn, and the least of each can be compared.
func BenchmarkEcho64(b *testing.B) {
	for _, every := range []time.Duration{0, time.Second} {
		b.Run(fmt.Sprintf("scraped=%v", every), func(b *testing.B) {
			sys, err := actor.NewSystem(actor.Config{Logger: discard})
			if err != nil {
				b.Fatal(err)
			}
			defer sys.Shutdown(b.Context())
			srv, err := socket.New(socket.Config{System: sys, Logger: discard, PingInterval: -1})
			if err != nil {
				b.Fatal(err)
			}
			site := httptest.NewServer(srv.Handler(func(*http.Request) (websock.Handler, error) { return echo{}, nil }))
			defer site.Close()
			defer srv.Shutdown(b.Context())
			stop := make(chan struct{})
			var scraper sync.WaitGroup
			if every > 0 {
				metrics := prometheus.NewRegistry()
				metrics.MustRegister(&promsocket.Collector{Servers: []*socket.Server{srv}, System: sys, Registry: registry.New(sys)})
				scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
				scraper.Go(func() {
					for tick := time.NewTicker(every); ; {
						select {
						case <-stop:
							tick.Stop()
							return
						case <-tick.C:
							scrape.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil))
						}
					}
				})
			}
			const conns = 64
			var all sync.WaitGroup
			before := cpu(b)
			for range conns {
				all.Go(func() {
					if err := echoes(site.Listener.Addr().String(), b.N); err != nil {
						b.Error(err)
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/conns, "cpu-ns/echo")
			close(stop)
			scraper.Wait()
		})
	}
}

// echoes has n messages echoed, one after the other, on a connection of its own.
func echoes(addr string, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := upgrade().Write(c); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	if _, err := http.ReadResponse(r, nil); err != nil {
		return err
	}
	payload := bytes.Repeat([]byte("x"), 128)
	sent := append([]byte{0x82, 0x80 | 126, 0, 128, 0, 0, 0, 0}, payload...)
	got := make([]byte, 4+len(payload))
	for range n {
		if _, err := c.Write(sent); err != nil {
			return err
		}
		if _, err := io.ReadFull(r, got); err != nil {
			return err
		}
	}
	if !bytes.Equal(got[4:], payload) {
		return fmt.Errorf("the echo is %q", got)
	}
	return nil
}
