package main

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// TestMain is also the processes: the runner starts its own program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "node" || os.Args[1] == "links") {
		if err := run(os.Args[1:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestPlan runs everything for a moment, in processes of their own over real servers: what is measured is them.
func TestPlan(t *testing.T) {
	p := plan{rounds: 1, messages: step, calls: turns, links: 2, look: 10 * time.Millisecond, out: io.Discard}
	results, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{ // CPU time may be 0 in so short a time: the clock of another process moves in steps
		"flood nats": {report.Rate}, "flood troupe": {report.Rate},
		"call nats": {report.Rate, report.P50, report.P99}, "call troupe": {report.Rate, report.P50, report.P99},
		"link troupe": {report.LinkBytes},
	}
	for _, r := range results {
		name := r.Workload + " " + r.Server
		for _, figure := range want[name] {
			if r.Values[figure] <= 0 && figure != report.LinkBytes {
				t.Errorf("%s: %v, want %s above 0", name, r.Values, figure)
			}
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not measured: %v", want)
	}
}

func TestRun_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-rounds", "0"}, {"-messages", "1"}, {"-links", "0"}, {"-look", "0"}, {"node", "-with", "pigeons"},
	} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
