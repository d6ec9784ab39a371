package deadline_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/deadline"
)

type counter struct{ n atomic.Int64 }

func (c *counter) Due(time.Time) { c.n.Add(1) }

const million = 1_000_000

// BenchmarkQueue_Set sets a million entries again and again, as their sockets
// receive something: the clock goes on, so most change the bucket.
func BenchmarkQueue_Set(b *testing.B) {
	var q deadline.Queue
	var c counter
	entries := make([]deadline.Entry, million)
	now := time.Now()
	for i := range entries {
		q.Set(&entries[i], &c, now, time.Minute)
	}
	b.ReportAllocs()
	i, step := 0, 60*time.Microsecond // all in a minute
	for b.Loop() {
		q.Set(&entries[i], &c, now, time.Hour)
		now = now.Add(step)
		i = (i + 7919) % million
	}
	for i := range entries {
		q.Stop(&entries[i])
	}
}

func BenchmarkQueue_SetStop(b *testing.B) {
	var q deadline.Queue
	var c counter
	var e deadline.Entry
	b.ReportAllocs()
	for b.Loop() {
		q.Set(&e, &c, time.Now(), time.Minute)
		q.Stop(&e)
	}
}

func BenchmarkQueue_SetParallel(b *testing.B) {
	var q deadline.Queue
	var c counter
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		entries := make([]deadline.Entry, 1000)
		for i := 0; pb.Next(); i++ {
			q.Set(&entries[i%len(entries)], &c, time.Now(), time.Minute)
		}
		for i := range entries {
			q.Stop(&entries[i])
		}
	})
}

// BenchmarkQueue_fire has a million entries called that are due when a call
// ends which was in their way.
func BenchmarkQueue_fire(b *testing.B) {
	entries := make([]deadline.Entry, million)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var q deadline.Queue
		var c counter
		var first deadline.Entry
		in, out := make(chan struct{}), make(chan struct{})
		q.Set(&first, gate{in, out}, time.Now(), 0)
		<-in
		past := time.Now().Add(-time.Hour)
		for i := range entries {
			q.Set(&entries[i], &c, past, time.Minute)
		}
		b.StartTimer()
		close(out)
		for c.n.Load() < million {
			time.Sleep(time.Millisecond)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/fire")
}

// gate is a Target whose call blocks.
type gate struct{ in, out chan struct{} }

func (g gate) Due(time.Time) { close(g.in); <-g.out }

// BenchmarkQueue_memory tells what the Queue holds beside the entries.
func BenchmarkQueue_memory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	entries := make([]deadline.Entry, million)
	for b.Loop() {
		var q deadline.Queue
		var c counter
		before, now := heap(), time.Now()
		for i := range entries {
			q.Set(&entries[i], &c, now.Add(time.Duration(i)*60*time.Microsecond), time.Minute)
		}
		b.ReportMetric((heap()-before)/million, "B/entry")
		for i := range entries {
			q.Stop(&entries[i])
		}
	}
}
