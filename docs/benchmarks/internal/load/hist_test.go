package load_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
)

func TestHistogram_quantileWithinOnePercent(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var h load.Histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(r.ExpFloat64() * float64(time.Millisecond))
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		got, want := h.Quantile(q), all[int(q*10_000)-1]
		if got < want || float64(got) > float64(want)*1.01+1 {
			t.Errorf("Quantile(%v) = %v, want %v to 1 %% more", q, got, want)
		}
	}
	if h.Count() != 10_000 {
		t.Errorf("Count: got %d, want 10000", h.Count())
	}
}

func TestHistogram_extremes(t *testing.T) {
	var h load.Histogram
	if got := h.Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing: got %v, want 0", got)
	}
	for _, d := range []time.Duration{-time.Second, 0, 1, 127, 128, 255, 256, 1<<63 - 1} {
		var h load.Histogram
		h.Record(d)
		got, want := h.Quantile(0.5), max(d, 0)
		if got < want || got-want > want/100 {
			t.Errorf("Quantile of %d alone: got %d", d, got)
		}
	}
}
