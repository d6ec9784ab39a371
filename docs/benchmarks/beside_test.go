package main

import (
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// TestEchoBeside runs a server with and without a busy program on its core, all in processes of their own.
func TestEchoBeside(t *testing.T) {
	server, _, ok := proc.Cores()
	if !ok {
		t.Skip("it needs two cores")
	}
	t.Setenv(serverCore, strconv.Itoa(server))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range report.Places {
		s, err := echoBeside(self, where, 20*time.Millisecond)
		if err != nil || s.Count == 0 {
			t.Errorf("%s: %d echoes, %v", where, s.Count, err)
		}
	}
}
