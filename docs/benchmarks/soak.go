package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/troupe-dev/troupe/docs/benchmarks/internal/load"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/peer"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/proc"
	"github.com/troupe-dev/troupe/docs/benchmarks/internal/report"
)

// errSoak is the error of a soak that has found something wrong.
var errSoak = errors.New("the soak has failed")

// soak is the command of that name: one server of Troupe in a process of its own, and clients that do all that clients can
// do. Both use all cores, to find faults of concurrency.
func soak(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	long := flags.Duration("for", 10*time.Minute, "how long")
	short := flags.Bool("short", false, "45 s, if -for says nothing else")
	clients := flags.Int("clients", 300, "how many")
	name := flags.String("out", report.SoakFile, "`file` for the results; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	named := false
	flags.Visit(func(f *flag.Flag) { named = named || f.Name == "for" })
	if *short && !named {
		*long = 45 * time.Second
	}
	s, err := runSoak(*long, *clients, out)
	if err != nil {
		return err
	}
	if *name != "" {
		if err := s.Write(*name); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "\n", s.Table())
	for _, f := range s.Failures {
		fmt.Fprintln(out, f)
	}
	if !s.Passed() {
		return errSoak
	}
	return nil
}

func runSoak(long time.Duration, clients int, out io.Writer) (report.Soak, error) {
	o := peer.SoakOptions{Hibernate: 100 * time.Millisecond, Ping: 2 * time.Second, MaxSockets: 2 * clients, Every: 20 * time.Millisecond}
	s := report.Soak{
		Began: time.Now().UTC(), For: long, Clients: clients, Machine: report.ThisMachine(),
		Config: fmt.Sprintf("half of them with compression; HibernateAfter %v, PingInterval %v, MaxSockets %d, a broadcast every %v",
			o.Hibernate, o.Ping, o.MaxSockets, o.Every),
	}
	srv, err := startSoak(o)
	if err != nil {
		return s, err
	}
	defer srv.stop()
	target := load.Target{Addr: srv.addr, Patience: 15 * time.Second}
	what := load.Soak{Clients: clients, Burst: 32, Silence: 1500 * time.Millisecond, Largest: 100_000, MostSteps: 8}

	// Pools, maps and the heap grow to their size before the first look.
	var warm load.Counts
	drive(what, target, &warm)(min(long/10, 5*time.Second))
	if s.Before, err = srv.settled(report.SoakSample{}); err != nil {
		return s, err
	}

	var counts load.Counts
	begun := time.Now()
	quit := drive(what, target, &counts)
	every := min(10*time.Second, long/24)
	for at := every; at <= long; at += every {
		time.Sleep(time.Until(begun.Add(at)))
		x, err := srv.look()
		if err != nil {
			return s, err
		}
		x.At = time.Since(begun).Round(time.Millisecond)
		if at == every*time.Duration(long/every) {
			x.At = min(x.At, long)
		}
		x.count(&counts)
		s.Samples = append(s.Samples, x.SoakSample)
		failed, _ := counts.Failures()
		fmt.Fprintf(out, "%6.0fs  %5.1f MB, heap %5.1f MB, %4d goroutines, %4d sockets, %4d asleep, %d connects, %d echoes, %d deliveries, %d wrong\n",
			x.At.Seconds(), float64(x.RSS)/1e6, float64(x.Heap)/1e6, x.Goroutines, x.Sockets, x.Asleep, x.Connects, x.Echoes, x.Deliveries, failed)
	}
	quit(0)
	failed, failures := counts.Failures()
	early, more := warm.Failures()
	s.Failed, s.Failures = failed+early, append(failures, more...)
	s.After, err = srv.settled(s.Before)
	return s, err
}

// drive starts the clients. The func it returns lets them go on for a time, then has them leave, and waits until they have.
func drive(s load.Soak, t load.Target, counts *load.Counts) func(time.Duration) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() { s.Run(t, quit, counts) })
	return func(d time.Duration) {
		time.Sleep(d)
		close(quit)
		done.Wait()
	}
}

// A soakServer is the server's process.
type soakServer struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

func startSoak(o peer.SoakOptions) (*soakServer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve-soak", string(options))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &soakServer{cmd: cmd, in: in, out: bufio.NewReader(out)}
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

func (s *soakServer) stop() {
	s.in.Close()
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// A look is a sample. Its counts are filled in by count.
type look struct{ report.SoakSample }

func (s *soakServer) look() (look, error) {
	var state peer.SoakState
	if _, err := io.WriteString(s.in, "state\n"); err != nil {
		return look{}, fmt.Errorf("the server has ended: %w", err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return look{}, fmt.Errorf("the server has ended: %w", err)
	}
	if err := json.Unmarshal(line, &state); err != nil {
		return look{}, err
	}
	rss, err := proc.RSS(s.cmd.Process.Pid)
	return look{report.SoakSample{RSS: rss, Heap: state.Heap, Goroutines: state.Goroutines, Sockets: state.Sockets, Asleep: state.Asleep}}, err
}

// settled is for the time after all clients have left. It looks until there are no more goroutines and not much more heap
// than before, for 30 s at most: connections that were reset, and workers, need a moment to end.
func (s *soakServer) settled(before report.SoakSample) (report.SoakSample, error) {
	var last look
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(500 * time.Millisecond) {
		x, err := s.look()
		if err != nil {
			return x.SoakSample, err
		}
		quiet := x.Sockets == 0 && (x.Goroutines == last.Goroutines || before.Goroutines > 0)
		if quiet && (before.Goroutines == 0 || x.Goroutines <= before.Goroutines && x.Heap <= before.Heap+before.Heap/20) || time.Now().After(end) {
			return x.SoakSample, nil
		}
		last = x
	}
}

func (x *look) count(c *load.Counts) {
	x.Echoes, x.Deliveries, x.Connects = c.Echoes.Load(), c.Deliveries.Load(), c.Connects.Load()
	x.Closes, x.Resets, x.HalfCloses, x.Rejoins = c.Closes.Load(), c.Resets.Load(), c.HalfCloses.Load(), c.Rejoins.Load()
}

// serveSoak is the server's process. It runs until its input ends, and answers each line with its state.
func serveSoak(args []string, in io.Reader, out io.Writer) error {
	var o peer.SoakOptions
	if len(args) != 1 {
		return errors.New("serve-soak: want the options in JSON")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	state, err := peer.ServeSoak(ln, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, ln.Addr())
	answers := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if err := answers.Encode(state()); err != nil {
			return err
		}
	}
	return nil
}
