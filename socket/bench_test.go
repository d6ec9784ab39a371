package socket_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

var unlogged = socket.Config{Logger: slog.New(slog.DiscardHandler)}

// benchEcho keeps inFlight messages of size bytes on their way. The client does next to nothing, so that what is measured
// is the server.
func benchEcho(b *testing.B, cfg socket.Config, inFlight, size int) {
	cfg.Logger = unlogged.Logger
	h := tcpSite(b, cfg, func() websock.Handler { return benchEchoHandler{} })
	c := h.connect(rawclient.HandshakeOptions{})
	question := masked(rawclient.Frame{Fin: true, Opcode: 2, Payload: make([]byte, size)})
	answer := len(question) - 4 // the mask
	out := make([]byte, 0, inFlight*len(question))
	for range inFlight {
		out = append(out, question...)
	}
	in := make([]byte, answer)
	r := bufio.NewReaderSize(c.Conn(), 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for n := 0; b.Loop(); n++ {
		if n%inFlight == 0 { // b.N messages, in volleys
			if err := c.WriteBytes(out); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(r, in); err != nil {
			b.Fatal(err)
		}
	}
}

// benchEchoHandler has nothing but what an echo needs.
type benchEchoHandler struct{ idleHandler }

func (benchEchoHandler) HandleIn(_ context.Context, m websock.Message) websock.Result {
	return websock.Result{Push: []websock.Message{m}}
}

// idleHandler does nothing.
type idleHandler struct{}

func (idleHandler) Init(context.Context) websock.Result                      { return websock.OK() }
func (idleHandler) HandleIn(context.Context, websock.Message) websock.Result { return websock.OK() }
func (idleHandler) HandleInfo(context.Context, any) websock.Result           { return websock.OK() }

func BenchmarkEcho(b *testing.B) {
	for _, inFlight := range []int{1, 32} {
		for _, size := range []int{32, 4096} {
			b.Run(fmt.Sprintf("inFlight=%d/bytes=%d", inFlight, size), func(b *testing.B) {
				benchEcho(b, socket.Config{}, inFlight, size)
			})
		}
	}
}

// BenchmarkSend is a broadcast by hand: one message to each of 1,000 sockets over memory, read by all of their peers.
func BenchmarkSend_1000(b *testing.B) {
	h := memorySite(b, unlogged, func() websock.Handler { return idleHandler{} })
	const n = 1000
	var got sync.WaitGroup
	size := len(textFrame("hello, everybody"))
	for range n {
		c := h.connect(rawclient.HandshakeOptions{})
		go func() {
			p := make([]byte, size)
			for {
				if _, err := io.ReadFull(c.Conn(), p); err != nil {
					return
				}
				got.Done()
			}
		}()
	}
	for h.srv.Count() < n {
		h.yield()
	}
	var pids []actor.PID
	for pid := range h.srv.Sockets() {
		pids = append(pids, pid)
	}
	m := websock.Text("hello, everybody")
	b.ReportAllocs()
	for b.Loop() {
		got.Add(n)
		for _, pid := range pids {
			pid.Send(m)
		}
		got.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}

// BenchmarkInfo_1000 is a message for HandleInfo to each of 1,000 sockets, which do nothing else.
func BenchmarkInfo_1000(b *testing.B) {
	const n = 1000
	var got sync.WaitGroup
	h := memorySite(b, unlogged, func() websock.Handler { return countHandler{got: &got} })
	for range n {
		h.connect(rawclient.HandshakeOptions{})
	}
	for h.srv.Count() < n {
		h.yield()
	}
	var pids []actor.PID
	for pid := range h.srv.Sockets() {
		pids = append(pids, pid)
	}
	b.ReportAllocs()
	for b.Loop() {
		got.Add(n)
		for _, pid := range pids {
			pid.Send("hello, everybody")
		}
		got.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/socket")
}

// countHandler counts messages down.
type countHandler struct {
	idleHandler
	got *sync.WaitGroup
}

func (h countHandler) HandleInfo(context.Context, any) websock.Result {
	h.got.Done()
	return websock.OK()
}

// BenchmarkConnect is a whole life: connect, one echo, close.
func BenchmarkConnect(b *testing.B) {
	sites := []struct {
		name string
		site func(testing.TB, socket.Config, func() websock.Handler) *site
	}{{"memory", memorySite}, {"tcp", tcpSite}}
	for _, s := range sites {
		b.Run(s.name, func(b *testing.B) {
			h := s.site(b, unlogged, func() websock.Handler { return asked(0) })
			b.ReportAllocs()
			for b.Loop() {
				if err := connectEchoClose(h); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIdle measures what one silent socket keeps, with nothing of HTTP around it.
func BenchmarkIdle(b *testing.B) {
	h := newSite(b, unlogged)
	before := heap()
	var conns []net.Conn
	n := 0
	for b.Loop() {
		n++
		client, server := pipe.New(0)
		if _, err := h.srv.Upgrade(&directWriter{conn: server}, goodRequest(), idleHandler{}); err != nil {
			b.Fatal(err)
		}
		conns = append(conns, client)
	}
	b.ReportMetric(float64(heap()-before)/float64(n), "heap-B/socket")
	for _, c := range conns {
		c.Close()
	}
}
