package report

import (
	"math"
	"slices"
	"strconv"
)

// A Summary is one figure over several rounds and runs.
type Summary struct {
	Median, Min, Max float64
}

func summarize(values []float64) (Summary, bool) {
	if len(values) == 0 {
		return Summary{}, false
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Summary{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}, true
}

// figure returns one figure of a server under a workload, over all rounds of the runs.
func figure(runs []Run, workload, server, name string) (Summary, bool) {
	var values []float64
	for _, run := range runs {
		for _, r := range run.Results {
			if r.Workload == workload && r.Server == server {
				if v, ok := r.Values.figure(name); ok {
					values = append(values, v)
				}
			}
		}
	}
	return summarize(values)
}

// figure is one of them. The cores in use follow from two others: µs for a message, times messages in a second.
func (v Values) figure(name string) (float64, bool) {
	if name != Cores {
		f, ok := v[name]
		return f, ok
	}
	cpu, ok := v[CPU]
	rate, also := v[Rate]
	return cpu * rate / 1e6, ok && also
}

// number writes v with three significant digits, and without an exponent.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	digits := max(2-int(math.Floor(math.Log10(math.Abs(v)))), 0)
	if digits > 0 {
		return strconv.FormatFloat(v, 'f', digits, 64)
	}
	return thousands(int64(math.Round(v)))
}

// Thousands writes 1234567 as 1,234,567.
func Thousands(n int64) string { return thousands(n) }

// thousands writes 1234567 as 1,234,567.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span is the spread of a figure.
func (s Summary) span() string {
	if a, b := number(s.Min), number(s.Max); a != b {
		return a + "–" + b
	}
	return number(s.Median)
}

// around is the median with the spread.
func (s Summary) around() string {
	if number(s.Min) == number(s.Max) {
		return number(s.Median)
	}
	return number(s.Median) + " (" + s.span() + ")"
}
