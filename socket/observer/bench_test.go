package observer_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/observer"
)

// hijacked is a ResponseWriter that gives a connection away.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// BenchmarkGet is what one answer costs, its sweep included, with so many sockets in memory, in CPU. Sweeps have no rest here.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		quiet := slog.New(slog.DiscardHandler)
		sys, err := actor.NewSystem(actor.Config{Logger: quiet})
		if err != nil {
			b.Fatal(err)
		}
		srv, err := socket.New(socket.Config{System: sys, Logger: quiet, PingInterval: -1, IdleTimeout: -1, HibernateAfter: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		var clients []net.Conn
		for i := range n {
			client, server := pipe.New(0)
			req := httptest.NewRequest("GET", "/ws", nil)
			req.RemoteAddr = fmt.Sprintf("192.0.2.1:%d", i)
			req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
				"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
			if _, err := srv.Upgrade(hijacked{httptest.NewRecorder(), server}, req, &handler{label: fmt.Sprintf("user %d", i)}); err != nil {
				b.Fatal(err)
			}
			clients = append(clients, client)
		}
		obs := observer.Handler(observer.Config{Servers: []*socket.Server{srv}, Logger: quiet})
		obs.SetBudget(200_000, time.Minute, 0, 256)
		for _, path := range []string{"overview", "sockets?sort=lag", "sockets?sort=bytes&q=user+77", "processes?kind=all", "processes"} {
			b.Run(fmt.Sprintf("%s/n=%d", path, n), func(b *testing.B) {
				b.ReportAllocs()
				before := observer.CPUTime()
				for b.Loop() {
					req := httptest.NewRequest("GET", "/api/v1/"+path, nil)
					req.RemoteAddr, req.Host = "127.0.0.1:1", "localhost"
					w := httptest.NewRecorder()
					obs.ServeHTTP(w, req)
					if w.Code != 200 {
						b.Fatalf("got %d: %s", w.Code, w.Body)
					}
				}
				b.ReportMetric(float64(observer.CPUTime()-before)/float64(b.N)/float64(n), "cpu-ns/socket")
			})
		}
		for _, c := range clients {
			c.Close()
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
