package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// TestSlow runs each workload with slow clients for a moment, twice, and keeps the results of the first when the second is of another
// workload. What must add up is checked by the command.
func TestSlow(t *testing.T) {
	t.Setenv(serverCore, "none") // so that it does not start again on another core
	name := filepath.Join(t.TempDir(), "slow.json")
	var out bytes.Buffer
	for _, only := range []string{"ticker", "stream,tenth"} {
		if err := slow([]string{"-only", only, "-rounds", "1", "-window", "200ms", "-conns", "50", "-out", name}, &out); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
	}
	s, err := report.ReadSlow(name)
	if err != nil || len(s.Results) != len(slowRuns(0, 0)) {
		t.Errorf("%d results, %v; want %d", len(s.Results), err, len(slowRuns(0, 0)))
	}
	for _, r := range s.Results {
		if v := r.Values; r.Workload != report.Tenth && (v[report.Sent] == 0 || v[report.Arrived] == 0) || r.Workload == report.Tenth && v[report.P99] == 0 {
			t.Errorf("%s, %s: %v", r.Workload, r.Server, r.Values)
		}
	}
	if table := s.Table(); strings.Count(table, "\n") != len(s.Ways)+len(report.Ways)+3+2*3+2 {
		t.Errorf("the table is\n%s", table)
	}
}
