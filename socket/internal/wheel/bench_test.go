package wheel_test

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/socket/internal/wheel"
)

type counter struct{ n atomic.Int64 }

func (c *counter) Due(time.Time) { c.n.Add(1) }

const million = 1_000_000

// BenchmarkWheel_Set sets a million entries again and again, as their sockets
// receive something: the clock goes on, so most change the bucket.
func BenchmarkWheel_Set(b *testing.B) {
	var w wheel.Wheel
	var c counter
	entries := make([]wheel.Entry, million)
	now := time.Now()
	for i := range entries {
		w.Set(&entries[i], &c, now, time.Minute)
	}
	b.ReportAllocs()
	i, step := 0, 60*time.Microsecond // all in a minute
	for b.Loop() {
		w.Set(&entries[i], &c, now, time.Hour)
		now = now.Add(step)
		i = (i + 7919) % million
	}
	for i := range entries {
		w.Stop(&entries[i])
	}
}

func BenchmarkWheel_SetStop(b *testing.B) {
	var w wheel.Wheel
	var c counter
	var e wheel.Entry
	b.ReportAllocs()
	for b.Loop() {
		w.Set(&e, &c, time.Now(), time.Minute)
		w.Stop(&e)
	}
}

func BenchmarkWheel_SetParallel(b *testing.B) {
	var w wheel.Wheel
	var c counter
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		entries := make([]wheel.Entry, 1000)
		for i := 0; pb.Next(); i++ {
			w.Set(&entries[i%len(entries)], &c, time.Now(), time.Minute)
		}
		for i := range entries {
			w.Stop(&entries[i])
		}
	})
}

// BenchmarkWheel_fire has a million entries called that are due when a call
// ends which was in their way.
func BenchmarkWheel_fire(b *testing.B) {
	entries := make([]wheel.Entry, million)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var w wheel.Wheel
		var c counter
		var first wheel.Entry
		in, out := make(chan struct{}), make(chan struct{})
		w.Set(&first, gate{in, out}, time.Now(), 0)
		<-in
		past := time.Now().Add(-time.Hour)
		for i := range entries {
			w.Set(&entries[i], &c, past, time.Minute)
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

// BenchmarkWheel_memory tells what the Wheel holds beside the entries.
func BenchmarkWheel_memory(b *testing.B) {
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	entries := make([]wheel.Entry, million)
	for b.Loop() {
		var w wheel.Wheel
		var c counter
		before, now := heap(), time.Now()
		for i := range entries {
			w.Set(&entries[i], &c, now.Add(time.Duration(i)*60*time.Microsecond), time.Minute)
		}
		b.ReportMetric((heap()-before)/million, "B/entry")
		for i := range entries {
			w.Stop(&entries[i])
		}
	}
}
