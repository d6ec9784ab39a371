package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// TestMain is also the server's process: the runner starts its own program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "serve" || os.Args[1] == "serve-soak" || os.Args[1] == "serve-slow" || os.Args[1] == "spin") {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestPlan_everyWorkload runs each workload against two servers in processes of their own, for a moment.
func TestPlan_everyWorkload(t *testing.T) {
	p := plan{out: io.Discard, servers: []string{"gws", "nbio", "bun", "troupe"}, rounds: 1, scale: scale{warm: time.Millisecond, window: 10 * time.Millisecond, idle: 20, quiet: time.Millisecond}}
	for _, w := range workloads() {
		if w.name != "cast10000" && w.name != "cast10000z" { // the same code as with 1,000
			p.only = append(p.only, w.name)
		}
	}
	r, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, w := range workloads() {
		for _, one := range p.peers(w) {
			if slices.Contains(p.only, w.name) && !(one.Name == "bun" && len(r.Absent) > 0) { // it is not everywhere
				want++
			}
		}
	}
	if len(r.Results) != want || want < 2*len(p.only) {
		t.Errorf("got %d results, want %d: %v", len(r.Results), want, r.Results)
	}
	for _, why := range r.Absent {
		t.Log(why)
	}
	for _, one := range r.Results {
		// In so short a window the CPU time may be 0: the clock of another process moves in steps.
		_, memory := one.Values[report.Used]
		if _, cpu := one.Values[report.CPU]; !memory && (!cpu || one.Values[report.Rate] <= 0) {
			t.Errorf("%s, %s: got %v, want CPU time and a rate", one.Workload, one.Server, one.Values)
		}
	}
	name := filepath.Join(t.TempDir(), "results", "run.json")
	if err := r.Write(name); err != nil {
		t.Fatal(err)
	}
	again, err := report.Read(name)
	if err != nil || len(again.Results) != len(r.Results) {
		t.Errorf("read again: %d results, %v, want %d", len(again.Results), err, len(r.Results))
	}
}

func TestRun_refusesBadArguments(t *testing.T) {
	t.Setenv(serverCore, "none") // so that it does not start again on another core
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-only", "nothing"}, {"-servers", "nobody"},
		{"report"}, {"report", "missing.json"}, {"serve", "-peer", "nobody"}, {"serve", "-peer", "bun"}, {"serve", "-options", "nonsense"},
		{"compare", "surplus"}, {"compare", "-only", "send"}, {"compare", "-only", "echo1", "-base", "no-such-commit"}, {"beside", "surplus"}, {"beside", "-window", "long"}, {"day", "surplus"}, {"day", "-hour", "long"}, {"slow", "surplus"}, {"slow", "-only", "nothing"},
	} {
		if err := run(args); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
