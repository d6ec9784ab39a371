// Nodes measures what it costs to send to another node: package cluster over embedded NATS servers against nats.go
// alone over the same servers, and a link on which nothing is sent; and what it costs nodes to share a registry: broadcasts, names,
// groups, and a node with many sockets that comes and goes. It needs Linux.
//
//	go run .             # writes ../results/nodes.json, for the report
//	go run . -rounds 1 -messages 100000 -calls 1000 -out ''
//	go run . registry    # writes ../results/registry.json
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "node":
			return node(args[1:], os.Stdin, out)
		case "links":
			return links(args[1:], os.Stdin, out)
		case "member":
			return memberProcess(args[1:], os.Stdin, out)
		case "registry":
			return measureRegistry(args[1:], out)
		}
	}
	return measure(args, out)
}

// plan is what to measure.
type plan struct {
	rounds, messages, calls int
	links                   int           // in the process that is looked at
	look                    time.Duration // at them
	out                     io.Writer
}

func measure(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("nodes", flag.ContinueOnError)
	p := plan{out: out}
	flags.IntVar(&p.rounds, "rounds", 7, "how often")
	flags.IntVar(&p.messages, "messages", 2_000_000, "in a flood")
	flags.IntVar(&p.calls, "calls", 20_000, "one after the other")
	flags.IntVar(&p.links, "links", 32, "without traffic")
	flags.DurationVar(&p.look, "look", 15*time.Second, "how long to look at them")
	beside := flags.String("beside", "nothing that we know of", "what else runs on the machine, for the report")
	name := flags.String("out", "../"+report.NodesFile, "`file` for the results; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if p.rounds < 1 || p.messages < step || p.calls < 1 || p.links < 1 || p.look <= 0 {
		return fmt.Errorf("-rounds, -calls, -links and -look must be positive, -messages at least %d", step)
	}
	n := report.Nodes{Began: time.Now().UTC(), Machine: report.ThisMachine(), Beside: *beside}
	var err error
	if n.Results, err = p.run(); err != nil {
		return err
	}
	fmt.Fprint(out, "\n", n.Table())
	if *name == "" {
		return nil
	}
	return n.Write(*name)
}

// run measures everything, round by round.
func (p plan) run() (all []report.Result, err error) {
	add := func(workload, with string, round int, v report.Values) {
		all = append(all, report.Result{Workload: workload, Server: with, Round: round, Values: v})
		fmt.Fprintf(p.out, "%d %-6s %-7s %s\n", round+1, workload, with, v)
	}
	for round := range p.rounds {
		results, err := p.both(round)
		if err != nil {
			return nil, err
		}
		for _, r := range results {
			add(r.Workload, r.Server, round, r.Values)
		}
		if round < linkRounds {
			v, err := p.idle()
			if err != nil {
				return nil, fmt.Errorf("links: %w", err)
			}
			add(report.Link, troupe, round, v)
		}
	}
	return all, nil
}

const (
	troupe     = "troupe"
	linkRounds = 3 // they take long, and vary little
)
