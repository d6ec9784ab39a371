package load

import (
	"math/bits"
	"time"
)

// subBits makes 128 buckets of each power of two, so that a percentile is off by less than 1 %.
const subBits = 7

// A Histogram counts durations in buckets that grow with them. The zero value is empty.
type Histogram struct {
	counts [(64 - subBits) << subBits]uint64
	total  uint64
}

// Record counts one duration. Negative ones count as 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
}

// bucket is exact below 1<<subBits, then it keeps subBits bits below the highest.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// add counts what another one has counted.
func (h *Histogram) add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns the upper end of the bucket in which the q-th part of all durations ends; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(q*float64(h.total)+0.5), 1)
	for i, n := range h.counts {
		if n < rank {
			rank -= n
			continue
		}
		shift := max(i>>subBits-1, 0)
		return time.Duration(uint64(i-shift<<subBits)<<shift | (1<<shift - 1))
	}
	return 0
}
