package report

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// A Comparison is what two trees cost, the base and the one after it, in rounds that each measured both.
type Comparison struct {
	Base, Now string // what they are, in words
	Rows      []Row
}

// A Row is one workload.
type Row struct {
	Workload  string
	Unit      string    // of what is compared
	Base, Now []float64 // the figure, one of each round
}

// ratios are now / base of each round.
func (r Row) ratios() []float64 {
	var all []float64
	for i, base := range r.Base {
		if base > 0 {
			all = append(all, r.Now[i]/base)
		}
	}
	return all
}

// A Change is what the ratios of a row say.
type Change uint8

const (
	Unclear  Change = iota // the rounds do not agree, or there is none
	NoSlower               // the median is at most level above the base, and the rounds lie close together
	Slower                 // every round says so
	Faster                 // likewise
)

func (c Change) String() string {
	return [...]string{"cannot tell", "no slower", "slower by more than its spread", "faster by more than its spread"}[c]
}

const (
	// level is what two builds of equal speed differ by: the layout of a program in memory alone makes as much.
	level = 0.01
	// narrow is how far the rounds may lie apart so that their median says anything.
	narrow = 0.15
)

// change judges by the ratios of the rounds.
func change(ratio Summary) Change {
	switch {
	case ratio.Min > 1:
		return Slower
	case ratio.Max < 1:
		return Faster
	case ratio.Median <= 1+level && ratio.Max-ratio.Min <= narrow:
		return NoSlower
	}
	return Unclear
}

// Change is the verdict on a row. Of a single round there is none: it has no spread.
func (r Row) Change() Change {
	ratio, ok := summarize(r.ratios())
	if !ok || len(r.ratios()) < 2 {
		return Unclear
	}
	return change(ratio)
}

// Slower are the names of the rows that have become slower.
func (c Comparison) Slower() []string { return c.of(Slower) }

func (c Comparison) of(what Change) (names []string) {
	for _, r := range c.Rows {
		if r.Change() == what {
			names = append(names, r.Workload)
		}
	}
	return names
}

// String is the table, and what it says.
func (c Comparison) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "base: %s\nnow:  %s\n\n", c.Base, c.Now)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "row\tbase\tnow\tunit\tnow / base\tsmallest\tlargest\trounds\t\n")
	for _, r := range c.Rows {
		base, _ := summarize(r.Base)
		now, _ := summarize(r.Now)
		ratios := r.ratios()
		ratio, _ := summarize(ratios)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%.3f\t%.3f\t%.3f\t%d\t  %s\n", r.Workload, number(base.Median), number(now.Median), r.Unit,
			ratio.Median, ratio.Min, ratio.Max, len(ratios), r.Change())
	}
	t.Flush()
	b.WriteString("\n")
	if slower := c.of(Slower); len(slower) > 0 {
		fmt.Fprintf(&b, "Slower, in every round: %s.\n", strings.Join(slower, ", "))
	} else {
		b.WriteString("No row is slower by more than its spread.\n")
	}
	if unclear := c.of(Unclear); len(unclear) > 0 {
		fmt.Fprintf(&b, "Not to be told from these rounds: %s. Try -only %s with more -rounds, on a machine that does nothing else.\n",
			strings.Join(unclear, ", "), strings.Join(unclear, ","))
	}
	return b.String()
}
