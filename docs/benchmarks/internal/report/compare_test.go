package report_test

import (
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

func TestRow_Change(t *testing.T) {
	const base = 5.0
	for name, tt := range map[string]struct {
		ratios []float64
		want   report.Change
	}{
		"every round slower":                 {[]float64{1.02, 1.01, 1.09, 1.03, 1.05, 1.02, 1.04}, report.Slower},
		"every round faster":                 {[]float64{0.98, 0.9, 0.95}, report.Faster},
		"equal":                              {[]float64{0.99, 1.01, 1, 0.98, 1.02, 1, 1.005}, report.NoSlower},
		"a little above, as builds differ":   {[]float64{0.99, 1.009, 1.02}, report.NoSlower},
		"slower in most rounds":              {[]float64{0.99, 1.03, 1.04, 1.02, 1.05}, report.Unclear},
		"the median is 1, the rounds apart":  {[]float64{0.8, 1, 1.2}, report.Unclear},
		"two rounds":                         {[]float64{1.1, 1.2}, report.Slower},
		"one round says nothing":             {[]float64{1.5}, report.Unclear},
		"no round":                           {nil, report.Unclear},
		"an even number, the median between": {[]float64{0.99, 1.001, 1.03, 1.04}, report.Unclear},
	} {
		t.Run(name, func(t *testing.T) {
			row := report.Row{Workload: "echo64"}
			for _, r := range tt.ratios {
				row.Base, row.Now = append(row.Base, base), append(row.Now, base*r)
			}
			if got := row.Change(); got != tt.want {
				t.Errorf("of %v: got %q, want %q", tt.ratios, got, tt.want)
			}
		})
	}
}

// TestRow_Change_leavesOutRoundsWithoutCPU: in a very short window the CPU clock may stand still.
func TestRow_Change_leavesOutRoundsWithoutCPU(t *testing.T) {
	row := report.Row{Base: []float64{0, 5, 5}, Now: []float64{5, 6, 6}}
	if got := row.Change(); got != report.Slower {
		t.Errorf("got %q, want %q", got, report.Slower)
	}
}

func TestComparison(t *testing.T) {
	c := report.Comparison{
		Base: "1f7c990", Now: "the working tree",
		Rows: []report.Row{
			{Workload: "echo64", Unit: "µs", Base: []float64{5, 5, 5}, Now: []float64{5.5, 5.2, 5.3}},
			{Workload: "cast10000", Unit: "µs", Base: []float64{1, 1.02, 1.04}, Now: []float64{1, 1.02, 1.03}},
			{Workload: "connect", Unit: "µs", Base: []float64{100, 100, 100}, Now: []float64{80, 104, 130}},
		},
	}
	want := strings.TrimLeft(`
base: 1f7c990
now:  the working tree

        row  base   now  unit  now / base  smallest  largest  rounds
     echo64  5.00  5.30    µs       1.060     1.040    1.100       3  slower by more than its spread
  cast10000  1.02  1.02    µs       1.000     0.990    1.000       3  no slower
    connect   100   104    µs       1.040     0.800    1.300       3  cannot tell

Slower, in every round: echo64.
Not to be told from these rounds: connect. Try -only connect with more -rounds, on a machine that does nothing else.
`, "\n")
	if got := c.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got := strings.Join(c.Slower(), ","); got != "echo64" {
		t.Errorf("slower: got %q, want echo64", got)
	}
	c.Rows = c.Rows[1:2]
	if got := c.String(); !strings.HasSuffix(got, "\nNo row is slower by more than its spread.\n") {
		t.Errorf("got:\n%s\nwant it to say that no row is slower", got)
	}
}
