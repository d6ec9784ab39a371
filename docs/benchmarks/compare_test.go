package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// ownedByAnybody lets git read the checkout though it belongs to another user, as in some containers.
func ownedByAnybody(t *testing.T) {
	t.Setenv("GIT_CONFIG_COUNT", "1")
	t.Setenv("GIT_CONFIG_KEY_0", "safe.directory")
	t.Setenv("GIT_CONFIG_VALUE_0", "*")
}

// moment is a scale at which only the way through the code is of interest.
var moment = scale{warm: time.Millisecond, window: 10 * time.Millisecond, idle: 20, quiet: time.Millisecond}

// TestCompare compares the working tree with HEAD, for moments.
func TestCompare(t *testing.T) {
	ownedByAnybody(t)
	rows, err := comparable([]string{"echo1", "connect", "idle"})
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	c := comparison{rows: rows, rounds: 2, scale: moment, out: &lines}
	c.window = c.once
	if c.base, c.now, err = builds(t.Context(), "HEAD", t.TempDir()); err != nil {
		t.Fatal(err)
	}
	result, err := c.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(lines.String(), "\n"), 2*len(rows); got != want {
		t.Errorf("%d lines, want one for each row of each round, %d:\n%s", got, want, &lines)
	}
	units := map[string]string{"echo1": "µs", "connect": "µs", "idle": "KB"}
	for i, r := range result.Rows {
		if r.Workload != rows[i].name || len(r.Base) != 2 || len(r.Now) != 2 || r.Unit != units[r.Workload] {
			t.Errorf("row %d: got %+v, want %s with two figures of each in %s", i, r, rows[i].name, units[rows[i].name])
		}
	}
	if text := result.String(); !strings.HasPrefix(text, "base: "+c.base.commit+" ") || !strings.Contains(text, "\nnow:  working tree at ") {
		t.Errorf("it does not say what was compared:\n%s", text)
	}
}

// TestComparison_pair: each pair has both trees twice, in an order that turns from round to round.
func TestComparison_pair(t *testing.T) {
	var order []string
	c := comparison{base: build{commit: "base"}, now: build{commit: "now"}, window: func(b build, _ workload) (report.Values, error) {
		order = append(order, b.commit)
		return report.Values{report.CPU: map[string]float64{"base": 4, "now": 5}[b.commit] + float64(len(order))}, nil
	}}
	for _, tt := range []struct {
		nowFirst  bool
		order     string
		base, now float64
	}{
		{false, "base now now base", 4 + 2.5, 5 + 2.5}, // what grows from window to window hits both alike
		{true, "now base base now", 4 + 2.5, 5 + 2.5},
	} {
		order = nil
		base, now, unit, err := c.pair(t.Context(), workload{name: "echo1"}, tt.nowFirst)
		if got := strings.Join(order, " "); got != tt.order || base != tt.base || now != tt.now || unit != "µs" || err != nil {
			t.Errorf("now first %v: got %q, base %v, now %v %s, %v, want %q, %v, %v µs", tt.nowFirst, got, base, now, unit, err, tt.order, tt.base, tt.now)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	order = nil
	if _, _, _, err := c.pair(ctx, workload{name: "echo1"}, false); err == nil || order != nil {
		t.Errorf("after an interrupt: error %v, and it has measured %q, want an error and nothing", err, order)
	}
}

func TestCostOf(t *testing.T) {
	for name, tt := range map[string]struct {
		values report.Values
		cost   float64
		unit   string
	}{
		"CPU goes first": {report.Values{report.CPU: 5, report.Used: 3}, 5, "µs"},
		"memory":         {report.Values{report.Used: 3}, 3, "KB"},
		"neither":        {report.Values{report.Time: 3}, 0, ""},
	} {
		cost, unit, err := costOf(tt.values)
		if cost != tt.cost || unit != tt.unit || (err == nil) != (tt.unit != "") {
			t.Errorf("%s: got %v %q, %v, want %v %q", name, cost, unit, err, tt.cost, tt.unit)
		}
	}
}

// rename changes a name in all files that match.
func rename(t *testing.T, pattern, from, to string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += strings.Count(string(text), from)
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), from, to)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Fatalf("no %q in %s", from, pattern)
	}
}

// TestBuildBase_anotherAPI: with a library that has other names, the base runs the server of its own tree; when that does not
// compile either, the error says what to do.
func TestBuildBase_anotherAPI(t *testing.T) {
	ownedByAnybody(t)
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := extract(t.Context(), "HEAD", tree); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "base")
	rename(t, filepath.Join(tree, "registry", "registry.go"), "func New(", "func Make(")
	rename(t, filepath.Join(tree, "registry", "cluster.go"), "r := New(", "r := Make(")
	_, err := buildBase(t.Context(), "abc123", tree, program)
	if err == nil || !strings.Contains(err.Error(), "Name a younger commit with -base") || strings.Count(err.Error(), "undefined: registry.New") < 2 {
		t.Errorf("when no server compiles: got error %v, want it to say so of both servers, and to ask for a younger commit", err)
	}

	rename(t, filepath.Join(tree, "docs", "benchmarks", "internal", "peer", "*.go"), "registry.New(", "registry.Make(")
	note, err := buildBase(t.Context(), "abc123", tree, program)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(note, "so abc123 runs its own") || !strings.Contains(note, "undefined: registry.New") {
		t.Errorf("the note is %q, want it to say that the base runs its own server, and why", note)
	}
	rows, err := comparable([]string{"cast1000"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := (comparison{scale: moment}).once(build{program: program}, rows[0]); err != nil || v[report.Rate] <= 0 {
		t.Errorf("the server of the base: got %v, %v, want a rate", v, err)
	}
}
