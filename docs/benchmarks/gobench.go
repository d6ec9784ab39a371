package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// A goBench is a figure that Go benchmarks of the main module measure, inside one process.
type goBench struct {
	name string
	run  func(p plan) ([]report.Result, error)
}

var goBenches = []goBench{{"send", sends}, {"million", million}}

// sends runs the benchmarks of actor and registry, five times each.
func sends(p plan) ([]report.Result, error) {
	var results []report.Result
	for _, set := range []struct{ dir, bench string }{
		{"actor", "^(BenchmarkPID_Send|BenchmarkCall_betweenActors|BenchmarkPID_Send_only|BenchmarkPID_Send_waking|BenchmarkPID_Send_fanOut|BenchmarkCall|BenchmarkSystem_Spawn)$"},
		{"registry", "^BenchmarkWhereis$"},
	} {
		lines, err := p.goTest("../../"+set.dir, set.bench, "-benchmem", "-count", "5", "-benchtime", p.goTime)
		if err != nil {
			return nil, err
		}
		for _, l := range merge(lines) {
			v := report.Values{report.Nanos: l.values["ns/op"], report.Bytes: l.values["B/op"], report.Allocs: l.values["allocs/op"]}
			results = append(results, report.Result{Workload: "send", Server: set.dir + "." + l.name, Values: v})
		}
	}
	slices.SortStableFunc(results, func(a, b report.Result) int { return rank(a.Server) - rank(b.Server) })
	return results, nil
}

// rank is the sort key that puts the results with targets first.
func rank(name string) int {
	if i := slices.Index([]string{report.Send, report.Sender, report.Call}, name); i >= 0 {
		return i
	}
	return 3
}

// million runs BenchmarkMillion of package socket, three times.
func million(p plan) ([]report.Result, error) {
	args := []string{"-benchtime", "1x", "-count", "3", "-timeout", "20m"}
	if p.short {
		args = append(args, "-short")
	}
	lines, err := p.goTest("../../socket", "^BenchmarkMillion$", args...)
	if err != nil {
		return nil, err
	}
	var results []report.Result
	lines = merge(lines)
	for i, l := range lines {
		_, text, _ := strings.Cut(l.name, "/n=")
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("benchmark %q has no number of connections", l.name)
		}
		v := report.Values{
			report.Total: l.values["peak-MB"] / 1000, report.Heap: l.values["heap-B/conn"], report.Pipe: l.values["pipe-B/conn"],
			report.Connect: l.values["connect-ns"], report.Deliver: l.values["deliver-ns"], report.Drain: l.values["drain-ns"],
			report.Goroutines: max(l.values["connect-goroutines"], l.values["deliver-goroutines"], l.values["drain-goroutines"]),
			report.Time:       l.values["deliver-ns"] * float64(n) / 1e6,
		}
		for _, unit := range []string{"connect-ns", "heap-B/conn", "deliver-ns", "drain-ns"} {
			if i > 0 {
				v[report.Growth] = max(v[report.Growth], l.values[unit]/lines[0].values[unit])
			}
		}
		results = append(results, report.Result{Workload: "million", Server: report.Thousands(int64(n)), Values: v})
	}
	return results, nil
}

// A benchLine is one result of go test -bench.
type benchLine struct {
	name   string // without Benchmark and the number of cores
	values map[string]float64
}

// goTest runs benchmarks in a package of the main module. They have all cores, the load's and the servers'.
func (p plan) goTest(dir, bench string, args ...string) ([]benchLine, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", append([]string{"test", "-run", "^$", "-bench", bench}, append(args, ".")...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cores := []int(nil)
	if server, none := strconv.Atoi(os.Getenv(serverCore)); none == nil {
		_, load, _ := proc.Cores() // this process runs on one core only
		cores = []int{server, load}
	}
	if err = proc.Start(cmd, cores...); err == nil {
		err = cmd.Wait()
	}
	lines := parseBench(out.String())
	if err == nil && len(lines) == 0 {
		err = errors.New("no benchmark has run")
	}
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s in %s: %w\n%s", bench, dir, err, out.Bytes())
	}
	return lines, nil
}

// parseBench reads "BenchmarkX/n=1-2   10   123 ns/op   4 B/op".
func parseBench(out string) []benchLine {
	var lines []benchLine
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(f[0], "Benchmark")
		if i := strings.LastIndexByte(name, '-'); i > 0 {
			name = name[:i]
		}
		l := benchLine{name, map[string]float64{}}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				l.values[f[i+1]] = v
			}
		}
		lines = append(lines, l)
	}
	return lines
}

// merge makes one line of all those with the same name. It has their medians.
func merge(lines []benchLine) []benchLine {
	var merged []benchLine
	all := map[string]map[string][]float64{}
	for _, l := range lines {
		if all[l.name] == nil {
			all[l.name] = map[string][]float64{}
			merged = append(merged, benchLine{l.name, map[string]float64{}})
		}
		for unit, v := range l.values {
			all[l.name][unit] = append(all[l.name][unit], v)
		}
	}
	for _, l := range merged {
		for unit := range maps.Keys(all[l.name]) {
			values := slices.Sorted(slices.Values(all[l.name][unit]))
			l.values[unit] = values[len(values)/2]
		}
	}
	return merged
}

// goBenchTime is how long each Go benchmark runs, each of five times.
func goBenchTime(window time.Duration) string { return max(window/5, 10*time.Millisecond).String() }
