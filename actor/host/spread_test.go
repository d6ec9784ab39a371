package host_test

import (
	"testing"

	"github.com/troupe-dev/troupe/actor/host"
)

// Every k-th process has its place among all, whatever k is.
func TestSpread(t *testing.T) {
	for _, places := range []int{1, 64, 100, 128} {
		for _, k := range []uint64{1, 2, 3, 8, 64, 1000} {
			const each = 100
			count := make([]int, places)
			for i := range uint64(each * places) {
				count[host.Spread(i*k, places)]++
			}
			for place, n := range count {
				if n < each/2 || n > each*2 {
					t.Errorf("of %d processes whose numbers are %d apart %d have place %d of %d, want about %d", each*places, k, n, place, places, each)
				}
			}
		}
	}
}
