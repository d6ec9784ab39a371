package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// slow is the command of that name: what slow clients get, and what they cost the others.
func slow(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("slow", flag.ContinueOnError)
	only := flags.String("only", "", "`names` of workloads, with commas: ticker, stream, tenth; empty: all")
	rounds := flags.Int("rounds", 3, "how often")
	window := flags.Duration("window", 5*time.Second, "how long to look at each")
	conns := flags.Int("conns", 10_000, "sockets of tenth")
	name := flags.String("out", report.SlowFile, "`file` for the results, in which those of other workloads stay; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var runs []slowRun
	for _, r := range slowRuns(*window, *conns) {
		if *only == "" || slices.Contains(strings.Split(*only, ","), r.workload) {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		return fmt.Errorf("there is no workload %q, only ticker, stream and tenth", *only)
	}
	if err := alone(); err != nil {
		return err
	}
	s := report.Slow{Began: time.Now().UTC(), Window: *window, Machine: report.ThisMachine()}
	for round := range *rounds {
		results, err := slowRound(runs, round)
		if err != nil {
			return err
		}
		for _, r := range results {
			fmt.Fprintf(out, "%d %-6s %-58s %s\n", round+1, r.Workload, r.Server, r.Values)
		}
		s.Results = append(s.Results, results...)
	}
	for _, r := range runs {
		if r.workload == report.Ticker {
			s.Ways = append(s.Ways, r.way)
		}
	}
	all := s
	if *name != "" {
		var err error
		if all, err = report.ReadSlow(*name); err != nil {
			return err
		}
		all.Replace(s)
		if err := all.Write(*name); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "\n", all.Table())
	return nil
}

// A slowRun is one workload in one way.
type slowRun struct {
	workload, way string
	run           func() (report.Values, error)
}

// slowRound runs each once, in the other direction in every other round. Tickers do nearly nothing, and take long: they run at once.
func slowRound(runs []slowRun, round int) ([]report.Result, error) {
	results, failed := make([]report.Result, len(runs)), make([]error, len(runs))
	run := func(i int) {
		r := runs[i]
		v, err := r.run()
		if err != nil {
			failed[i] = fmt.Errorf("%s, %s: %w", r.workload, r.way, err)
		}
		results[i] = report.Result{Workload: r.workload, Server: r.way, Round: round, Values: v}
	}
	var tickers sync.WaitGroup
	for i, r := range runs {
		if r.workload == report.Ticker {
			tickers.Go(func() { run(i) })
		}
	}
	tickers.Wait()
	for i := range runs {
		if round%2 == 1 {
			i = len(runs) - 1 - i
		}
		if runs[i].workload != report.Ticker {
			run(i)
		}
	}
	return results, errors.Join(failed...)
}

const small = 16 << 10 // a Config.SendBuffer

func slowRuns(window time.Duration, conns int) (all []slowRun) {
	for _, t := range []ticker{
		{size: 256}, {size: 256, keys: 3}, {size: 256, keys: 3, sendBuffer: small}, {size: 256, keys: 3, sendBuffer: small, receive: 4 << 10},
		{size: 4 << 10}, {size: 4 << 10, keys: 3}, {size: 4 << 10, keys: 3, sendBuffer: small},
		{size: 4 << 10, keys: 3, sendBuffer: small, receive: 4 << 10}, {size: 4 << 10, keys: 3, sendBuffer: 4 << 10, receive: 4 << 10},
		{size: small, keys: 3, sendBuffer: small, receive: 4 << 10},
	} {
		t.window = window
		all = append(all, slowRun{report.Ticker, t.String(), t.run})
	}
	for _, way := range report.Ways {
		all = append(all, slowRun{report.Stream, way, func() (report.Values, error) { return runStream(way, window) }})
	}
	for _, none := range []bool{true, false} {
		way := report.WithSlow
		if none {
			way = report.WithoutSlow
		}
		all = append(all, slowRun{report.Tenth, way, func() (report.Values, error) { return runTenth(none, conns, window) }})
	}
	return all
}

// runStream streams 4 KiB a thousand times a second to a client that reads two hundred, for so long as the client needs for the window.
func runStream(way string, window time.Duration) (report.Values, error) {
	const reads = 200
	messages := max(int(window.Seconds()*2*reads), 1)
	srv, err := startSlow(peer.SlowOptions{Size: 4 << 10, Every: time.Millisecond, Way: way, Messages: messages})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	before, err := srv.state()
	if err != nil {
		return nil, err
	}
	r, err := srv.target().Reader(4 << 10)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	v := report.Values{}
	waiting, grown, arrived := 0, uint64(0), 0
	look := func() (peer.SlowState, error) {
		state, err := srv.state()
		waiting = max(waiting, state.Waiting)
		grown = max(grown, max(state.Heap, before.Heap)-before.Heap)
		return state, err
	}
	begun := time.Now()
	for next := begun; arrived < messages; arrived++ {
		next = next.Add(time.Second / reads)
		time.Sleep(time.Until(next))
		seen, err := r.Next(time.Now().Add(10 * time.Second))
		if err != nil && way == peer.BySend {
			v[report.Lived] = time.Since(begun).Seconds()
			break
		}
		if err != nil {
			return nil, err
		}
		if seen.Number != uint64(arrived) {
			return nil, fmt.Errorf("message %d came as number %d", seen.Number, arrived)
		}
		if arrived%20 == 0 {
			if _, err := look(); err != nil {
				return nil, err
			}
		}
	}
	state, err := look()
	v[report.Sent], v[report.Arrived], v[report.Dropped] = float64(state.Sent), float64(arrived), float64(state.Sent)-float64(arrived)
	v[report.Waiting], v[report.Grown] = float64(waiting), float64(grown)
	return v, err
}

// runTenth is broadcasts to sockets of which a tenth is slow, or none.
func runTenth(none bool, conns int, window time.Duration) (report.Values, error) {
	srv, err := startSlow(peer.SlowOptions{Size: 1 << 10, Keys: 3, SendBuffer: small})
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	slow := (conns + 9) / 10
	if none {
		slow = 0
	}
	var patience time.Time // until when the slow ones may read the rest
	var state peer.SlowState
	b := load.SlowCast{
		Conns: conns, Slow: 10, None: none, Size: 1 << 10, Keys: 3, Fill: 120, For: window, Receive: 4 << 10,
		Ready: func() error { return srv.joined(conns) }, Cast: func() error { return srv.begin("cast") },
	}
	sample, counts, err := b.Run(srv.target(), func(c load.SlowCounts) (done bool, err error) {
		if state, err = srv.state(); err != nil {
			return false, err
		}
		if patience.IsZero() {
			patience = time.Now().Add(time.Minute)
		}
		if time.Now().After(patience) {
			return false, fmt.Errorf("the slow clients have %d of %d messages, and %d are left out", c.Arrived, state.Sent*uint64(slow), state.LeftOut)
		}
		return uint64(c.Arrived)+state.LeftOut >= state.Sent*uint64(slow), nil
	})
	if err != nil {
		return nil, err
	}
	if uint64(counts.Arrived)+state.LeftOut != state.Sent*uint64(slow) || state.Sockets != conns {
		return nil, fmt.Errorf("the slow clients have %d of %d messages, and %d are left out; %d of %d sockets are open",
			counts.Arrived, state.Sent*uint64(slow), state.LeftOut, state.Sockets, conns)
	}
	if !none && state.LeftOut == 0 {
		return nil, errors.New("nothing was left out: nobody was slow")
	}
	v := values(sample)
	if !none {
		v[report.LeftOut] = float64(state.LeftOut) / float64(slow)
	}
	return v, nil
}
