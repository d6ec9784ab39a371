package socket_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/notify"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/socket/internal/rawclient"
	"github.com/troupe-dev/troupe/websock"
)

const (
	// millionMemory is the limit that the collector works against, so that a million connections stay below 8 GB.
	millionMemory = 7 << 30
	// millionAtLeast is how many connections each size has to open in one iteration, in several rounds if need be:
	// fewer say little.
	millionAtLeast = 100_000
	// millionPatience is how long one step may take.
	millionPatience = 2 * time.Minute
)

// BenchmarkMillion is the life of n sockets over memory: they connect, join a group, fall asleep, get one broadcast of 128
// bytes, and are drained all at once by peers that answer the Close. An op is all of that; what counts are the metrics:
//
//   - connect-ns, deliver-ns, drain-ns: for each socket, by the wall clock with all cores. Connecting is Server.Upgrade and
//     Join, with one request for all and a minimal http.Hijacker instead of net/http. A delivery ends when the client can read it.
//   - heap-B/conn: of the socket asleep with process, group entry, place in the queue of deadlines and both ends of its pipe. pipe-B/conn
//     is the pipe's part, with 40 B of this benchmark. stack-B/conn is what goroutine stacks the System has more than before.
//   - goroutines: the most there were, and in which step; 3 of them are of the benchmark itself.
//   - peak-MB: the most resident memory; where there is no /proc what the runtime has from the system.
//   - x-connect, x-heap, x-deliver, x-drain, and x-cost, the largest of them: the same for n=10000 in this process, as factor.
//
// The collector works as always (GOGC=100), against a memory limit of 7 GiB that keeps the process below 8 GB.
func BenchmarkMillion(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(millionMemory))
	first := map[string]float64{} // of the smallest size
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			if n == 1_000_000 && testing.Short() {
				b.Skip("needs 8 GB and a minute")
			}
			debug.FreeOSMemory()
			forgetPeak()
			m := map[string]float64{}
			rounds := 0
			for range b.N {
				for range max(1, millionAtLeast/n) {
					for name, v := range millionOnce(b, n) {
						if strings.HasSuffix(name, "goroutines") {
							m[name] = max(m[name], v)
						} else {
							m[name] += v
						}
					}
					rounds++
				}
			}
			for name := range m {
				if !strings.HasSuffix(name, "goroutines") {
					m[name] /= float64(rounds)
				}
			}
			if n == 10_000 {
				maps.Copy(first, m)
			} else if len(first) > 0 {
				worst := 0.0
				for _, name := range []string{"connect", "heap", "deliver", "drain"} {
					unit := "-ns"
					if name == "heap" {
						unit = "-B/conn"
					}
					m["x-"+name] = m[name+unit] / first[name+unit]
					worst = max(worst, m["x-"+name])
				}
				m["x-cost"] = worst
			}
			m["peak-MB"] = peak() / 1e6
			for _, name := range slices.Sorted(maps.Keys(m)) {
				b.ReportMetric(m[name], name)
			}
		})
	}
}

// millionOnce returns the figures of n sockets by name.
func millionOnce(b *testing.B, n int) map[string]float64 {
	m := map[string]float64{}
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / float64(n) }
	watch := startWatch()
	defer watch.stop()

	sys, err := actor.NewSystem(actor.Config{Logger: unlogged.Logger})
	if err != nil {
		b.Fatal(err)
	}
	reg := registry.New(sys)
	var bad atomic.Pointer[socket.Closed] // one that did not end as a drain ends it
	srv, err := socket.New(socket.Config{
		Logger: unlogged.Logger, System: sys, HibernateAfter: 20 * time.Millisecond,
		OnClose: func(c socket.Closed) {
			if c.Sent == nil || c.Received == nil {
				bad.CompareAndSwap(nil, &c)
			}
		},
		// Nobody answers pings here, and nobody is to give up. IdleTimeout is on, so that all stand in the queue.
		PingInterval: -1, IdleTimeout: time.Hour, CloseTimeout: millionPatience, ShutdownTimeout: millionPatience,
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := errors.Join(srv.Shutdown(context.Background()), sys.Shutdown(context.Background())); err != nil {
			b.Error(err)
		}
	}()

	before := heap()
	crowd := newCrowd(n)
	withPipes := heap()
	stacks := stackBytes()
	m["pipe-B/conn"] = float64(withPipes-before) / float64(n)

	// Connect, and fall asleep.
	idle := runtime.NumGoroutine()
	start := time.Now()
	w, request := &millionWriter{}, goodRequest()
	for i := range crowd.clients {
		w.conn = crowd.clients[i].server
		crowd.clients[i].server = nil
		pid, err := srv.Upgrade(w, request, idleHandler{})
		if err != nil || reg.Join("all", pid, nil) != nil {
			b.Fatalf("socket %d: %v", i, err)
		}
		clear(w.header)
	}
	m["connect-ns"] = per(time.Since(start))
	for end := time.Now().Add(millionPatience); runtime.NumGoroutine() > idle+10; {
		if time.Now().After(end) {
			b.Fatalf("%d goroutines, %d before: the sockets do not fall asleep", runtime.NumGoroutine(), idle)
		}
		time.Sleep(time.Millisecond)
	}
	m["connect-goroutines"] = watch.most()
	crowd.take(b, func(got []byte) bool {
		return bytes.HasPrefix(got, []byte("HTTP/1.1 101 ")) && bytes.HasSuffix(got, []byte("\r\n\r\n"))
	})
	m["heap-B/conn"] = float64(heap()-before) / float64(n)
	m["stack-B/conn"] = (stackBytes() - stacks) / float64(n)

	// One broadcast.
	text := strings.Repeat("0123456789abcdef", 8)
	want := rawclient.AppendFrame(nil, rawclient.Frame{Fin: true, Opcode: 1, Payload: []byte(text)}, rawclient.DefaultMask)
	all := crowd.expect(b, false)
	watch.most()
	start = time.Now()
	if got := reg.Broadcast("all", websock.Text(text)); got != n {
		b.Fatalf("Broadcast: got %d, want %d", got, n)
	}
	m["call-ns"] = per(time.Since(start))
	wait(b, all, "the broadcast")
	m["deliver-ns"] = per(time.Since(start))
	m["deliver-goroutines"] = watch.most()
	crowd.take(b, func(got []byte) bool { return bytes.Equal(got, want) })

	// A drain of all at once. Two goroutines answer for all clients.
	all = crowd.expect(b, true)
	watch.most()
	var answerers sync.WaitGroup
	for range 2 {
		answerers.Go(crowd.answer)
	}
	start = time.Now()
	err = srv.Drain(context.Background(), socket.Drain{Over: -1, Timeout: millionPatience / 2})
	m["drain-ns"] = per(time.Since(start))
	m["drain-goroutines"] = watch.most()
	wait(b, all, "the Close")
	close(crowd.closing)
	answerers.Wait()
	if wrong := crowd.wrong.Load(); err != nil || wrong > 0 {
		b.Fatalf("Drain: %v; %d of %d clients answered, %d of them got something else than a Close with 1001; one of the sockets: %+v",
			err, crowd.answered.Load(), n, wrong, bad.Load())
	}
	if one := bad.Load(); one != nil {
		b.Fatalf("a socket has ended without a Close from both sides: %+v", one)
	}
	if left := reg.Count("all"); left > 0 {
		b.Fatalf("%d sockets are still in the group", left)
	}
	return m
}

func wait(b *testing.B, done <-chan struct{}, what string) {
	select {
	case <-done:
	case <-time.After(millionPatience):
		b.Fatalf("%s has not reached all", what)
	}
}

// crowd is the clients. None has a goroutine.
type crowd struct {
	clients []millionClient
	missing atomic.Int64
	done    chan struct{}       // closed when all that was expected is there
	closing chan *millionClient // whom to answer; as long as there are clients, so that Wake does not block
	// Clients that have answered, and of those the ones that got something else than the Close.
	answered, wrong atomic.Int64
}

// millionClient is the client's end of a pipe.
type millionClient struct {
	crowd  *crowd
	conn   *pipe.Conn
	server *pipe.Conn // until the upgrade
	asked  bool       // it goes to crowd.closing when it can be read
}

func newCrowd(n int) *crowd {
	c := &crowd{clients: make([]millionClient, n)}
	for i := range c.clients {
		client, server := pipe.New(0)
		c.clients[i] = millionClient{crowd: c, conn: client, server: server}
	}
	return c
}

// expect returns what is closed when each client can read.
func (c *crowd) expect(b *testing.B, closing bool) <-chan struct{} {
	c.missing.Store(int64(len(c.clients)))
	done := make(chan struct{})
	c.done = done
	if closing {
		c.closing = make(chan *millionClient, len(c.clients))
	}
	for i := range c.clients {
		cl := &c.clients[i]
		cl.asked = closing
		if cl.conn.Notify(cl, notify.Readable) != 0 {
			b.Fatalf("client %d has something that it was not to get", i)
		}
	}
	return done
}

// Wake runs on a goroutine of the server, in its write to this client.
func (cl *millionClient) Wake(notify.Event) {
	if cl.asked {
		cl.crowd.closing <- cl
	}
	if cl.crowd.missing.Add(-1) == 0 {
		close(cl.crowd.done)
	}
}

// answer reads the Close of each client, answers it and closes TCP, as a client may that has no time to wait.
func (c *crowd) answer() {
	reply := rawclient.AppendFrame(nil, rawclient.Frame{Fin: true, Opcode: 8, Masked: true, Payload: []byte{0x03, 0xE9}},
		rawclient.DefaultMask)
	p := make([]byte, 128)
	for cl := range c.closing {
		n, err := cl.conn.Read(p)
		if err != nil || !bytes.HasPrefix(p[:n], []byte{0x88, 0x02, 0x03, 0xE9}) {
			c.wrong.Add(1)
		}
		cl.conn.Write(reply)
		cl.conn.Close()
		c.answered.Add(1)
	}
}

// take reads what each client has got, which must be as said.
func (c *crowd) take(b *testing.B, right func([]byte) bool) {
	p := make([]byte, 1024)
	for i := range c.clients {
		conn := c.clients[i].conn
		n := 0
		for conn.Readable() {
			more, err := conn.Read(p[n:])
			if n += more; err != nil {
				b.Fatalf("client %d: %v", i, err)
			}
		}
		if !right(p[:n]) {
			b.Fatalf("client %d has got %q", i, p[:n])
		}
	}
}

// millionWriter gives its connection away, with buffers that are empty and nobody needs: net/http's would be most of what
// an upgrade costs here.
type millionWriter struct {
	directWriter
}

var noBuffers = bufio.NewReadWriter(bufio.NewReader(strings.NewReader("")), bufio.NewWriter(io.Discard))

func (w *millionWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.conn, noBuffers, nil }

var _ http.Hijacker = (*millionWriter)(nil)

// goroutineWatch looks all the time how many goroutines there are.
type goroutineWatch struct {
	peak atomic.Int64
	quit chan struct{}
	done sync.WaitGroup
}

func startWatch() *goroutineWatch {
	w := &goroutineWatch{quit: make(chan struct{})}
	w.done.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.peak.Store(max(w.peak.Load(), int64(runtime.NumGoroutine())))
			case <-w.quit:
				return
			}
		}
	})
	return w
}

// most is how many there were at most since it was last called.
func (w *goroutineWatch) most() float64 { return float64(w.peak.Swap(0)) }

func (w *goroutineWatch) stop() {
	close(w.quit)
	w.done.Wait()
}

func stackBytes() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.StackInuse)
}

// forgetPeak has the kernel begin anew with what [peak] returns, as far as it can.
func forgetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peak is the most memory that the process has had, in bytes.
func peak() float64 {
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
				if kb, err := strconv.ParseFloat(f[1], 64); err == nil {
					return kb * 1024
				}
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys)
}
