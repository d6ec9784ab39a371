// Service is a small service built as a supervision tree: a counter that sometimes crashes, jobs that come and go, HTTP,
// and the sockets that show it all. README.md says what to try.
//
//	go run ./examples/service
//	go run ./examples/service -crash-every 10 -drain-delay 5s -drain-over 10s -come-back 20s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/examples/metrics"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	addr       string
	probeAddr  string
	watchAddr  string
	maxSockets int
	tick       time.Duration
	crashEvery int
	crashRoute bool
	maxJobs    int
	logSockets bool
	drain      socket.Drain
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4000", "`address` to listen on")
	flags.StringVar(&o.probeAddr, "probe-addr", "", "`address` for /healthz and /readyz alone, where they are answered without a free descriptor, too; empty: none")
	flags.StringVar(&o.watchAddr, "metrics-addr", "127.0.0.1:0", "loopback `address` for /metrics, the numbers for Prometheus, and /observer/, a page that shows what runs; port 0: a free one; empty: none")
	flags.IntVar(&o.maxSockets, "max-sockets", 10_000, "so many sockets at once; keep it below the limit of descriptors (ulimit -n)")
	flags.DurationVar(&o.tick, "tick", time.Second, "the counter counts once in so long")
	flags.IntVar(&o.crashEvery, "crash-every", 0, "the counter crashes once in so many `ticks`, at random; 0: when asked to")
	flags.BoolVar(&o.crashRoute, "crash-route", true, "POST /crash crashes the counter")
	flags.IntVar(&o.maxJobs, "max-jobs", 1000, "so many jobs at once; 0: no limit")
	flags.BoolVar(&o.logSockets, "log-sockets", true, "log a line for each socket that ends")
	flags.DurationVar(&o.drain.Delay, "drain-delay", 2*time.Second, "unready for so long before the first socket is closed")
	flags.DurationVar(&o.drain.Over, "drain-over", 3*time.Second, "close the sockets spread over so long; 0: 1,000 a second; negative: all at once")
	flags.IntVar(&o.drain.Batch, "drain-batch", 1, "close so many `sockets` in one step")
	flags.DurationVar(&o.drain.Timeout, "drain-timeout", 0, "then sockets may take so long to end, before they are killed; 0: 20s")
	flags.DurationVar(&o.drain.ComeBack, "come-back", 5*time.Second, "tell clients to return after a random time up to so long; 0: do not")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.maxSockets < 1 {
		return o, errors.New("-max-sockets must be positive")
	}
	if o.tick <= 0 || o.crashEvery < 0 || o.maxJobs < 0 {
		return o, errors.New("-tick must be positive, -crash-every and -max-jobs not negative")
	}
	return o, nil
}

// run serves until SIGINT, SIGTERM or the end of ctx, then takes the tree down from its last child to its first. A second
// signal ends it at once.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, nil))

	sys, err := actor.NewSystem(actor.Config{Logger: log})
	if err != nil {
		return err
	}
	o.drain.Close = websock.CloseDetail{Code: websock.CloseServiceRestart, Reason: "new version"}
	o.drain.OnProgress = progress(log)
	socketLog := log
	if !o.logSockets {
		socketLog = slog.New(slog.DiscardHandler)
	}
	sockets, err := socket.New(socket.Config{Name: "service", System: sys, MaxSockets: o.maxSockets, Drain: o.drain, Logger: socketLog})
	if err != nil {
		return err
	}
	jobs, err := supervisor.NewDynamic(supervisor.DynamicConfig{Name: "jobs", MaxChildren: o.maxJobs, Logger: log})
	if err != nil {
		return err
	}
	// The counter has a supervisor of its own, so that its crashes use up that one's restarts before the service's.
	workers, err := supervisor.New(supervisor.Config{Name: "workers", Logger: log}, supervisor.ChildSpec{
		ID:      "counter",
		Service: supervisor.Actor(sys, newCounter(o, sockets, jobs), actor.SpawnOptions{Label: "counter"}),
	})
	if err != nil {
		return err
	}

	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
		if err == nil {
			fmt.Fprintf(out, "service: http://%s/ (socket at /ws)\n", l.Addr())
		}
		return l, err
	}
	// The probes have a server of their own, started before the other one and stopped after it.
	prober := &http.Server{ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second}
	listenProbes := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.probeAddr)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "service: probes at http://%s/readyz\n", l.Addr())
		return newSparing(l), nil
	}
	numbers := &metrics.Sources{Servers: []*socket.Server{sockets}, System: sys}

	// Started from top to bottom, each when the one above is ready; stopped from bottom to top. So the sockets drain while
	// HTTP still answers the probe and refuses upgrades, and all that handlers use is there until the last one has ended.
	children := []supervisor.ChildSpec{
		{ID: "actors", Service: sys},
		{ID: "workers", Service: workers},
		{ID: "jobs", Service: jobs},
		{ID: "probes", Service: supervisor.HTTP(prober, listenProbes), Shutdown: 10 * time.Second},
		numbers.Child("service", o.watchAddr, out),
		// http.Server waits up to 5 s for connections that browsers have opened in advance, so it gets more than that.
		{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 10 * time.Second},
		{ID: "sockets", Service: sockets},
	}
	for id, addr := range map[string]string{"probes": o.probeAddr, "metrics": o.watchAddr} {
		if addr == "" {
			children = slices.DeleteFunc(children, func(c supervisor.ChildSpec) bool { return c.ID == id })
		}
	}
	service, err := supervisor.New(supervisor.Config{Name: "service", Logger: log}, children...)
	if err != nil {
		return err
	}
	// The probe looks at the tree that the servers are a part of, so they get their handlers after it is made.
	probes := probes(service)
	prober.Handler = probes
	numbers.Supervisors = append(metrics.Supervisors(children), service)
	numbers.Observer = observer.Handler(observer.Config{
		Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{service}, Logger: log,
	})
	server.Handler = routes(o, sys, sockets, jobs, workers, probes)
	return service.Run(ctx)
}

// progress logs each stage of a drain, and of the closing each tenth.
func progress(log *slog.Logger) func(socket.DrainProgress) {
	stage, tenth := socket.DrainDone, 0
	return func(p socket.DrainProgress) {
		now := 10 * p.Closed / max(p.Sockets, 1)
		if p.Stage == stage && now == tenth {
			return
		}
		stage, tenth = p.Stage, now
		log.Info("drain", "stage", p.Stage, "sockets", p.Sockets, "closed", p.Closed, "left", p.Left, "killed", p.Killed,
			"elapsed", p.Elapsed.Round(time.Millisecond).String())
	}
}
