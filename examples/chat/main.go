// Chat is rooms, names, who is here, and the last messages. README.md describes its protocol; open the address that it
// prints in two browsers.
//
//	go run ./examples/chat
//	go run ./examples/chat -addr 127.0.0.1:4000 -come-back 10s -metrics-addr 127.0.0.1:9100
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
	"github.com/troupe-dev/troupe/examples/chat/chat"
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
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// How long a shutdown takes: the sockets are closed over drainOver, a client that does not answer its Close frame takes
// 5 s more, and HTTP waits for httpShutdown for connections that browsers have opened in advance. Whoever comes back
// meanwhile is refused, so clients are asked to wait longer.
const (
	drainOver    = time.Second
	httpShutdown = 2 * time.Second
	comeBackIn   = 10 * time.Second
)

// run serves until ctx is done or a signal comes, then says goodbye to every client, with a hint when to come back.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4000", "`address` to listen on")
	metricsAddr := flags.String("metrics-addr", "127.0.0.1:0", "loopback `address` for /metrics, the numbers for Prometheus, and /observer/, a page that shows what runs; port 0: a free one; empty: none")
	comeBack := flags.Duration("come-back", comeBackIn, "clients are asked to come back within this `time` after a shutdown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	logger := slog.New(slog.NewTextHandler(out, nil))
	sys, err := actor.NewSystem(actor.Config{Logger: logger})
	if err != nil {
		return err
	}
	reg := registry.New(sys)
	c, err := chat.New(chat.Config{System: sys, Registry: reg, Logger: logger})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{
		Name:           "chat",
		System:         sys,
		MaxMessageSize: 16 << 10,
		MaxSockets:     10_000,
		Compression:    socket.Compression{On: true},
		Drain:          socket.Drain{Over: drainOver, ComeBack: *comeBack},
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	handler, err := c.Handler(sockets)
	if err != nil {
		return err
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", *addr)
		if err == nil {
			fmt.Fprintf(out, "chat: http://%s/ (socket at /ws)\n", l.Addr())
		}
		return l, err
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}

	// They start in this order and stop in reverse: first the sockets say goodbye, while HTTP still answers the probe.
	numbers := &metrics.Sources{Servers: []*socket.Server{sockets}, System: sys, Registry: reg}
	children := []supervisor.ChildSpec{{ID: "system", Service: sys}}
	children = append(children, c.Children()...)
	if *metricsAddr != "" {
		children = append(children, numbers.Child("chat", *metricsAddr, out))
	}
	children = append(children,
		supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: httpShutdown},
		supervisor.ChildSpec{ID: "sockets", Service: sockets},
	)
	tree, err := supervisor.New(supervisor.Config{Name: "chat", Logger: logger}, children...)
	if err != nil {
		return err
	}
	numbers.Supervisors = append(metrics.Supervisors(children), tree)
	numbers.Observer = observer.Handler(observer.Config{
		Servers: []*socket.Server{sockets}, Supervisors: []supervisor.Service{tree}, Registry: reg, Logger: logger,
	})
	return tree.Run(ctx)
}
