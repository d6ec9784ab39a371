// Prices is a market whose prices change faster than a slow page can read: each page gets the newest price of each symbol, and sees
// how far it and the others are behind, and what was left out. README.md says what to try.
//
//	go run ./examples/prices
//	go run ./examples/prices -rate 1000 -halt 10s
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
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/examples/metrics"
	"github.com/troupe-dev/troupe/registry"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/socket/observer"
	"github.com/troupe-dev/troupe/supervisor"
)

func main() {
	err := run(context.Background(), os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prices:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	addr      string
	watchAddr string
	comeBack  time.Duration
	rate      int
	halt      time.Duration
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("prices", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4000", "`address` to listen on")
	flags.StringVar(&o.watchAddr, "metrics-addr", "127.0.0.1:0", "loopback `address` for /metrics, the numbers for Prometheus, and /observer/, a page that shows what runs; port 0: a free one; empty: none")
	flags.DurationVar(&o.comeBack, "come-back", 10*time.Second, "clients are asked to come back within this `time` after a shutdown")
	flags.IntVar(&o.rate, "rate", 200, "so many `prices` a second, of all symbols together, at most 1000")
	flags.DurationVar(&o.halt, "halt", 5*time.Second, "how long the market stands still when a page asks for it")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.rate < 1 || o.rate > 1000 || o.halt <= 0 {
		return o, errors.New("-rate must be from 1 to 1000, -halt positive")
	}
	return o, nil
}

// config is that of the sockets, but for what only a program needs. At most one price of each symbol waits in a mailbox, so the
// limit of that is never met, however slow a page is.
func config(sys *actor.System, logger *slog.Logger) socket.Config {
	return socket.Config{
		Name:           "prices",
		System:         sys,
		MaxMessageSize: 4 << 10,
		MaxSockets:     10_000,
		MailboxLimit:   64,
		SendBuffer:     16 << 10, // what the kernel has taken gets there, however old it is then
		Logger:         logger,
	}
}

// run serves until ctx is done or a signal comes, then says goodbye to every client, with a hint when to come back.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(out, nil))
	sys, err := actor.NewSystem(actor.Config{Logger: logger})
	if err != nil {
		return err
	}
	cfg := config(sys, logger)
	cfg.Drain = socket.Drain{Over: time.Second, ComeBack: o.comeBack}
	sockets, err := socket.New(cfg)
	if err != nil {
		return err
	}
	reg := registry.New(sys)
	handler, err := routes(reg, sockets)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.addr)
		if err == nil {
			fmt.Fprintf(out, "prices: http://%s/ (socket at /ws)\n", l.Addr())
		}
		return l, err
	}

	// They start in this order and stop in reverse: first the sockets say goodbye, while HTTP still answers the probe.
	numbers := &metrics.Sources{Servers: []*socket.Server{sockets}, System: sys, Registry: reg}
	children := append([]supervisor.ChildSpec{{ID: "system", Service: sys}}, actors(o, sys, reg, sockets)...)
	if o.watchAddr != "" {
		children = append(children, numbers.Child("prices", o.watchAddr, out))
	}
	children = append(children,
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 2 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	tree, err := supervisor.New(supervisor.Config{Name: "prices", Logger: logger}, children...)
	if err != nil {
		return err
	}
	numbers.Supervisors = append(metrics.Supervisors(children), tree)
	numbers.Observer = observer.Handler(observer.Config{
		Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{tree}, Registry: reg, Logger: logger,
	})
	return tree.Run(ctx)
}

// actors are the market and the board.
func actors(o options, sys *actor.System, reg *registry.Registry, sockets *socket.Server) []supervisor.ChildSpec {
	return []supervisor.ChildSpec{
		{ID: "market", Service: supervisor.Actor(sys, func() actor.Actor { return newMarket(o, reg) }, actor.SpawnOptions{})},
		{ID: "board", Service: supervisor.Actor(sys, func() actor.Actor { return &board{reg: reg, sockets: sockets} }, actor.SpawnOptions{})},
	}
}
