package sockettest

import (
	"context"
	"testing"
	"time"
)

// How long a call waits; see the package comment.
const (
	realLimit   = 10 * time.Second
	bubbleLimit = 7 * 24 * time.Hour
)

// limit is how long a call on this goroutine waits.
func limit() time.Duration {
	// There is no way to ask for a bubble, but its clock starts with the year 2000 (testing/synctest, "Time").
	if time.Now().Year() < 2020 {
		return bubbleLimit
	}
	return realLimit
}

// wait waits for done at the end of a test.
func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	d := limit()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		t.Errorf("sockettest: %s has not ended %v after the test", what, d)
	}
}

// shutdown ends what f shuts down, at the end of a test.
func shutdown(t testing.TB, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit())
	defer cancel()
	if err := f(ctx); err != nil {
		t.Errorf("sockettest: at the end of the test: %v", err)
	}
}
