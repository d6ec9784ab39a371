package socket

import (
	"testing"
	"time"
)

// TestBackoff_limit: the limit begins with Min, doubles with each failure, and stays at Max, whatever the numbers are.
func TestBackoff_limit(t *testing.T) {
	const longest = time.Duration(1<<63 - 1)
	for _, tt := range []struct {
		b    Backoff
		want []time.Duration // after 1, 2, 3... failures
		last time.Duration   // after very many
	}{
		{Backoff{}, []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9}, 30e9},
		{Backoff{Min: 3, Max: 20}, []time.Duration{3, 6, 12, 20, 20}, 20},
		{Backoff{Min: time.Minute}, []time.Duration{time.Minute, time.Minute}, time.Minute},
		{Backoff{Min: longest/2 + 1, Max: longest}, []time.Duration{longest/2 + 1, longest, longest}, longest},
	} {
		b, err := tt.b.withDefaults()
		if err != nil {
			t.Fatalf("%+v: %v", tt.b, err)
		}
		for i, want := range tt.want {
			if got := b.limit(i + 1); got != want {
				t.Errorf("%+v: after %d failures the limit is %v, want %v", tt.b, i+1, got, want)
			}
		}
		if got := b.limit(1 << 40); got != tt.last {
			t.Errorf("%+v: after very many failures the limit is %v, want %v", tt.b, got, tt.last)
		}
		if w := b.wait(1<<40, nil); w < 0 || w >= tt.last {
			t.Errorf("%+v: wait %v, want one below %v", tt.b, w, tt.last)
		}
	}
}

// TestBackoff_defaults: those that are documented.
func TestBackoff_defaults(t *testing.T) {
	b, err := Backoff{}.withDefaults()
	if err != nil || b.Min != time.Second || b.Max != 30*time.Second || b.Steady != 5*time.Second || b.MaxRetryAfter != 10*time.Minute || b.Retry == nil {
		t.Errorf("got %+v, %v, want 1s, 30s, 5s, 10m and ComesBack", b, err)
	}
}
