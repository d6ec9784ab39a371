package report_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// flat is a soak of ten minutes in which nothing grows.
func flat() report.Soak {
	s := report.Soak{For: 10 * time.Minute, Clients: 3}
	s.Before = report.SoakSample{Heap: 5e6, Goroutines: 10}
	s.After = s.Before
	for at := 10 * time.Second; at <= s.For; at += 10 * time.Second {
		n := uint64(at.Seconds())
		s.Samples = append(s.Samples, report.SoakSample{
			At: at, RSS: 40e6, Heap: 10e6, Goroutines: 100, Sockets: 300, Asleep: 200, Echoes: 50 * n, Deliveries: 10 * n,
		})
	}
	return s
}

func TestSoak_passed(t *testing.T) {
	last := func(s report.Soak) []report.SoakSample { return s.Samples[len(s.Samples)-7:] }
	for name, tt := range map[string]struct {
		change func(s *report.Soak)
		want   bool
	}{
		"flat":       {func(*report.Soak) {}, true},
		"lost":       {func(s *report.Soak) { s.Failed = 1 }, false},
		"no samples": {func(s *report.Soak) { s.Samples = nil }, false},
		"heap grows": {func(s *report.Soak) {
			for i := range last(*s) {
				last(*s)[i].Heap = 13e6
			}
		}, false},
		"RSS grows": {func(s *report.Soak) {
			for i := range last(*s) {
				last(*s)[i].RSS = 60e6
			}
		}, false},
		"goroutines grow": {func(s *report.Soak) {
			for i := range last(*s) {
				last(*s)[i].Goroutines = 140
			}
		}, false},
		"one peak":        {func(s *report.Soak) { last(*s)[3].Heap = 50e6 }, true},
		"sockets left":    {func(s *report.Soak) { s.After.Sockets = 1 }, false},
		"goroutines left": {func(s *report.Soak) { s.After.Goroutines = 20 }, false},
		"heap left":       {func(s *report.Soak) { s.After.Heap = 8e6 }, false},
		"none asleep": {func(s *report.Soak) {
			for i := range s.Samples {
				s.Samples[i].Asleep = 0
			}
		}, false},
	} {
		s := flat()
		tt.change(&s)
		if got := s.Passed(); got != tt.want {
			t.Errorf("%s: passed %t, want %t\n%s", name, got, tt.want, s.Table())
		}
	}
}

func TestRender_soak(t *testing.T) {
	dir := t.TempDir()
	if err := flat().Write(filepath.Join(dir, report.SoakFile)); err != nil {
		t.Fatal(err)
	}
	if err := report.Render(dir, []report.Run{{}}, nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"REPORT.md": "## Soak", "charts/soak.svg": "deliveries 10.0"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: got %v\n%s\nwant %q in it", name, err, got, want)
		}
	}
}
