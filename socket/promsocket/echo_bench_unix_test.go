//go:build unix

package promsocket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// BenchmarkScraped is what messages of 128 bytes cost in CPU, clients and server together, over 64 connections; without metrics,
// and when they are scraped each second, 15 times as often as is usual. echo has one message in flight on each connection,
// pipelined 32, and broadcast is one message to all of them after the other. With -count 10 both are measured in turn, and the least of
// each can be compared.
func BenchmarkScraped(b *testing.B) {
	for name, run := range map[string]func(*scraped, int) error{
		"echo":      func(s *scraped, n int) error { return s.each(func(c *peer) error { return c.echoes(n, 1) }) },
		"pipelined": func(s *scraped, n int) error { return s.each(func(c *peer) error { return c.echoes(n, 32) }) },
		"broadcast": (*scraped).broadcasts,
	} {
		for _, every := range []time.Duration{0, time.Second} {
			b.Run(fmt.Sprintf("%s/scraped=%v", name, every), func(b *testing.B) {
				s := newScraped(b, every)
				before := cpu(b)
				if err := run(s, b.N); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/float64(len(s.peers)), "cpu-ns/message")
			})
		}
	}
}

// scraped is a server, its clients, and who scrapes it.
type scraped struct {
	reg   *registry.Registry
	peers []*peer
}

// newScraped has the metrics scraped at this pace; 0: never.
func newScraped(b *testing.B, every time.Duration) *scraped {
	sys, err := actor.NewSystem(actor.Config{Logger: discard})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sys.Shutdown(context.Background()) })
	srv, err := socket.New(socket.Config{System: sys, Logger: discard, PingInterval: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := &scraped{reg: registry.New(sys)}
	site := httptest.NewServer(srv.Handler(func(*http.Request) (websock.Handler, error) { return joining{reg: s.reg}, nil }))
	b.Cleanup(site.Close)
	b.Cleanup(func() { _ = srv.Shutdown(context.Background()) })
	for range 64 {
		c, err := dialPeer(site.Listener.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		s.peers = append(s.peers, c)
	}
	for s.reg.Count("all") < len(s.peers) { // Init comes after the 101
		runtime.Gosched()
	}
	if every > 0 {
		metrics := prometheus.NewRegistry()
		metrics.MustRegister(&promsocket.Collector{Servers: []*socket.Server{srv}, System: sys, Registry: s.reg})
		scrape := promhttp.HandlerFor(metrics, promhttp.HandlerOpts{})
		stop := make(chan struct{})
		var scraper sync.WaitGroup
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
		b.Cleanup(func() { close(stop); scraper.Wait() })
	}
	return s
}

// each runs f for all clients at once.
func (s *scraped) each(f func(*peer) error) error {
	var all sync.WaitGroup
	errs := make([]error, len(s.peers))
	for i, c := range s.peers {
		all.Go(func() { errs[i] = f(c) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// broadcasts has n messages broadcast. Each is read by all before the next one.
func (s *scraped) broadcasts(n int) error {
	heard := make(chan error, len(s.peers)*n) // nobody waits who reads
	for _, c := range s.peers {
		go func() { // ends with the connection
			for range n {
				err := c.read()
				if heard <- err; err != nil {
					return
				}
			}
		}()
	}
	for range n {
		if members := s.reg.Broadcast("all", websock.Binary(payload)); members != len(s.peers) {
			return fmt.Errorf("a broadcast has reached %d of %d", members, len(s.peers))
		}
		for range s.peers {
			if err := <-heard; err != nil {
				return err
			}
		}
	}
	return nil
}

// joining echoes, and is in a group.
type joining struct {
	echo
	reg *registry.Registry
}

func (m joining) Init(ctx context.Context) websock.Result {
	if err := m.reg.Join("all", actor.Self(ctx), nil); err != nil {
		return websock.Stop(err)
	}
	return websock.OK()
}

var payload = bytes.Repeat([]byte("x"), 128)

// peer is a client.
type peer struct {
	net.Conn
	r   *bufio.Reader
	got []byte
}

func dialPeer(addr string) (*peer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := upgrade().Write(conn); err != nil {
		return nil, err
	}
	c := &peer{Conn: conn, r: bufio.NewReader(conn), got: make([]byte, 4+len(payload))}
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads one message.
func (c *peer) read() error {
	if _, err := io.ReadFull(c.r, c.got); err != nil {
		return err
	}
	if !bytes.Equal(c.got[4:], payload) {
		return fmt.Errorf("got %q", c.got)
	}
	return nil
}

// echoes has n messages echoed, with so many in flight.
func (c *peer) echoes(n, inFlight int) error {
	one := append([]byte{0x82, 0x80 | 126, 0, byte(len(payload)), 0, 0, 0, 0}, payload...)
	sent := bytes.Repeat(one, inFlight)
	for n > 0 {
		now := min(n, inFlight)
		if _, err := c.Write(sent[:now*len(one)]); err != nil {
			return err
		}
		for range now {
			if err := c.read(); err != nil {
				return err
			}
		}
		n -= now
	}
	return nil
}
