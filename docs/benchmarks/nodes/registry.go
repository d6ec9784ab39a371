package main

import (
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// registryPlan is what to measure of a registry that several nodes share.
type registryPlan struct {
	rounds, messages int
	names1, groups1  int // how many names and groups one node has
	sockets          int // of the node that comes and goes
	settle           time.Duration
	out              io.Writer
}

func measureRegistry(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("nodes registry", flag.ContinueOnError)
	p := registryPlan{out: out, settle: 500 * time.Millisecond}
	flags.IntVar(&p.rounds, "rounds", 3, "how often")
	flags.IntVar(&p.messages, "messages", 1_000_000, "broadcasts")
	flags.IntVar(&p.names1, "names", 100_000, "that one node has")
	flags.IntVar(&p.groups1, "groups", 10_000, "that one node has")
	flags.IntVar(&p.sockets, "sockets", 10_000, "of the node that comes and goes")
	beside := flags.String("beside", "nothing that we know of", "what else runs on the machine, for the report")
	name := flags.String("out", "../"+report.RegistryFile, "`file` for the results; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if p.rounds < 1 || p.messages < step || p.names1 < 1 || p.groups1 < 1 || p.sockets < 1 {
		return fmt.Errorf("-rounds, -names, -groups and -sockets must be positive, -messages at least %d", step)
	}
	r := report.Registry{Began: time.Now().UTC(), Machine: report.ThisMachine(), Beside: *beside,
		Names: p.names1, Groups: p.groups1, Sockets: p.sockets}
	var err error
	if r.Results, err = p.run(); err != nil {
		return err
	}
	fmt.Fprint(out, "\n", r.Table())
	if *name == "" {
		return nil
	}
	return r.Write(*name)
}

// run measures everything, round by round.
func (p registryPlan) run() (all []report.Result, err error) {
	for round := range p.rounds {
		for _, f := range []func(round int) ([]report.Result, error){p.casts, p.names, p.crowds} {
			results, err := f(round)
			if err != nil {
				return nil, err
			}
			for _, r := range results {
				fmt.Fprintf(p.out, "%d %-6s %s\n", round+1, r.Workload, r.Values)
			}
			all = append(all, results...)
		}
	}
	return all, nil
}
