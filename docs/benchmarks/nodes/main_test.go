package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// TestMain is also the processes: the runner starts its own program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"node", "links", "member"}, os.Args[1]) {
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

// TestRegistryPlan does the same for what a registry costs. What is counted, and not measured, is what it is.
func TestRegistryPlan(t *testing.T) {
	const n = 2000
	p := registryPlan{rounds: 1, messages: step, names1: n, groups1: n, sockets: n, settle: time.Millisecond, out: io.Discard}
	results, err := p.run()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		got = append(got, r.Workload)
		v := r.Values
		switch r.Workload {
		case report.Names, report.Groups:
			if v[report.HolderBytes] <= 0 || v[report.OtherBytes] <= 0 || v[report.Time] <= 0 {
				t.Errorf("%s: %v, want memory on all nodes, and time", r.Workload, v)
			}
		case report.Joins: // a group and a track each, and the room
			if v[report.Records] != 2*n+1 || v[report.Wire] <= 0 || v[report.Diffs] < 1 {
				t.Errorf("%s: %v, want %d records", r.Workload, v, 2*n+1)
			}
		case report.Dies:
			if v[report.Diffs] != 1 {
				t.Errorf("%s: %v, want one diff", r.Workload, v)
			}
		case report.Back: // a track each, and the groups in a few
			if v[report.Records] < n || v[report.Records] > n+10 || v[report.Wire] <= 0 || v[report.Diffs] < 1 {
				t.Errorf("%s: %v, want %d records and a few", r.Workload, v, n)
			}
		}
	}
	if want := []string{report.Cast, report.Cast20, report.Names, report.Groups, report.Late, report.Joins, report.Dies, report.Back, report.Trickle}; !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
}

func TestRun_refusesBadArguments(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"surplus"}, {"-rounds", "0"}, {"-messages", "1"}, {"-links", "0"}, {"-look", "0"}, {"node", "-with", "pigeons"},
		{"registry", "-nonsense"}, {"registry", "surplus"}, {"registry", "-rounds", "0"}, {"registry", "-sockets", "0"},
	} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
