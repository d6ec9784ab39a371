package report

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Render writes REPORT.md and charts/ into dir. The servers stand in the given order.
func Render(dir string, runs []Run, servers []string) error {
	if len(runs) == 0 {
		return errors.New("report: no results")
	}
	if err := os.MkdirAll(filepath.Join(dir, "charts"), 0o777); err != nil {
		return err
	}
	var page strings.Builder
	intro(&page, runs, servers)
	verdicts(&page, runs)
	losses(&page, runs, servers)
	for _, s := range sections {
		servers := s.rows(runs, servers)
		bars := s.bars(runs, servers)
		if len(bars) == 0 {
			continue
		}
		chart := "charts/" + s.workload + ".svg"
		if err := os.WriteFile(filepath.Join(dir, chart), []byte(Chart(s.title, s.axis, bars)), 0o666); err != nil {
			return err
		}
		fmt.Fprintf(&page, "\n## %s\n\n%s\n\n![%s: %s](%s)\n\n", s.title, s.note, s.title, s.axis, chart)
		s.table(&page, runs, servers)
	}
	beside, err := readJSON[Beside](filepath.Join(dir, BesideFile))
	if err != nil {
		return err
	}
	if beside != nil {
		beside.section(&page)
	}
	slow, err := readJSON[Slow](filepath.Join(dir, SlowFile))
	if err != nil {
		return err
	}
	if slow != nil {
		slow.section(&page)
	}
	nodes, err := readJSON[Nodes](filepath.Join(dir, NodesFile))
	if err != nil {
		return err
	}
	if nodes != nil {
		nodes.section(&page)
	}
	registry, err := readJSON[Registry](filepath.Join(dir, RegistryFile))
	if err != nil {
		return err
	}
	if registry != nil {
		registry.section(&page)
	}
	soak, err := readJSON[Soak](filepath.Join(dir, SoakFile))
	if err != nil {
		return err
	}
	if soak != nil {
		if err := os.WriteFile(filepath.Join(dir, "charts/soak.svg"), []byte(soak.chart()), 0o666); err != nil {
			return err
		}
		soak.section(&page)
	}
	return os.WriteFile(filepath.Join(dir, "REPORT.md"), []byte(page.String()), 0o666)
}

func intro(p *strings.Builder, runs []Run, servers []string) {
	p.WriteString("# What the servers cost\n\n" +
		"Made by `go run . report`; how it is measured stands in the [README](README.md). CPU and memory are those of the server's\n" +
		"process, seen from outside. Each figure is a median, with the smallest and the largest beside it. Compare figures of\n" +
		"one table only. Servers of one run took turns in each round; those of another run were measured at another time.\n\n")
	p.WriteString("| run | date | commit | rounds | window | took | servers |\n|---|---|---|---|---|---|---|\n")
	for i, r := range runs {
		fmt.Fprintf(p, "| %d | %s | %s | %d | %v | %v | %s |\n", i+1, r.Began.Format("2006-01-02 15:04 MST"),
			r.Machine.Commit, r.Rounds, r.Window, r.Took.Round(time.Second), strings.Join(r.servers(servers), ", "))
	}
	m := runs[0].Machine
	fmt.Fprintf(p, "\n%s, %d cores, %s, %s. Server on one core with GOMAXPROCS=1, load on another.\n\n", m.CPU, m.Cores, m.Kernel, m.Go)
	var versions []string
	for _, name := range slices.Sorted(maps.Keys(runs[0].Modules)) {
		versions = append(versions, name+" "+runs[0].Modules[name])
	}
	fmt.Fprintf(p, "Versions: %s.\n", strings.Join(versions, ", "))
	for _, r := range runs {
		for _, why := range r.Absent {
			fmt.Fprintf(p, "\nNot measured: %s.\n", why)
		}
	}
}

func verdicts(p *strings.Builder, runs []Run) {
	p.WriteString("\n## Targets\n\nA ratio is that of two servers in one round: its median, and its range over all rounds. \"median\": the\n" +
		"median meets the target, and not every round does.\n\n" +
		"| figure | target | reached | ratio | rounds | met | aim | aim met |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range Targets {
		v := t.Judge(runs)
		reached, ratio, rounds, met, aim := "not measured here", "", "", "", ""
		if v.Measured {
			reached, rounds, met = number(v.Reached.Median)+" "+unit(t), fmt.Sprint(v.Rounds), v.Met.String()
			if t.Limit.against != "" {
				ratio = v.Ratio.around()
			}
			if t.Aim.value > 0 {
				aim = v.AimMet.String()
			}
		}
		fmt.Fprintf(p, "| %s | at most %s | %s | %s | %s | %s | %s | %s |\n",
			t.Title, t.bound(t.Limit), strings.TrimSpace(reached), ratio, rounds, met, t.bound(t.Aim), aim)
	}
}

func answer(yes bool) string {
	if yes {
		return "yes"
	}
	return "**no**"
}

func unit(t Target) string {
	if t.unit == "" && t.Limit.against != "" {
		return "µs"
	}
	return t.unit
}

// losses names the targets that were missed, and the WebSocket servers that cost less than Troupe.
func losses(p *strings.Builder, runs []Run, servers []string) {
	p.WriteString("\n## Where Troupe loses\n\n")
	before := p.Len()
	for _, t := range Targets {
		if v := t.Judge(runs); v.Measured && v.Met == Missed {
			reached := v.Ratio.around()
			if number(v.Ratio.Median) == number(t.Limit.value) { // missed by less than three digits can say
				reached = fmt.Sprintf("%.4f (%s)", v.Ratio.Median, v.Ratio.span())
			}
			fmt.Fprintf(p, "- Target missed: %s, %s where at most %s was wanted.\n",
				t.Title, strings.TrimSpace(reached+" "+t.unit), t.bound(t.Limit))
		}
	}
	for _, s := range sections {
		own, ok := figure(runs, s.workload, troupe, s.figure)
		if !ok {
			continue
		}
		var better []string
		for _, name := range servers {
			other, ok := figure(runs, s.workload, name, s.figure)
			if ok && name != "raw" && !strings.HasPrefix(name, troupe) && other.Median < own.Median {
				better = append(better, fmt.Sprintf("%s (%s)", name, number(other.Median)))
			}
		}
		if len(better) > 0 {
			fmt.Fprintf(p, "- %s, %s: %s, more than %s.\n", s.title, s.axis, number(own.Median), strings.Join(better, ", "))
		}
	}
	if p.Len() == before {
		p.WriteString("Nowhere: every target is met, and no other WebSocket server costs less in any figure of the charts.\n")
	}
}

// rows are what a section has a row for: the servers, or else whatever was measured, in that order.
func (s section) rows(runs []Run, servers []string) []string {
	if s.workload != "million" && s.workload != "send" {
		return servers
	}
	var names []string
	for _, run := range runs {
		for _, r := range run.Results {
			if r.Workload == s.workload && !slices.Contains(names, r.Server) {
				names = append(names, r.Server)
			}
		}
	}
	return names
}

func (s section) bars(runs []Run, servers []string) []Bar {
	var bars []Bar
	for _, name := range servers {
		if v, ok := figure(runs, s.workload, name, s.figure); ok {
			bars = append(bars, Bar{name, v, strings.HasPrefix(name, troupe)})
		}
	}
	return bars
}

// table has a row for each server and a column for each figure that any of them has.
func (s section) table(p *strings.Builder, runs []Run, servers []string) {
	used := slices.DeleteFunc(slices.Clone(columns), func(c column) bool {
		return !slices.ContainsFunc(servers, func(name string) bool {
			_, ok := figure(runs, s.workload, name, c.figure)
			return ok
		})
	})
	head, line := "| server |", "|---|"
	for _, c := range used {
		head, line = head+" "+c.title+" |", line+"---|"
		if c.span {
			head, line = head+" spread |", line+"---|"
		}
	}
	fmt.Fprintf(p, "%s\n%s\n", head, line)
	marked := false
	for _, name := range servers {
		if _, ok := figure(runs, s.workload, name, s.figure); !ok {
			continue
		}
		mark := ""
		if idleCore(runs, s.workload, name) {
			mark, marked = " *", true
		}
		fmt.Fprintf(p, "| %s%s |", name, mark)
		for _, c := range used {
			v, ok := figure(runs, s.workload, name, c.figure)
			text, span := "", ""
			if ok {
				text, span = number(v.Median), v.span()
			}
			fmt.Fprintf(p, " %s |", text)
			if c.span {
				fmt.Fprintf(p, " %s |", span)
			}
		}
		p.WriteString("\n")
	}
	if marked {
		p.WriteString("\n\\* The server's core was not always busy (below 0.97): the load or the kernel was the limit, so that rate and latencies do not\n" +
			"tell this server from another one. CPU does.\n")
	}
}

// busyCore is from where on a server's core counts as busy.
const busyCore = 0.97

// idleCore says whether something other than the server was the limit.
func idleCore(runs []Run, workload, server string) bool {
	cores, ok := figure(runs, workload, server, Cores)
	return ok && cores.Median < busyCore
}
