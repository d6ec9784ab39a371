package chat

import (
	"testing"
	"time"
)

func TestLimit(t *testing.T) {
	var l limit
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	take := func(n int) (taken int) {
		for range n {
			if l.take(now) {
				taken++
			}
		}
		return taken
	}
	for _, tt := range []struct {
		pause time.Duration
		want  int
	}{{0, burst}, {0, 0}, {refill, 1}, {3 * refill, 3}, {time.Hour, burst}, {-time.Hour, 0}} {
		now = now.Add(tt.pause)
		if got := take(burst + 5); got != tt.want {
			t.Errorf("%v later: %d of %d requests, want %d", tt.pause, got, burst+5, tt.want)
		}
	}
}
