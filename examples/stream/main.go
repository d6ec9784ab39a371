// Stream is a page that asks a language model: tokens come as they are made, at the pace of the page, several answers at once, and
// each can be stopped. The model is a fake. README.md says what to try.
//
//	go run ./examples/stream
//	go run ./examples/stream -rate 200 -tokens 2000 -answers 8
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
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
}

// options are what the flags say.
type options struct {
	addr      string
	watchAddr string
	comeBack  time.Duration
	model     model
	answers   int
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("stream", flag.ContinueOnError)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:4000", "`address` to listen on")
	flags.StringVar(&o.watchAddr, "metrics-addr", "127.0.0.1:0", "loopback `address` for /metrics, the numbers for Prometheus, and /observer/, a page that shows what runs; port 0: a free one; empty: none")
	flags.DurationVar(&o.comeBack, "come-back", 10*time.Second, "clients are asked to come back within this `time` after a shutdown")
	flags.IntVar(&o.model.rate, "rate", 40, "the model makes so many `tokens` a second for each answer, at most 1000")
	flags.IntVar(&o.model.length, "tokens", 300, "an answer has so many `tokens`")
	flags.IntVar(&o.answers, "answers", 4, "so many answers at once for one page")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.model.rate < 1 || o.model.rate > 1000 || o.model.length < 1 || o.answers < 1 || o.answers > maxAsync {
		return o, fmt.Errorf("-rate must be from 1 to 1000, -tokens positive, -answers from 1 to %d", maxAsync)
	}
	return o, nil
}

const (
	// maxAsync is how many answers there can be at once for one socket, whatever -answers says.
	maxAsync = 64
	// mailboxLimit is small: SendWait fills half of it, and those tokens still come when a page has said stop. The other half is
	// for whatever else is sent to the socket.
	mailboxLimit = 8
)

// config is that of the sockets, but for what only a program needs.
func config(sys *actor.System, logger *slog.Logger) socket.Config {
	return socket.Config{
		Name:           "stream",
		System:         sys,
		MaxMessageSize: 16 << 10,
		MaxSockets:     10_000,
		MailboxLimit:   mailboxLimit,
		MaxAsync:       maxAsync,
		SendBuffer:     16 << 10, // what the kernel has taken cannot be stopped
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
	handler, err := routes(o, sockets)
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
			fmt.Fprintf(out, "stream: http://%s/ (socket at /ws)\n", l.Addr())
		}
		return l, err
	}

	// They start in this order and stop in reverse: first the sockets say goodbye, while HTTP still answers the probe.
	numbers := &metrics.Sources{Servers: []*socket.Server{sockets}, System: sys}
	children := []supervisor.ChildSpec{{ID: "system", Service: sys}}
	if o.watchAddr != "" {
		children = append(children, numbers.Child("stream", o.watchAddr, out))
	}
	children = append(children,
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 2 * time.Second},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	tree, err := supervisor.New(supervisor.Config{Name: "stream", Logger: logger}, children...)
	if err != nil {
		return err
	}
	numbers.Supervisors = append(metrics.Supervisors(children), tree)
	numbers.Observer = observer.Handler(observer.Config{
		Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{tree}, Logger: logger,
	})
	return tree.Run(ctx)
}
