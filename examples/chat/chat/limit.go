package chat

import "time"

const (
	burst  = 10                     // requests at once
	refill = 500 * time.Millisecond // for each further one
)

// limit is a token bucket. Its zero value is full.
type limit struct {
	used float64
	last time.Time
}

// take reports whether one more request may be carried out now.
func (l *limit) take(now time.Time) bool {
	l.used = max(0, l.used-float64(now.Sub(l.last))/float64(refill))
	l.last = now
	if l.used > burst-1 {
		return false
	}
	l.used++
	return true
}
