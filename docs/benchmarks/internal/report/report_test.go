package report_test

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
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
	run := func(gws, troupe float64) report.Run {
		result := func(server string, v float64) report.Result {
			return report.Result{Workload: "echo64", Server: server, Values: report.Values{report.CPU: v}}
		}
		return report.Run{Results: []report.Result{result("gws", gws), result("troupe", troupe)}}
	}
	target := report.Targets[0] // echo64, at most 1.10 times gws, aim 1.00
	for name, tt := range map[string]struct {
		runs                  []report.Run
		measured, met, aimMet bool
	}{
		"nothing":             {nil, false, false, false},
		"without gws":         {[]report.Run{{Results: run(1, 1).Results[1:]}}, false, false, false},
		"better":              {[]report.Run{run(8, 7)}, true, true, true},
		"within":              {[]report.Run{run(8, 8.5)}, true, true, false},
		"beyond":              {[]report.Run{run(8, 9)}, true, false, false},
		"beyond in one run":   {[]report.Run{run(8, 8), run(8, 9)}, true, false, false},
		"ratio within a run":  {[]report.Run{run(8, 8), run(16, 16)}, true, true, true},
		"one run is not both": {[]report.Run{run(8, 8), {Results: run(8, 80).Results[1:]}}, true, true, true},
	} {
		v := target.Judge(tt.runs)
		if v.Measured != tt.measured || v.Met != tt.met || v.AimMet != tt.aimMet {
			t.Errorf("%s: got measured %t, met %t, aim %t, want %t, %t, %t", name, v.Measured, v.Met, v.AimMet, tt.measured, tt.met, tt.aimMet)
		}
	}
}
