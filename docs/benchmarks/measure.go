package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// A plan says what to measure.
type plan struct {
	only    []string // workloads; none: all
	servers []string // none: all
	rounds  int
	scale
	short  bool      // no million connections
	goTime string    // -benchtime of the Go benchmarks
	out    io.Writer // a line for each figure
}

// measure is the runner. Without arguments it runs everything and writes the report.
func measure(args []string) error {
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	only := flags.String("only", "", "`workloads` to run, separated by commas")
	servers := flags.String("servers", "", "`servers` to run, separated by commas")
	rounds := flags.Int("rounds", 7, "how often to run each; what has no target three times at most, and what takes long once")
	window := flags.Duration("window", time.Second, "how long to look at each")
	conns := flags.Int("idle", 19_000, "`connections` that are idle; each needs a descriptor in both processes")
	short := flags.Bool("short", false, "a quick look: one round, short windows, few idle connections")
	out := flags.String("out", "", "`file` for the results of one run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err := alone(); err != nil {
		return err
	}
	p := plan{
		only: split(*only), servers: split(*servers), rounds: *rounds, scale: scale{*window / 4, *window, *conns, 3 * hibernate},
		short: *short, goTime: goBenchTime(*window), out: os.Stdout,
	}
	if *short {
		p.rounds, p.scale = 1, scale{100 * time.Millisecond, 400 * time.Millisecond, 2000, 3 * hibernate}
		p.goTime = goBenchTime(p.window)
	}
	if err := p.check(); err != nil {
		return err
	}
	if *short || *out != "" || p.only != nil || p.servers != nil {
		r, err := p.run()
		if *out == "" {
			return err
		}
		return errors.Join(err, r.Write(*out))
	}
	r, failed := p.run()
	if err := r.Write(runFile); err != nil {
		return err
	}
	return errors.Join(failed, render([]string{runFile}))
}

// runFile is where the default command keeps its results.
const runFile = "results/run.json"

// render writes the report of the results in files.
func render(files []string) error {
	var runs []report.Run
	for _, name := range files {
		r, err := report.Read(name)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	return report.Render(".", runs, names(peer.All))
}

func names(peers []peer.Peer) []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.Name)
	}
	return all
}

// check returns an error for a name that does not exist.
func (p plan) check() error {
	var known []string
	for _, w := range workloads() {
		known = append(known, w.name)
	}
	for _, b := range goBenches {
		known = append(known, b.name)
	}
	for _, name := range p.only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("there is no workload %q, only %s", name, strings.Join(known, ", "))
		}
	}
	for _, name := range p.servers {
		if _, ok := peer.Find(name); !ok {
			return fmt.Errorf("there is no server %q, only %s", name, strings.Join(names(peer.All), ", "))
		}
	}
	return nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// serverCore is the environment variable with the core of the servers. It is set once this process is on another core.
const serverCore = "BENCHMARKS_SERVER_CORE"

// alone restarts the program with all its threads on the core for the load, unless it is there already. On a machine with
// one core it does nothing: load and server share that.
func alone() error {
	server, core, ok := proc.Cores()
	if !ok || os.Getenv(serverCore) != "" {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), serverCore+"="+strconv.Itoa(server)))
}

// run runs each workload against each server in every round, in an order that moves by one each time. What fails is tried
// once more. If it fails again, it is left out of the results, and the error names it.
func (p plan) run() (report.Run, error) {
	var failed []error
	r := report.Run{Began: time.Now().UTC(), Rounds: p.rounds, Window: p.window, Machine: report.ThisMachine(), Modules: modules()}
	absent := map[string]string{}
	for round := range p.rounds {
		for _, w := range workloads() {
			if p.only != nil && !slices.Contains(p.only, w.name) || round >= w.rounds(p.rounds) {
				continue
			}
			all := p.peers(w)
			for i := range all {
				one := all[(i+round)%len(all)]
				if absent[one.Name] != "" {
					continue
				}
				v, err := p.once(w, one)
				if errors.Is(err, peer.ErrMissing) {
					absent[one.Name] = err.Error()
					fmt.Fprintf(p.out, "left out: %v\n", err)
					continue
				}
				if err != nil {
					fmt.Fprintf(p.out, "%d %-12s %-12s once more: %v\n", round+1, w.name, one.Name, err)
					v, err = p.once(w, one)
				}
				if err != nil {
					failed = append(failed, fmt.Errorf("%s, %s: %w", w.name, one.Name, err))
					continue
				}
				r.Results = append(r.Results, report.Result{Workload: w.name, Server: one.Name, Round: round, Values: v})
				fmt.Fprintf(p.out, "%d %-12s %-12s %s\n", round+1, w.name, one.Name, v)
			}
		}
	}
	r.Absent = slices.Sorted(maps.Values(absent))
	for _, b := range goBenches {
		if p.only != nil && !slices.Contains(p.only, b.name) || p.servers != nil && !slices.Contains(p.servers, "troupe") {
			continue
		}
		results, err := b.run(p)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", b.name, err))
			continue
		}
		for _, one := range results {
			fmt.Fprintf(p.out, "- %-12s %-12s %s\n", one.Workload, one.Server, one.Values)
		}
		r.Results = append(r.Results, results...)
	}
	r.Took = time.Since(r.Began)
	return r, errors.Join(failed...)
}

// peers are the servers that take part in a workload.
func (p plan) peers(w workload) []peer.Peer {
	return slices.DeleteFunc(slices.Clone(peer.All), func(one peer.Peer) bool {
		return !w.takes(one) || !can(one, w.options) || p.servers != nil && !slices.Contains(p.servers, one.Name)
	})
}

func (p plan) once(w workload, one peer.Peer) (report.Values, error) {
	s, err := start(one, w.options)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return w.run(s, p.scale)
}
