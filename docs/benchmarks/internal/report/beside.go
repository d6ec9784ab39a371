package report

import (
	"fmt"
	"strings"
	"time"
)

// BesideFile is where [Render] finds what was measured beside a busy program, if there is anything.
const BesideFile = "results/beside.json"

// Where a server runs.
const (
	Alone    = "alone on its core"
	OneGroup = "beside a busy program in its group"
	OwnGroup = "beside one in another group"
)

// Which system calls it makes.
const (
	Own      = "own"
	Ordinary = "ordinary"
)

// All of them.
var (
	Places = []string{Alone, OneGroup, OwnGroup}
	Calls  = []string{Own, Ordinary}
)

// Beside is what Troupe's own system calls do beside a busy program.
type Beside struct {
	Began   time.Time     `json:"began"`
	Window  time.Duration `json:"window_ns"`
	Machine Machine       `json:"machine"`
	Results []Result      `json:"results"` // the place as workload, the calls as server
}

// Table is what it has shown, in Markdown.
func (b Beside) Table() string {
	var p strings.Builder
	runs := []Run{{Results: b.Results}}
	p.WriteString("| where | own: per second | spread | cores | CPU, µs | ordinary: per second | spread | cores | CPU, µs | own / ordinary |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, where := range Places {
		fmt.Fprintf(&p, "| %s |", where)
		for _, calls := range Calls {
			rate, ok := figure(runs, where, calls, Rate)
			if !ok {
				p.WriteString(" | | | |")
				continue
			}
			cores, _ := figure(runs, where, calls, Cores)
			cpu, _ := figure(runs, where, calls, CPU)
			fmt.Fprintf(&p, " %s | %s | %s | %s |", number(rate.Median), rate.span(), number(cores.Median), number(cpu.Median))
		}
		t := Target{Workload: where, Server: Own, Figure: Rate}
		ratio, _ := summarize(t.hold(runs, bound{against: Ordinary}))
		fmt.Fprintf(&p, " %s |\n", ratio.around())
	}
	return p.String()
}

// section is its part of the page.
func (b Beside) section(p *strings.Builder) {
	fmt.Fprintf(p, "\n## Own system calls beside a busy program\n\n"+
		"`echo64` against Troupe as it is, and against Troupe built with the tag `troupe_nosyscalls`, which makes the reads and writes of package net.\n"+
		"The kernel shares a core between scheduling groups first, and then between the programs of a group. A container and a unit of\n"+
		"systemd are groups of their own; programs of one shell, or of one container, are in one group. The busy program does nothing but\n"+
		"count, on the server's core, where each has a half of it at best. %s, commit %s, window %v.\n\n%s",
		b.Began.Format("2006-01-02 15:04 MST"), b.Machine.Commit, b.Window, b.Table())
}

// Write writes it as JSON.
func (b Beside) Write(name string) error { return writeJSON(name, b) }
