// Handover is a service whose next version takes over on the same machine and port, without a load balancer: both listen
// with SO_REUSEPORT, and the old one is told to end. docs/how-to/hand-over-on-one-machine.md explains it. Linux only.
//
//	go run ./examples/handover -name one
//	go run ./examples/handover -name two   # beside it; then end the first with Ctrl-C
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/troupe-dev/troupe/actor"
	"github.com/troupe-dev/troupe/socket"
	"github.com/troupe-dev/troupe/supervisor"
	"github.com/troupe-dev/troupe/websock"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handover:", err)
		os.Exit(1)
	}
}

// greeter tells each client which version serves it.
type greeter struct{ name string }

func (g greeter) Init(context.Context) websock.Result                        { return websock.Push(websock.Text(g.name)) }
func (greeter) HandleIn(_ context.Context, m websock.Message) websock.Result { return websock.Push(m) }
func (greeter) HandleInfo(context.Context, any) websock.Result               { return websock.OK() }

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("handover", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4000", "`address` to listen on, together with another process")
	name := flags.String("name", "one", "what clients are told")
	over := flags.Duration("drain-over", 2*time.Second, "close the sockets spread over so long")
	balanced := flags.Bool("balanced", false, "stop HTTP last, as behind a load balancer: to see what that does here")
	if err := flags.Parse(args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(out, nil))
	sys, err := actor.NewSystem(actor.Config{Logger: log})
	if err != nil {
		return err
	}
	sockets, err := socket.New(socket.Config{System: sys, Logger: log, Drain: socket.Drain{
		Over:     *over,
		Close:    websock.CloseDetail{Code: websock.CloseServiceRestart, Reason: "new version"},
		ComeBack: time.Second,
	}})
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           sockets.Handler(func(*http.Request) (websock.Handler, error) { return greeter{*name}, nil }),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       time.Minute,
	}
	listen := func(ctx context.Context) (net.Listener, error) {
		l, err := (&net.ListenConfig{Control: sharePort}).Listen(ctx, "tcp", *addr)
		if err == nil {
			fmt.Fprintf(out, "handover: %s listens at ws://%s/\n", *name, l.Addr())
		}
		return l, err
	}
	actors := supervisor.ChildSpec{ID: "actors", Service: sys}
	drained := supervisor.ChildSpec{ID: "sockets", Service: sockets}
	web := supervisor.ChildSpec{ID: "http", Service: supervisor.HTTP(server, listen), Shutdown: 10 * time.Second}
	if *balanced {
		return supervisor.Run(ctx, supervisor.Config{Name: *name, Logger: log}, actors, web, drained)
	}
	// The last child stops first: from then on the kernel gives new connections to the other process.
	return supervisor.Run(ctx, supervisor.Config{Name: *name, Logger: log}, actors, drained, web)
}
