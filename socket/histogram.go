package socket

import (
	"slices"
	"time"
)

// Histogram counts durations by how long they were. It is a copy, and does not change.
type Histogram struct {
	// Bounds are the upper bounds of the buckets, which belong to them. They are always the same for one number.
	Bounds []time.Duration
	// Counts are how many durations were in each bucket. The last one, for which there is no bound, is for what was longer
	// than all of them.
	Counts []uint64
	// Sum is all durations added up, in seconds.
	Sum float64
}

// Count is how many durations there were.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// add adds what o has counted.
func (h *Histogram) add(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.Sum += o.Sum
}

func (h *Histogram) observe(d time.Duration) {
	i, _ := slices.BinarySearch(h.Bounds, d)
	h.Counts[i]++
	h.Sum += d.Seconds()
}

func newHistogram(bounds []time.Duration) *Histogram {
	return &Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds)+1)}
}

// clone has Bounds of its own, so that a user who changes them changes nothing here.
func (h *Histogram) clone() *Histogram {
	return &Histogram{Bounds: slices.Clone(h.Bounds), Counts: slices.Clone(h.Counts), Sum: h.Sum}
}

var (
	// lifeBounds are those of how long sockets were open: a failed login, a look at a page, an evening, days.
	lifeBounds = []time.Duration{
		100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute,
		time.Hour, 4 * time.Hour, 24 * time.Hour,
	}
	// roundTripBounds are those of how long peers took to answer a ping: from the same room to a satellite and a full queue.
	roundTripBounds = []time.Duration{
		time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond,
		5 * time.Second, 10 * time.Second,
	}
)
