package socket

import (
	"fmt"
	"math"

	"golang.org/x/time/rate"
)

// Rate is how many upgrades may come in a time: PerSecond in the long run, and up to Burst at once when few have come before.
// The zero Rate is no limit.
type Rate struct {
	PerSecond float64 // 0: no limit; it may be less than 1: 0.1 is one in ten seconds
	Burst     int     // 0: as many as come in a second, but at least 1
}

// withDefaults checks r and replaces zeros; field is its name in a Config.
func (r Rate) withDefaults(field string) (Rate, error) {
	switch {
	case r.PerSecond < 0 || math.IsNaN(r.PerSecond) || math.IsInf(r.PerSecond, 0):
		return r, fmt.Errorf("socket: Config.%s.PerSecond %v: want a number above 0, or 0 for no limit", field, r.PerSecond)
	case r.Burst < 0:
		return r, fmt.Errorf("socket: Config.%s.Burst %d: negative; 0 means as many as come in a second", field, r.Burst)
	case r.PerSecond == 0 && r.Burst > 0:
		return r, fmt.Errorf("socket: Config.%s.Burst %d without PerSecond: set that, too, or neither for no limit", field, r.Burst)
	}
	if r.Burst == 0 && r.PerSecond > 0 {
		r.Burst = int(min(math.Ceil(r.PerSecond), math.MaxInt32))
	}
	return r, nil
}

// limiter is a bucket for r, which is full; nil: no limit.
func (r Rate) limiter() *rate.Limiter {
	if r.PerSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)
}
