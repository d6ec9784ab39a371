package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestRender_golden renders testdata/run-*.json. With -update it writes what it gets.
func TestRender_golden(t *testing.T) {
	var runs []report.Run
	for _, name := range []string{"testdata/run-1.json", "testdata/run-2.json"} {
		r, err := report.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	dir := t.TempDir()
	if err := report.Render(dir, runs, []string{"raw", "gws", "troupe"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"REPORT.md", "charts/echo64.svg"} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", filepath.Base(name)+".golden")
		if *update {
			if err := os.WriteFile(golden, got, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

func TestChart_isXML(t *testing.T) {
	chart := report.Chart("a < b & c", "µs", []report.Bar{{Label: "<x>"}, {Label: "y", Value: report.Summary{Median: 2, Min: 1, Max: 3}}})
	d := xml.NewDecoder(strings.NewReader(chart))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, chart)
		}
	}
}

func TestTarget_judge(t *testing.T) {
	// run has rounds of gws and troupe, in pairs.
	run := func(cpu ...float64) (r report.Run) {
		for i, v := range cpu {
			one := report.Result{Workload: "echo2kz64", Server: [...]string{"gws", "troupe"}[i%2], Round: i / 2, Values: report.Values{report.CPU: v}}
			if v > 0 {
				r.Results = append(r.Results, one)
			}
		}
		return r
	}
	target := report.Targets[slices.IndexFunc(report.Targets, func(t report.Target) bool { return t.Workload == "echo2kz64" })] // at most 1.00 times gws, aim 0.80
	for name, tt := range map[string]struct {
		runs     []report.Run
		rounds   int
		met, aim report.Met
	}{
		"nothing":                   {nil, 0, report.Missed, report.Missed},
		"without gws":               {[]report.Run{run(0, 1)}, 0, report.Missed, report.Missed},
		"better":                    {[]report.Run{run(8, 6)}, 1, report.Always, report.Always},
		"within":                    {[]report.Run{run(8, 7.5)}, 1, report.Always, report.Missed},
		"beyond":                    {[]report.Run{run(8, 9)}, 1, report.Missed, report.Missed},
		"beyond in one round":       {[]report.Run{run(8, 6, 8, 9, 8, 6)}, 3, report.InMedian, report.InMedian},
		"beyond in one run":         {[]report.Run{run(8, 6), run(8, 9), run(8, 6)}, 3, report.InMedian, report.InMedian},
		"beyond in most rounds":     {[]report.Run{run(8, 9, 8, 9, 8, 6)}, 3, report.Missed, report.Missed},
		"ratio within a round":      {[]report.Run{run(8, 6, 16, 12)}, 2, report.Always, report.Always},
		"a round without the other": {[]report.Run{run(8, 6, 0, 80)}, 1, report.Always, report.Always},
	} {
		v := target.Judge(tt.runs)
		if v.Measured != (tt.rounds > 0) || v.Rounds != tt.rounds || v.Met != tt.met || v.AimMet != tt.aim {
			t.Errorf("%s: got %d rounds, met %v, aim %v, want %d, %v, %v", name, v.Rounds, v.Met, v.AimMet, tt.rounds, tt.met, tt.aim)
		}
	}
}

func TestBeside_table(t *testing.T) {
	var b report.Beside
	for round, rate := range []float64{100_000, 200_000, 300_000} {
		for _, where := range report.Places {
			b.Results = append(b.Results,
				report.Result{Workload: where, Server: report.Own, Round: round, Values: report.Values{report.Rate: rate, report.CPU: 4}},
				report.Result{Workload: where, Server: report.Ordinary, Round: round, Values: report.Values{report.Rate: 2 * rate, report.CPU: 2}})
		}
	}
	want := "| beside a busy program in its group | 200,000 | 100,000–300,000 | 0.800 | 4.00 | 400,000 | 200,000–600,000 | 0.800 | 2.00 | 0.500 |\n"
	if got := b.Table(); !strings.Contains(got, want) {
		t.Errorf("got\n%s\nwant in it\n%s", got, want)
	}
}

// TestNodes_table: ratios are those of one round, and what is no ratio stands as it is.
func TestNodes_table(t *testing.T) {
	var n report.Nodes
	for round, v := range []struct{ nats, troupe float64 }{{2, 1}, {10, 5.5}, {4, 2.8}} {
		for with, cpu := range map[string]float64{report.NATS: v.nats, "troupe": v.troupe} {
			n.Results = append(n.Results, report.Result{Workload: report.Flood, Server: with, Round: round, Values: report.Values{report.CPU: cpu}})
		}
	}
	n.Results = append(n.Results, report.Result{Workload: report.Link, Server: "troupe", Values: report.Values{report.LinkBytes: 20_000, report.LinkCPU: 0.02}})
	got := n.Table()
	for _, want := range []string{
		"| Send to another node, 64 bytes, flood | 4.00 (2.00–10.0) µs | 2.80 (1.00–5.50) µs | 0.550 (0.500–0.700) | at most 0.60 × nats | 3 | median |\n",
		"| a link without traffic, memory in each node |  | 20,000 bytes |  | at most 16,384 bytes | 1 | **no** |\n",
		"| a link without traffic, CPU in each node |  | 0.0200 % of a core |  | at most 0.0500 % of a core | 1 | yes |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table is\n%s\nwant the line\n%s", got, want)
		}
	}
	if strings.Contains(got, "Call") {
		t.Errorf("the table has what was not measured:\n%s", got)
	}
}

// TestRegistry_table: what has no target stands there all the same, and what has one is judged.
func TestRegistry_table(t *testing.T) {
	r := report.Registry{Names: 100_000, Groups: 10_000, Sockets: 5_000}
	for round, node := range []float64{1, 3, 1.5} {
		r.Results = append(r.Results, report.Result{Workload: report.Cast, Server: "troupe", Round: round, Values: report.Values{report.LocalCPU: 0.5, report.NodeCPU: node}})
	}
	r.Results = append(r.Results,
		report.Result{Workload: report.Groups, Server: "troupe", Values: report.Values{report.OtherBytes: 71}},
		report.Result{Workload: report.Dies, Server: "troupe", Values: report.Values{report.Diffs: 1}})
	got := r.Table()
	for _, want := range []string{
		"| Broadcast to one member on the same node, flood, CPU | 0.500 µs |  | 3 |  |\n",
		"| for each other node with a member, CPU beyond that | 1.50 (1.00–3.00) µs | at most 2.00 µs | 3 | median |\n",
		"| 10,000 groups: memory for each, on each other node | 71.0 bytes |  | 1 |  |\n",
		"| that node is killed: messages to a watcher of the room | 1.00 |  | 1 |  |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the table is\n%s\nwant the line\n%s", got, want)
		}
	}
	if strings.Contains(got, "names") || strings.Contains(got, "5,000") {
		t.Errorf("the table has what was not measured:\n%s", got)
	}
}

// TestSlow_table: each workload that was measured has its table, and results of one take the place of those before.
func TestSlow_table(t *testing.T) {
	values := func(v float64) report.Values {
		return report.Values{report.AgeP50: v, report.Sent: 1000, report.Arrived: 10, report.LeftOut: 990, report.P99: 100 * v}
	}
	old := report.Slow{Ways: []string{"Key"}}
	for round, v := range []float64{1, 3, 2} {
		old.Results = append(old.Results, report.Result{Workload: report.Ticker, Server: "Key", Round: round, Values: values(v)})
	}
	ended := report.Values{report.Sent: 500, report.Arrived: 300, report.Lived: 1.25}
	old.Replace(report.Slow{Results: []report.Result{{Workload: report.Stream, Server: "Send", Values: ended}}})
	for round, v := range []float64{1, 3, 2} {
		old.Results = append(old.Results, report.Result{Workload: report.Tenth, Server: report.WithoutSlow, Round: round, Values: values(2)},
			report.Result{Workload: report.Tenth, Server: report.WithSlow, Round: round, Values: values(v)})
	}
	got := old.Table()
	for _, want := range []string{
		"| Key | 2.00 (1.00–3.00) ms |  |  |  | 1,000 | 10.0 | 990 | open |\n",
		"| Send | 500 | 300 |  |  |  | 1013 after 1.25 s |\n",
		"| a tenth is slow |  | 200 (100–300) |  |  | 990 |\n| ratio, of one round | 0 | 1.00 (0.500–1.50) | 0 | 0 | |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the tables are\n%s\nwant the line\n%s", got, want)
		}
	}
	old.Replace(report.Slow{Ways: []string{"Key"}, Results: []report.Result{{Workload: report.Ticker, Server: "Key", Values: values(7)}}})
	if got := old.Table(); !strings.Contains(got, "| Key | 7.00 ms |") {
		t.Errorf("after new results the tables are\n%s", got)
	}
}
