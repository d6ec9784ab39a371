package main

import (
	"io"
	"path/filepath"
	"testing"
	"time"
)

// TestSoak is a soak of seconds, with a process for the server. How much memory it has after so short a time says nothing;
// that nothing is lost, and that all goroutines are gone in the end, does.
func TestSoak(t *testing.T) {
	s, err := runSoak(3*time.Second, 20, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if s.Failed > 0 {
		t.Errorf("%d failures: %q", s.Failed, s.Failures)
	}
	if s.After.Sockets > 0 || s.After.Goroutines > s.Before.Goroutines+5 {
		t.Errorf("when all have left: %+v, before: %+v", s.After, s.Before)
	}
	if len(s.Samples) == 0 {
		t.Fatal("no samples")
	}
	if last := s.Samples[len(s.Samples)-1]; last.Echoes == 0 || last.Deliveries == 0 || last.Connects == 0 {
		t.Errorf("nothing was done: %+v", last)
	}
	if err := s.Write(filepath.Join(t.TempDir(), "soak.json")); err != nil {
		t.Error(err)
	}
}
