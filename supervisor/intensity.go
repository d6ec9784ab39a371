package supervisor

import "time"

const (
	defaultMaxRestarts = 3
	defaultWithin      = 5 * time.Second
)

// intensity is OTP's restart intensity: at most max restarts within a period that slides along.
type intensity struct {
	max    int
	within time.Duration
	times  []time.Time // of the restarts within the period, oldest first; at most max of them
}

func newIntensity(maxRestarts int, within time.Duration) intensity {
	if maxRestarts == 0 {
		maxRestarts = defaultMaxRestarts
	}
	if within == 0 {
		within = defaultWithin
	}
	return intensity{max: max(maxRestarts, 0), within: within}
}

// add counts a restart, and returns false when it is one too many. A restart that was exactly a period ago still counts,
// as in OTP.
func (i *intensity) add(now time.Time) bool {
	i.times = i.times[:copy(i.times, i.recent(now))]
	if len(i.times) >= i.max {
		return false
	}
	i.times = append(i.times, now)
	return true
}

// allows tells whether add would return true.
func (i *intensity) allows(now time.Time) bool { return len(i.recent(now)) < i.max }

// recent is those of times that are within the period.
func (i *intensity) recent(now time.Time) []time.Time {
	old := 0
	for old < len(i.times) && now.Sub(i.times[old]) > i.within {
		old++
	}
	return i.times[old:]
}
