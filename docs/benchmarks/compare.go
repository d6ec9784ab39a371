package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// comparedRows are the rows that soon show what a change of the message path costs.
const comparedRows = "echo1,echo64,echo1000,pipelined,echo16k,echo2kz,rooms,cast1000,cast1000z,connect"

// A comparison says what to compare, and how.
type comparison struct {
	rows      []workload
	rounds    int
	scale     scale
	base, now build
	out       io.Writer // a line for each row of a round
	// window measures one window.
	window func(build, workload) (report.Values, error)
}

// compare is the command of that name. It shows whether the library of the working tree costs more than that of another commit. One
// load generator measures both, by turns, in short windows. An error says that a row has become slower.
func compare(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	ref := flags.String("base", "", "the `commit` to compare with; empty: where this branch has left main")
	only := flags.String("only", comparedRows, "`rows` to compare, separated by commas")
	rounds := flags.Int("rounds", 7, "how often; each measures both, twice")
	window := flags.Duration("window", 400*time.Millisecond, "how long to look at each")
	conns := flags.Int("idle", 4000, "`connections` of the rows about idle ones")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	rows, err := comparable(split(*only))
	if err != nil {
		return err
	}
	if err := alone(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := comparison{rows: rows, rounds: *rounds, scale: scale{*window / 4, *window, *conns, 3 * hibernate}, out: out}
	c.window = c.once
	if c.base, c.now, err = builds(ctx, *ref, dir); err != nil {
		return err
	}
	if c.base.note != "" {
		fmt.Fprintf(out, "note: %s\n", c.base.note)
	}
	result, err := c.run(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", result)
	if slower := result.Slower(); len(slower) > 0 {
		return fmt.Errorf("slower than %s: %s", c.base.commit, strings.Join(slower, ", "))
	}
	return nil
}

// comparable returns the workloads of these names.
func comparable(names []string) ([]workload, error) {
	all := workloads()
	var rows []workload
	for _, name := range names {
		i := slices.IndexFunc(all, func(w workload) bool { return w.name == name })
		if i < 0 {
			var known []string
			for _, w := range all {
				known = append(known, w.name)
			}
			return nil, fmt.Errorf("there is no row %q to compare, only %s", name, strings.Join(known, ", "))
		}
		rows = append(rows, all[i])
	}
	return rows, nil
}

// run measures all rows in each round.
func (c comparison) run(ctx context.Context) (report.Comparison, error) {
	result := report.Comparison{Base: c.base.String(), Now: c.now.String()}
	for _, w := range c.rows {
		result.Rows = append(result.Rows, report.Row{Workload: w.name})
	}
	for round := range c.rounds {
		for i, w := range c.rows {
			base, now, unit, err := c.pair(ctx, w, round%2 == 1)
			if err != nil {
				return result, err
			}
			r := &result.Rows[i]
			r.Unit, r.Base, r.Now = unit, append(r.Base, base), append(r.Now, now)
			fmt.Fprintf(c.out, "%d %-12s base %.4g %s, now %.4g %s: %.3f\n", round+1, w.name, base, unit, now, unit, now/base)
		}
	}
	return result, nil
}

// pair measures a row for one round, each tree twice: base, now, now, base; or, with nowFirst, now, base, base, now. So a
// machine that changes steadily meanwhile, for example gets warmer, has the same effect on both.
func (c comparison) pair(ctx context.Context, w workload, nowFirst bool) (base, now float64, unit string, err error) {
	order := []bool{false, true, true, false}
	for _, isNow := range order {
		one, sum := c.base, &base
		if isNow != nowFirst {
			one, sum = c.now, &now
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, "", err
		}
		v, err := c.window(one, w)
		if err != nil {
			return 0, 0, "", fmt.Errorf("%s, %s: %w", w.name, one, err)
		}
		var cost float64
		if cost, unit, err = costOf(v); err != nil {
			return 0, 0, "", fmt.Errorf("%s, %s: %w", w.name, one, err)
		}
		*sum += cost / 2
	}
	return base, now, unit, nil
}

// costOf is the figure by which trees are compared: CPU where a workload has it, memory where it has not.
func costOf(v report.Values) (cost float64, unit string, err error) {
	if cpu, ok := v[report.CPU]; ok {
		return cpu, "µs", nil
	}
	if kb, ok := v[report.Used]; ok {
		return kb, "KB", nil
	}
	return 0, "", errors.New("it has neither CPU nor memory to compare")
}

// once measures one window, with a server process for that window alone.
func (c comparison) once(b build, w workload) (report.Values, error) {
	p, _ := peer.Find("troupe")
	options, err := json.Marshal(w.options)
	if err != nil {
		return nil, err
	}
	s, err := launch(exec.Command(b.program, "serve", "-peer", p.Name, "-options", string(options)), p, w.options)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return w.run(s, c.scale)
}
