package socket_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/internal/pipe"
	"github.com/troupe-dev/troupe/websock"
)

// BenchmarkBroadcast_sockets is one Broadcast of 1 KiB to all sockets of a group over memory, until all clients that read
// have read it. An op is a broadcast. p99-µs and p50-µs are of the time from the call of Broadcast until a client that
// reads has it all; slow=true has one that does not read, whose mailbox grows all the time.
func BenchmarkBroadcast_sockets(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		for _, deflate := range []bool{false, true} {
			for _, slow := range []bool{false, true} {
				b.Run(fmt.Sprintf("%d/deflate=%t/slow=%t", n, deflate, slow), func(b *testing.B) { benchBroadcast(b, n, deflate, slow) })
			}
		}
	}
}

func benchBroadcast(b *testing.B, n int, deflate, slow bool) {
	h := newSite(b, socket.Config{
		Logger: quiet, Compression: socket.Compression{On: deflate}, IdleTimeout: -1, PingInterval: -1,
		WriteTimeout: -1, MailboxLimit: 1 << 30, // so that the slow one is there to the end
	})
	reg := registry.New(h.sys)
	var round, readers sync.WaitGroup
	at := make([]time.Time, n) // when each has got the last message
	first := make([]byte, n)   // of its frame
	b.Cleanup(readers.Wait)
	join := func(buffer int, read func(*pipe.Conn)) {
		server, client := pipe.New(buffer)
		b.Cleanup(func() { client.Close() })
		r := goodRequest()
		if deflate {
			r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
		}
		pid, err := h.srv.Upgrade(&directWriter{conn: server}, r, idleHandler{})
		if err != nil || reg.Join("room", pid, nil) != nil {
			b.Fatalf("a socket does not come in: %v", err)
		}
		if info, err := h.srv.Info(pid); err != nil || info.Compressed != deflate {
			b.Fatalf("got %+v, %v, want it compressed: %v", info, err, deflate)
		}
		if read != nil {
			readers.Go(func() { read(client) })
		}
	}
	for i := range n {
		join(0, func(conn *pipe.Conn) {
			f, err := newBareFrames(conn)
			for err == nil {
				if first[i], err = f.next(); err == nil {
					at[i] = time.Now()
					round.Done()
				}
			}
		})
	}
	members := n
	if slow {
		join(1<<10, nil)
		members++
	}
	var text string
	for i := 0; len(text) < 1<<10; i++ {
		text += fmt.Sprintf(`{"id":%d,"user":"user-%d","text":"hello, everybody"},`, 1000+i, i*i)
	}
	broadcast := func() {
		round.Add(n)
		if got := reg.Broadcast("room", websock.Text(text)); got != members {
			b.Fatalf("Broadcast: got %d, want %d", got, members)
		}
		round.Wait()
	}
	for range 3 { // the slow one's pipe is full
		broadcast()
	}
	want := byte(0x81)
	if deflate {
		want = 0xC1
	}
	if i := slices.IndexFunc(first, func(got byte) bool { return got != want }); i >= 0 {
		b.Fatalf("client %d: got a frame that begins with %#x, want %#x", i, first[i], want)
	}
	took := make([]time.Duration, 0, 1<<20)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		broadcast()
		if len(took)+n <= cap(took) { // a million of them will do
			for _, t := range at {
				took = append(took, t.Sub(start))
			}
		}
	}
	runtime.ReadMemStats(&after)
	slices.Sort(took)
	deliveries := float64(b.N) * float64(n)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
