package socket_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

// leaver is a handler that takes of everything a process can have: timers, tasks, monitors, children, pushes that wait.
type leaver struct {
	state [1 << 10]byte // so that a handler which is kept shows up
}

type idle struct{}

func (idle) Receive(context.Context, any) error { return nil }

func (l *leaver) Init(ctx context.Context) websock.Result {
	actor.SendAfter(ctx, time.Hour, "never")
	actor.SendEvery(ctx, time.Hour, "never")
	child, err := actor.Spawn(ctx, idle{}, actor.SpawnOptions{})
	if err != nil {
		return websock.Stop(err)
	}
	actor.Monitor(ctx, child)
	actor.Async(ctx, func(ctx context.Context) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	})
	return websock.OK()
}

func (l *leaver) HandleIn(ctx context.Context, m websock.Message) websock.Result {
	l.state[0]++
	switch string(m.Data) {
	case "pid":
		return websock.Push(websock.Text(actor.Self(ctx).String()))
	case "stop":
		return websock.Stop(websock.ErrNormal)
	case "fail":
		return websock.Stop(errors.New("as asked"))
	case "panic":
		panic("as asked")
	}
	return websock.Push(m)
}

func (l *leaver) HandleInfo(context.Context, any) websock.Result { return websock.OK() }

// departures are the ways in which a connection ends.
var departures = []struct {
	name string
	do   func(c *rawclient.Client, pid actor.PID)
}{
	{"orderly", func(c *rawclient.Client, _ actor.PID) { c.Close(1000, ""); readAll(c) }},
	{"gone", func(c *rawclient.Client, _ actor.PID) {}},
	{"half closed", func(c *rawclient.Client, _ actor.PID) {
		c.Conn().(interface{ CloseWrite() error }).CloseWrite()
		readAll(c)
	}},
	{"reset", func(c *rawclient.Client, _ actor.PID) { reset(c.Conn()) }},
	{"reset with answers on the way", func(c *rawclient.Client, _ actor.PID) {
		for range 5 {
			c.Binary(make([]byte, 1000))
		}
		reset(c.Conn())
	}},
	{"inside a header", func(c *rawclient.Client, _ actor.PID) { c.WriteBytes([]byte{0x82}) }},
	{"inside a payload", func(c *rawclient.Client, _ actor.PID) {
		c.WriteBytes(append(header(rawclient.Frame{Fin: true, Opcode: 2}, 1<<20), make([]byte, 5000)...))
	}},
	{"inside a message", func(c *rawclient.Client, _ actor.PID) { c.Write(part(2, "half"), msg(9, "")) }},
	{"inside a compressed message", func(c *rawclient.Client, _ actor.PID) {
		c.Write(rawclient.Frame{RSV: rawclient.RSV1, Opcode: 1, Payload: thousandA[:5]})
	}},
	{"a breach", func(c *rawclient.Client, _ actor.PID) { c.WriteBytes([]byte{0xff, 0xff, 0xff}); readAll(c) }},
	{"not UTF-8", func(c *rawclient.Client, _ actor.PID) { c.Text("\xff"); readAll(c) }},
	{"stop", func(c *rawclient.Client, _ actor.PID) { c.Text("stop"); readAll(c) }},
	{"stop, unread", func(c *rawclient.Client, _ actor.PID) { c.Text("stop"); c.Text("more") }},
	{"fail", func(c *rawclient.Client, _ actor.PID) { c.Text("fail"); readAll(c) }},
	{"panic", func(c *rawclient.Client, _ actor.PID) { c.Text("panic"); readAll(c) }},
	{"Exit", func(c *rawclient.Client, pid actor.PID) { pid.Exit(&websock.CloseError{Code: 4000}); readAll(c) }},
	{"kill", func(_ *rawclient.Client, pid actor.PID) { pid.Exit(actor.ErrKilled) }},
	{"kill while it writes", func(c *rawclient.Client, pid actor.PID) {
		for range 20 {
			pid.Send(websock.Binary(make([]byte, 20_000)))
		}
		pid.Exit(actor.ErrKilled)
	}},
	{"overload", func(c *rawclient.Client, pid actor.PID) {
		for pid.Send(websock.Binary(make([]byte, 100))) {
		}
		readAll(c)
	}},
	{"exit and close at once", func(c *rawclient.Client, pid actor.PID) {
		go pid.Exit(actor.ErrNormal)
		c.Close(1000, "")
		readAll(c)
	}},
}

// readAll reads to the end of the stream, and answers a Close.
func readAll(c *rawclient.Client) {
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return
		}
		if f.Opcode == rawclient.OpClose {
			c.Write(msg(rawclient.OpClose, string(f.Payload)))
		}
	}
}

func reset(conn net.Conn) {
	switch conn := conn.(type) {
	case *pipe.Conn:
		conn.Reset()
	case *net.TCPConn:
		conn.SetLinger(0)
		conn.Close()
	}
}

// Thousands of connect, talk and drop cycles, in every way there is, leave nothing behind: no goroutine, no process, no
// timer, no memory. A timer or a table that still knew a socket would keep its handler.
func TestStress_leavesNothingBehind(t *testing.T) {
	n := 1_000
	if os.Getenv("TROUPE_STRESS") != "" {
		n = 50_000
	}
	sites := map[string]func(testing.TB, socket.Config, func() websock.Handler) *site{"memory": memorySite, "tcp": tcpSite}
	// Each of the 512 shards of the engine's registry keeps the memory of its first process for good. So that this is no
	// growth here, it has happened before.
	sys, err := actor.NewSystem(actor.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		pid, err := sys.Spawn(context.Background(), idle{}, actor.SpawnOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pid.Exit(actor.ErrKilled)
	}
	defer sys.Shutdown(context.Background())
	for name, newOne := range sites {
		t.Run(name, func(t *testing.T) {
			var made, collected atomic.Int64
			h := newOne(t, socket.Config{Compression: socket.Compression{On: true}, CloseTimeout: 50 * time.Millisecond, MailboxLimit: 500,
				Logger: slog.New(slog.DiscardHandler), System: sys},
				func() websock.Handler {
					l := new(leaver)
					made.Add(1)
					runtime.AddCleanup(l, func(c *atomic.Int64) { c.Add(1) }, &collected)
					return l
				})
			run := func(n int) {
				var wg sync.WaitGroup
				var next atomic.Int64
				for range 8 {
					wg.Go(func() {
						for {
							i := int(next.Add(1)) - 1
							if i >= n {
								return
							}
							if err := cycle(h, i); err != nil {
								t.Errorf("cycle %d, %s: %v", i, departures[i%len(departures)].name, err)
								next.Store(int64(n))
							}
						}
					})
				}
				wg.Wait()
				if t.Failed() {
					t.FailNow()
				}
			}
			run(200) // pools and the program's own growth
			h.wantEnds(200)
			before := runtime.NumGoroutine()
			heapBefore := heap()
			run(n)
			h.wantEnds(200 + n)
			h.wantEmpty()
			late := time.Now().Add(patience)
			settle := func(what string, ok func() bool) {
				for !ok() {
					if time.Now().After(late) {
						t.Fatalf("%s; goroutines %d, before %d; %d handlers made, %d collected", what, runtime.NumGoroutine(), before, made.Load(), collected.Load())
					}
					runtime.GC()
					h.yield()
				}
			}
			// net/http's own goroutines come and go.
			settle("goroutines are left", func() bool { return runtime.NumGoroutine() <= before })
			settle("handlers are kept", func() bool { return collected.Load() == made.Load() })
			if after := heap(); after > heapBefore+512<<10 {
				t.Errorf("heap: %d bytes before %d connections, %d bytes after them", heapBefore, n, after)
			}
		})
	}
}

// cycle is one connection that talks and then leaves in the i-th way.
func cycle(h *site, i int) error {
	c, resp, err := h.shake(rawclient.HandshakeOptions{Deflate: i%3 != 0 || departures[i%len(departures)].name == "inside a compressed message"})
	if c == nil {
		return fmt.Errorf("handshake: %+v, %w", resp, err)
	}
	defer c.Conn().Close()
	c.Text("pid")
	_, text, err := c.ReadMessage()
	if err != nil {
		return err
	}
	pid, err := h.sys.ParsePID(string(text))
	if err != nil {
		return err
	}
	departures[i%len(departures)].do(c, pid)
	return nil
}

// heap is how much is in use after a full collection.
func heap() uint64 {
	var m runtime.MemStats
	for range 3 { // cleanups and pools need more than one
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// The same for whole servers: thousands of sockets, Shutdown, and nothing is left of server and System.
func TestStress_shutdownLeavesNothingBehind(t *testing.T) {
	const rounds, each = 20, 100
	var collected atomic.Int64
	var before int
	for round := range rounds {
		func() {
			sys, err := actor.NewSystem(actor.Config{})
			if err != nil {
				t.Fatal(err)
			}
			h := newSite(t, socket.Config{System: sys, CloseTimeout: 50 * time.Millisecond})
			conns := make(chan net.Conn, each)
			for i := range each {
				l := new(leaver)
				runtime.AddCleanup(l, func(c *atomic.Int64) { c.Add(1) }, &collected)
				client, server := pipe.New(0)
				conns <- client
				w := &directWriter{conn: server}
				if _, err := h.srv.Upgrade(w, goodRequest(), l); err != nil {
					t.Fatalf("Upgrade: %v", err)
				}
				if i%2 == 0 {
					client.Write(masked(msg(1, "hello"), part(1, "half")))
				}
			}
			close(conns)
			if n := h.srv.Count(); n != each {
				t.Fatalf("Count: got %d, want %d", n, each)
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := h.srv.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			h.wantEnds(each)
			h.wantEmpty()
			for c := range conns {
				c.Close()
			}
			if err := sys.Shutdown(ctx); err != nil {
				t.Errorf("System.Shutdown: %v", err)
			}
		}()
		if round == 0 {
			before = runtime.NumGoroutine()
		}
	}
	late := time.Now().Add(patience)
	for runtime.NumGoroutine() > before || collected.Load() < rounds*each {
		if time.Now().After(late) {
			t.Fatalf("goroutines %d, before %d; handlers %d, collected %d", runtime.NumGoroutine(), before, rounds*each, collected.Load())
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
}
